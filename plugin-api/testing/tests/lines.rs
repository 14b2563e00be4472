//! The example protocol, on the fake host and through the proxy.

mod common;

#[allow(unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../examples/lines/src/lines.rs"]
mod lines;

/// Stands in for the example's allocator, which only a library can have.
mod allocator {
    pub(crate) fn bytes_in_use() -> usize {
        1
    }
}

use common::Client;
use kuzzle_plugin_api::abi::Reply;
use kuzzle_plugin_testing::FakeHost;
use lines::Lines;
use serde_json::{Value, json};

/// Runs a test directly and through the proxy.
fn both_ways(test: impl Fn(FakeHost)) {
    for is_proxied in [false, true] {
        eprintln!("proxied: {is_proxied}");
        test(FakeHost::new().proxied(is_proxied));
    }
}

#[test]
fn one_response_per_request_in_order() {
    both_ways(|host| {
        let plugin = host.start::<Lines>().expect("it starts");
        let mut client = Client::connect(host.address());
        for number in 0..50 {
            client.send(format!("{{\"requestId\":\"{number}\"}}\n"));
        }
        for number in 0..50 {
            assert_eq!(client.json()["requestId"], number.to_string());
        }
        let status = json!({ "connections": 1, "memory_bytes": 1 });
        // Through the proxy it is up to a second old.
        host.wait_for("the status to show the connection", |_| (plugin.status() == status).then_some(()));
        let info = host.connections()[0].1.clone();
        assert_eq!(info["tls"], false);
        assert_eq!(info["local"], host.address().to_string());
        client.finish_writing();
        assert_eq!(client.rest(), "");
        host.wait_for_connections(0);
        assert!(plugin.stop().clean);
    });
}

#[test]
fn bad_json_half_lines_and_long_lines_are_answered_and_harm_nothing() {
    both_ways(|host| {
        let host = host.with_settings(json!({ "line_max_bytes": 64 }));
        let _plugin = host.start::<Lines>().expect("it starts");
        let mut client = Client::connect(host.address());
        client.send("not json\n\r\n\n");
        assert_eq!(client.json()["status"], 400);
        client.send(vec![b'x'; 1_000_000]);
        client.send("\n");
        let refused = client.json();
        assert_eq!(refused["status"], 413);
        assert_eq!(refused["error"]["message"], "the request is longer than 64 bytes; it was skipped");
        client.send("{\"reque");
        client.send("stId\":\"half\"}\r\n{\"requestId\":");
        assert_eq!(client.json()["requestId"], "half");
        client.send("\"last\"}");
        client.finish_writing();
        assert_eq!(client.json()["requestId"], "last");
        assert_eq!(client.rest(), "");
        assert!(host.calls().iter().all(|call| call.bytes.as_slice().len() <= 65));
    });
}

#[test]
fn notifications_come_as_lines_also_while_a_request_runs() {
    both_ways(|host| {
        let held = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let holding = std::sync::Arc::clone(&held);
        let host = host.with_completion(move |_call, done| holding.lock().unwrap().push(done));
        let _plugin = host.start::<Lines>().expect("it starts");
        let mut clients = [Client::connect(host.address()), Client::connect(host.address())];
        let ids = host.wait_for_connections(2);
        for client in &mut clients {
            client.send("{}\n");
        }
        host.wait_for("two requests", |host| (host.calls().len() == 2).then_some(()));
        for number in 0..100 {
            host.notify(&ids, "room", format!("{{\"n\":{number}}}"));
        }
        host.notify(&[ids[0]], "room", "{\"only\":true}");
        for client in &mut clients {
            for number in 0..100 {
                assert_eq!(client.json(), json!({ "n": number }));
            }
        }
        for done in held.lock().unwrap().drain(..) {
            done.complete(Reply { status: 200, request_id: "".into(), body: "{\"late\":true}".into() });
        }
        let lines: Vec<Value> = clients.iter_mut().flat_map(|client| [client.json()]).collect();
        assert_eq!(lines.iter().filter(|line| line["only"] == true).count(), 1);
        assert_eq!(lines.iter().filter(|line| line["late"] == true).count(), 1);
    });
}

#[test]
fn a_close_by_the_host_and_a_stop_say_goodbye() {
    both_ways(|host| {
        let plugin = host.start::<Lines>().expect("it starts");
        let mut first = Client::connect(host.address());
        let ids = host.wait_for_connections(1);
        let mut second = Client::connect(host.address());
        host.wait_for_connections(2);
        host.close(&ids, 403, "you were asked to leave");
        assert_eq!(first.json()["error"]["message"], "you were asked to leave");
        assert_eq!(first.rest(), "");
        let stopping = std::thread::spawn(move || plugin.stop());
        assert_eq!(second.json()["error"]["message"], "the protocol is being stopped");
        assert_eq!(second.rest(), "");
        assert!(stopping.join().expect("stop does not panic").clean);
    });
}

#[test]
fn a_host_that_refuses_the_client_is_heard() {
    let host = FakeHost::new().proxied(false).without_service("requests");
    let _plugin = host.start::<Lines>().expect("it starts");
    let mut client = Client::connect(host.address());
    let message = "cannot open a client of the API: the host does not offer the service `requests`";
    assert_eq!(client.json()["error"]["message"], message);
    assert_eq!(client.rest(), "");
}

#[test]
fn its_settings_are_checked() {
    both_ways(|host| {
        let error =
            host.with_settings(json!({ "line_max_byte": 1 })).start::<Lines>().err().expect("a bad key");
        assert_eq!(error.message, "`/line_max_byte` does not exist; did you mean `line_max_bytes`?");
    });
}
