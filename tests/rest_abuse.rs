//! Clients of REST that break the rules of HTTP, or the patience of a server: they hurt nobody but themselves.

use kuzzle_tests::{HttpClient, Server, ServerOptions, wait_for};

#[test]
fn garbage_gets_no_further() {
    let server = ServerOptions::default().start();
    let inputs: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello on a plain port".to_vec(),
        vec![0; 4096],
        (0..=255).cycle().take(10_000).collect(),
        b"GET /api/1.0\r\n\r\n".to_vec(),
        b"GET /api/1.0 HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /api/1.0 HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"PUT /api/1.0/i/c/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}"
            .to_vec(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        format!("GET /api/1.0 HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        "X: y\r\n".repeat(100_000).into_bytes(),
    ];
    for (number, input) in inputs.iter().enumerate() {
        let mut http = server.http();
        // The server may close before everything was sent, which is an answer too.
        let sent = http.send(input).and_then(|()| http.end_sending());
        match http.read_answer(false) {
            Ok(answer) => assert!((400..=505).contains(&answer.status), "input {number}: {}", answer.status),
            Err(_closed) => assert!(sent.is_err() || http.is_closed().unwrap_or(true), "input {number}"),
        }
        still_serves(&server);
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn half_requests_are_given_up() {
    let server = ServerOptions::default().start();
    let halves = [
        "GET /api/1.0 HT",
        "PUT /api/1.0/half/c/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":",
        "PUT /api/1.0/half/c/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"a\":1",
    ];
    // Many at a time: none of them holds anything that others need.
    let mut clients = Vec::new();
    for half in halves.iter().cycle().take(60) {
        let mut http = server.http();
        http.send(half.as_bytes()).unwrap();
        clients.push(http);
    }
    still_serves(&server);
    for http in &clients {
        http.end_sending().unwrap();
    }
    for mut http in clients {
        // Answered with an error or closed; never stored.
        if let Ok(answer) = http.read_answer(false) {
            assert!(answer.status >= 400, "{}", answer.status);
        }
    }
    assert_eq!(server.request("GET", "/api/1.0/half/c/x", None).status, 404);
    still_serves(&server);
}

#[test]
fn a_client_that_never_finishes_its_head_is_closed() {
    let server =
        ServerOptions { config: "header_timeout_secs = 1\n".to_owned(), ..ServerOptions::default() }.start();
    let mut http = server.http();
    http.send(b"GET /api/1.0 HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let closed = http.read_answer(false).map_or_else(|_| true, |answer| answer.status == 408);
    assert!(closed, "the server gives up a head that does not end");
    still_serves(&server);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let server = ServerOptions::default().start();
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(8 << 20));
    let mut http = server.http();
    let head = format!(
        "PUT /api/1.0/i/c/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    http.send(head.as_bytes()).unwrap();
    // Answered by the length alone.
    assert_eq!(http.read_answer(false).unwrap().status, 413);

    // Without a length, once the limit is passed.
    let mut http = server.http();
    http.send(b"PUT /api/1.0/i/c/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..128 {
        if http.send(chunk.as_bytes()).is_err() {
            break;
        }
    }
    if let Ok(answer) = http.read_answer(false) {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(server.request("GET", "/api/1.0/i/c/x", None).status, 404);
    still_serves(&server);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let server = ServerOptions::default().start();
    let mut http = server.http();
    let mut text = String::new();
    for number in 0..100 {
        let body = format!("{{\"body\":{{\"n\":{number}}},\"metadata\":{{\"n\":{number}}}}}");
        text += &format!(
            "PUT /api/1.0/i/c/{} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            number % 7,
            body.len()
        );
    }
    http.send(text.as_bytes()).unwrap();
    for number in 0..100 {
        let answer = http.read_answer(false).unwrap().json();
        assert_eq!(answer["metadata"]["n"], number);
        assert_eq!(answer["status"], 200);
    }
}

#[test]
fn connections_beyond_the_limit_wait_or_are_refused_and_come_back() {
    let server =
        ServerOptions { config: "connections_max = 4\n".to_owned(), ..ServerOptions::default() }.start();
    let mut held: Vec<HttpClient> = (0..4).map(|_| server.http()).collect();
    for http in &mut held {
        assert_eq!(http.request("GET", "/api/1.0", None).unwrap().status, 200);
    }
    // As many again: whatever becomes of them, those that are connected go on.
    let beyond: Vec<_> = (0..4).map(|_| HttpClient::connect(server.rest())).collect();
    for http in &mut held {
        assert_eq!(http.request("GET", "/api/1.0", None).unwrap().status, 200);
    }
    drop(beyond);
    drop(held);
    wait_for("room for a new connection", || {
        let answer =
            HttpClient::connect(server.rest()).and_then(|mut http| http.request("GET", "/api/1.0", None));
        answer.ok().filter(|answer| answer.status == 200)
    });
}

fn still_serves(server: &Server) {
    assert_eq!(server.request("GET", "/api/1.0", None).status, 200);
}
