//! Clients of the socket.io port that break the rules of HTTP, WebSocket, engine.io or socket.io: they hurt nobody but
//! themselves.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use kuzzle_tests::load::NumberedLoad;
use kuzzle_tests::server::{free_port, socketio};
use kuzzle_tests::{HttpClient, PATIENCE, Server, ServerOptions};
use serde_json::{Value, json};

/// A server whose socket.io port is under attack, a client that was there before, and load over REST.
struct Attacked {
    server: Server,
    address: SocketAddr,
    witness: WebSocket,
    load: NumberedLoad,
}

impl Attacked {
    fn start(settings: &str) -> Self {
        let port = free_port();
        let plugins = format!("{}[protocols.socketio.settings]\n{settings}\n", socketio(port));
        let server = ServerOptions::with_plugins(plugins).start();
        server.wait_for_state("socketio", "running");
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let witness = WebSocket::open(address);
        let load = NumberedLoad::over_rest(server.rest());
        Self { server, address, witness, load }
    }

    fn http(&self) -> HttpClient {
        HttpClient::connect(self.address).unwrap()
    }

    /// The client that was there before is answered, a newcomer too, and REST never noticed.
    fn still_serves(&mut self) {
        self.witness.now();
        WebSocket::open(self.address).now();
    }

    fn finish(mut self) {
        self.still_serves();
        self.load.finish();
        assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        assert_eq!(self.server.instance("socketio")["generation"], 1);
    }
}

#[test]
fn garbage_gets_no_further() {
    let mut attacked = Attacked::start("");
    let path = "/socket.io/?EIO=3&transport=polling";
    let inputs: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello on a plain port".to_vec(),
        vec![0; 4096],
        (0..=255).cycle().take(10_000).collect(),
        format!("GET {path}\r\n\r\n").into_bytes(),
        format!("GET {path} HTTP/9.9\r\n\r\n").into_bytes(),
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n").into_bytes(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        format!("GET {path} HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        "X: y\r\n".repeat(100_000).into_bytes(),
    ];
    for (number, input) in inputs.iter().enumerate() {
        let mut http = attacked.http();
        // The server may close before everything was sent, which is an answer too.
        let sent = http.send(input).and_then(|()| http.end_sending());
        match http.read_answer(false) {
            Ok(answer) => assert!((400..=505).contains(&answer.status), "input {number}: {}", answer.status),
            Err(_closed) => assert!(sent.is_err() || http.is_closed().unwrap_or(true), "input {number}"),
        }
        attacked.still_serves();
    }
    attacked.finish();
}

#[test]
fn half_requests_are_given_up() {
    let mut attacked = Attacked::start("header_timeout_secs = 1\nbody_timeout_secs = 1");
    let session = handshake(&mut attacked.http());
    let post = format!(
        "POST /socket.io/?EIO=3&transport=polling&sid={session} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n7:42"
    );
    let halves = [
        "GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        "GET /socket.io/ HT",
        &post,
    ];
    let mut clients = Vec::new();
    for half in halves.iter().cycle().take(60) {
        let mut http = attacked.http();
        http.send(half.as_bytes()).unwrap();
        clients.push(http);
    }
    attacked.still_serves();
    // Nobody ends them but the server.
    for (number, mut http) in clients.into_iter().enumerate() {
        match http.read_answer(false) {
            Ok(answer) => assert!(answer.status >= 400, "client {number}: {}", answer.status),
            Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "client {number} is still open"),
        }
    }
    attacked.finish();
}

#[test]
fn what_is_no_engine_io_is_refused_with_the_codes_that_clients_know() {
    // A poll waits for the next heartbeat.
    let mut attacked = Attacked::start("message_max_bytes = 65536\nping_interval_millis = 200");
    let session = handshake(&mut attacked.http());
    let polling = format!("/socket.io/?EIO=3&transport=polling&sid={session}");
    let cases = [
        ("GET", "/socket.io/?EIO=9&transport=polling", None, 400, 5),
        ("GET", "/socket.io/?EIO=3&transport=pigeon", None, 400, 0),
        ("GET", "/socket.io/?EIO=3", None, 400, 0),
        ("GET", "/socket.io/?EIO=3&transport=polling&sid=nobody", None, 400, 1),
        ("POST", "/socket.io/?EIO=3&transport=polling&sid=nobody", Some("7:42[\"a\"]"), 400, 1),
        ("POST", "/socket.io/?EIO=3&transport=polling", Some("7:42[\"a\"]"), 400, 2),
        ("GET", "/socket.io/?EIO=3&transport=polling&j=0", None, 400, 3),
        ("GET", "/socket.io/?EIO=3&transport=websocket", None, 400, 3),
        ("DELETE", &polling, None, 400, 3),
        ("POST", &polling, Some(&"x".repeat(100_000)), 413, 3),
    ];
    for (method, path, body, status, code) in cases {
        let answer = attacked.http().request(method, path, body).unwrap();
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{method} {path}");
    }
    assert_eq!(attacked.http().request("GET", "/elsewhere", None).unwrap().status, 404);
    // A refused exchange takes nobody's session away; a malformed payload does.
    let poll = |attacked: &Attacked| attacked.http().request("GET", &polling, None).unwrap();
    assert_eq!(poll(&attacked).status, 200);
    let answer = attacked.http().request("POST", &polling, Some("no length in front")).unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(3)));
    assert_eq!(poll(&attacked).json()["code"], 1);
    attacked.still_serves();
    attacked.finish();
}

#[test]
fn messages_that_break_the_protocol_close_their_client_alone() {
    let mut attacked = Attacked::start("message_max_bytes = 65536");
    let large = format!("42[\"kuzzle\",{{\"a\":\"{}\"}}]", "x".repeat(70_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an empty packet", frame(0x81, b"")),
        ("an unknown packet", frame(0x81, b"9")),
        ("an unknown message", frame(0x81, b"49")),
        ("half an event", frame(0x81, b"42[\"kuzzle\",{\"controller\":")),
        ("an event that is no array", frame(0x81, b"42{\"kuzzle\":1}")),
        ("an event without a name", frame(0x81, b"42[1,{}]")),
        ("an acknowledgement beyond numbers", frame(0x81, b"42999999999999999999999[\"kuzzle\",{}]")),
        ("attachments without a count", frame(0x81, b"45[\"kuzzle\",{}]")),
        ("more attachments than anybody needs", frame(0x81, b"451000000-[\"kuzzle\",{}]")),
        ("a message that is too large", frame(0x81, large.as_bytes())),
        (
            "a frame that says it is enormous",
            vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 7, 7, 7],
        ),
        ("text that is not UTF-8", frame(0x81, &[0xff, 0xfe, 0xfd])),
        ("an opcode that does not exist", frame(0x83, b"x")),
        ("a frame without a mask", vec![0x81, 0x01, b'2']),
        ("a continuation of nothing", frame(0x80, b"x")),
        ("a ping that is too long", frame(0x89, &[0; 126])),
    ];
    for (what, bytes) in cases {
        let mut socket = WebSocket::open(attacked.address);
        socket.stream.write_all(&bytes).unwrap();
        assert!(socket.ends(), "{what} does not end the client");
        attacked.still_serves();
    }
    attacked.finish();
}

#[test]
fn requests_that_make_no_sense_are_answered() {
    let mut attacked = Attacked::start("");
    let mut socket = WebSocket::open(attacked.address);
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let cases = [
        ("{}".to_owned(), 400, "No controller provided for object"),
        (json!({ "controller": "write" }).to_string(), 400, "No action provided for object"),
        (json!({ "controller": {}, "action": "now" }).to_string(), 400, "`controller` must be a string"),
        (json!({ "controller": "read", "action": "fly" }).to_string(), 400, "No corresponding action fly"),
        (json!({ "controller": "write", "action": "publish" }).to_string(), 501, "not available yet"),
        (json!({ "controller": "write", "action": "create" }).to_string(), 400, ""),
        ("[1,2,3]".to_owned(), 400, "must be a JSON object, got an array"),
        ("\"text\"".to_owned(), 400, "must be a JSON object, got a string"),
        ("null".to_owned(), 400, "must be a JSON object, got null"),
        (format!("{{\"controller\":\"write\",\"body\":{deep}}}"), 400, "not valid JSON"),
    ];
    for (request, status, message) in cases {
        socket.send(&format!("42[\"kuzzle\",{request}]"));
        let (_, response) = socket.event();
        assert_eq!(response["status"], status, "{response}");
        assert!(response["error"]["message"].as_str().unwrap().contains(message), "{response}");
        socket.now();
    }
    // The fault behind the request's id does not hide it.
    let half_way = format!("42[\"kuzzle\",{{\"requestId\":\"mine\",\"body\":{deep}}}]");
    socket.send(&half_way);
    let (event, response) = socket.event();
    assert_eq!((event.as_str(), &response["status"]), ("mine", &json!(400)));
    attacked.still_serves();
    attacked.finish();
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    const REQUESTS: usize = 1_000;
    let mut attacked = Attacked::start("pending_requests_max = 16\noutbox_max_bytes = 65536");
    let text = "x".repeat(500_000);
    let body = json!({ "text": text }).to_string();
    assert_eq!(attacked.server.request("PUT", "/api/1.0/i/c/large", Some(&body)).status, 200);
    let before = memory(&attacked.server);
    let mut greedy = WebSocket::open(attacked.address);
    let mut writer = greedy.stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || {
        for number in 0..REQUESTS {
            let request = json!({
                "controller": "read", "action": "get", "index": "i", "collection": "c", "_id": "large",
                "requestId": number.to_string()
            });
            writer.write_all(&frame(0x81, format!("42[\"kuzzle\",{request}]").as_bytes())).unwrap();
        }
    });
    // Half a gigabyte of answers is asked for; a few of them are made, for everybody else it is as before.
    for _ in 0..50 {
        attacked.still_serves();
    }
    let taken = memory(&attacked.server).saturating_sub(before);
    assert!(taken < 100 << 20, "{} MiB for a client that does not read", taken >> 20);
    // Whoever reads at last gets all of it, in order.
    for number in 0..REQUESTS {
        let (event, response) = greedy.event();
        assert_eq!(event, number.to_string());
        assert_eq!(response["result"]["_source"]["text"], text);
    }
    sent.join().unwrap();
    attacked.finish();
}

/// Memory that the server has, in bytes.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The session id of a new client on long-polling.
fn handshake(http: &mut HttpClient) -> String {
    let answer = http.request("GET", "/socket.io/?EIO=4&transport=polling", None).unwrap();
    let open: Value = serde_json::from_str(answer.text().trim_start_matches('0')).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

/// A masked frame, whatever it says: `first` is its first byte, the final bit and the opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 77, 177, 200];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A client of engine.io 3 on a WebSocket that can send anything.
struct WebSocket {
    stream: TcpStream,
    requests: u64,
}

impl WebSocket {
    fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(
                b"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        // The answer to this key, as RFC 6455 prints it in section 1.3.
        assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        let mut socket = Self { stream, requests: 0 };
        assert!(socket.text().starts_with("0{"));
        assert_eq!(socket.text(), "40");
        socket
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(&frame(0x81, text.as_bytes())).unwrap();
    }

    /// One request and its answer.
    fn now(&mut self) {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.send(&format!(
            "42[\"kuzzle\",{}]",
            json!({ "controller": "read", "action": "now", "requestId": id })
        ));
        let (event, response) = self.event();
        assert_eq!((event, &response["status"]), (id, &json!(200)));
    }

    fn event(&mut self) -> (String, Value) {
        let text = self.text();
        let event: Value =
            serde_json::from_str(text.strip_prefix("42").unwrap_or_else(|| panic!("{text}"))).unwrap();
        (event[0].as_str().unwrap().to_owned(), event[1].clone())
    }

    /// One text message, in as many frames as it comes.
    fn text(&mut self) -> String {
        let mut message = Vec::new();
        let mut expected = 1;
        loop {
            let (head, payload) = self.read().unwrap();
            assert_eq!(head & 0x0f, expected, "a text message");
            message.extend(payload);
            if head & 0x80 != 0 {
                return String::from_utf8(message).unwrap();
            }
            expected = 0;
        }
    }

    /// The first byte of a frame, and its payload.
    fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let length = match head[1] {
            length @ 0..=125 => usize::from(length),
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            found => return Err(io::Error::other(format!("a frame of length code {found}"))),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0], payload))
    }

    /// Whether the server closes: its last words are read, its closing handshake answered.
    fn ends(&mut self) -> bool {
        loop {
            match self.read() {
                Ok((0x88, _)) => {
                    let answer = frame(0x88, &1000_u16.to_be_bytes());
                    // Then it need not wait for us.
                    let _gone =
                        self.stream.write_all(&answer).and_then(|()| self.stream.shutdown(Shutdown::Write));
                }
                Ok(_) => {}
                Err(error) => {
                    return matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
                }
            }
        }
    }
}
