//! Clients of the API as a protocol uses them: through the kit, directly and through the proxy.

mod common;

use std::io;
use std::sync::{Arc, mpsc};

use common::{Client, Scripted};
use kuzzle_plugin_api::abi::{ApiError, Blob, Reply, RequestEvent, STATUS_CANCELLED};
use kuzzle_plugin_api::sdk::{
    Connection, ConnectionInfo, EVENTS_MAX, Host, Line, LineReader, Protocol, Received, RequestConnection,
    tokio,
};
use kuzzle_plugin_testing::{FakeHost, echo};
use serde_json::json;
use tokio::io::{AsyncWriteExt, split};

/// Does with the API what each line says, and answers with a line.
struct Caller {
    host: Host,
}

impl Protocol for Caller {
    type Settings = ();

    async fn start(host: Host, (): ()) -> Result<Self, ApiError> {
        Ok(Self { host })
    }

    async fn serve(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        let info = connection.info().with("user_agent", "test");
        let mut api = Some(self.host.requests().open(&info).map_err(io::Error::other)?);
        let (input, mut output) = split(connection);
        let mut lines = LineReader::new(input, 1_000);
        while let Some(Line::Whole(line)) = lines.next().await? {
            let answer = self.does(&String::from_utf8_lossy(&line), &mut api).await;
            output.write_all(format!("{answer}\n").as_bytes()).await?;
        }
        Ok(())
    }
}

impl Caller {
    async fn does(&self, line: &str, api: &mut Option<RequestConnection>) -> String {
        let Some(client) = api.as_ref() else { return "closed".to_owned() };
        let request = |id: usize| json!({ "requestId": id.to_string() }).to_string();
        match line {
            "execute" => client.execute(request(1)).await.request_id.to_string(),
            "callback" => {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                client.execute_then(request(2), |reply| sender.send(reply.request_id).unwrap_or_default());
                receiver.await.unwrap_or_default().to_string()
            }
            "many" => {
                let pending: Vec<_> = (0..1_000).map(|id| client.execute(request(id))).collect();
                let mut right = 0;
                for (id, pending) in pending.into_iter().enumerate() {
                    right += usize::from(pending.await.request_id == id.to_string());
                }
                right.to_string()
            }
            "forget" => {
                drop(client.execute(request(3)));
                "forgotten".to_owned()
            }
            "right password" => {
                client.authenticate("PLAIN", Blob::from("\0me\0secret")).await.status.to_string()
            }
            "wrong password" => {
                client.authenticate("PLAIN", Blob::from("\0me\0guess")).await.status.to_string()
            }
            "close" => {
                let before = client.execute(request(4));
                *api = None;
                before.await.status.to_string()
            }
            "next" => match client.received().await {
                Received::Notification(notification) => {
                    format!("{} {}", notification.channel, notification.payload.as_str().unwrap_or_default())
                }
                Received::Closed { code, reason } => format!("closed {code} {reason}"),
            },
            "count" => std::iter::from_fn(|| client.try_received())
                .take_while(|received| matches!(received, Received::Notification(_)))
                .count()
                .to_string(),
            other => format!("unknown: {other}"),
        }
    }
}

fn both_ways(test: impl Fn(FakeHost)) {
    for is_proxied in [false, true] {
        eprintln!("proxied: {is_proxied}");
        test(FakeHost::new().proxied(is_proxied));
    }
}

fn ask(client: &mut Client, line: &str) -> String {
    client.send(format!("{line}\n"));
    client.line()
}

#[test]
fn answers_come_by_future_and_by_callback() {
    both_ways(|host| {
        let plugin = host.start::<Caller>().expect("it starts");
        let mut client = Client::connect(host.address());
        assert_eq!(ask(&mut client, "execute"), "1");
        assert_eq!(ask(&mut client, "callback"), "2");
        assert_eq!(ask(&mut client, "many"), "1000");
        assert_eq!(ask(&mut client, "forget"), "forgotten");
        let info = host.connections()[0].1.clone();
        assert_eq!(info["user_agent"], "test");
        drop(client);
        host.wait_for_connections(0);
        assert!(plugin.stop().clean);
    });
}

#[test]
fn answers_may_come_late_from_other_threads_and_out_of_order() {
    both_ways(|host| {
        let (sender, receiver) = mpsc::channel::<(_, kuzzle_plugin_api::abi::Completion)>();
        let host = host.with_completion(move |call, done| {
            let _gone = sender.send((call, done));
        });
        let answering = std::thread::spawn(move || {
            let mut held = Vec::new();
            for (call, done) in receiver {
                held.push((call, done));
                if held.len() == 10 {
                    held.drain(..).rev().for_each(|(call, done)| done.complete(echo(&call)));
                }
            }
        });
        let plugin = host.start::<Caller>().expect("it starts");
        let mut client = Client::connect(host.address());
        assert_eq!(ask(&mut client, "many"), "1000");
        assert_eq!(host.calls().len(), 1_000);
        drop(client);
        plugin.stop();
        drop(host);
        answering.join().expect("answering ends with the host");
    });
}

#[test]
fn an_answer_that_nobody_gives_is_a_cancelled_one() {
    both_ways(|host| {
        let host = host.with_completion(|_call, done| drop(done));
        let _plugin = host.start::<Caller>().expect("it starts");
        let mut client = Client::connect(host.address());
        assert_eq!(ask(&mut client, "close"), STATUS_CANCELLED.to_string());
        assert_eq!(ask(&mut client, "execute"), "closed");
    });
}

#[test]
fn authentication_is_the_hosts() {
    both_ways(|host| {
        let _plugin = host.start::<Caller>().expect("it starts");
        let mut client = Client::connect(host.address());
        assert_eq!(ask(&mut client, "right password"), "200");
        assert_eq!(ask(&mut client, "wrong password"), "401");
        assert_eq!(host.authentications()[1].2, b"\0me\0guess");
    });
}

#[test]
fn notifications_are_in_order_and_bounded() {
    both_ways(|host| {
        let _plugin = host.start::<Caller>().expect("it starts");
        let mut client = Client::connect(host.address());
        let ids = host.wait_for_connections(1);
        host.push(RequestEvent { kind: 99, ..RequestEvent::close(ids.clone(), 1, "of a later host") });
        host.notify(&[ids[0] + 1], "nobody", "0");
        host.notify(&ids, "room", "1");
        host.notify(&ids, "room", "2");
        host.close(&ids, 403, "out");
        assert_eq!(ask(&mut client, "next"), "room 1");
        assert_eq!(ask(&mut client, "next"), "room 2");
        assert_eq!(ask(&mut client, "next"), "closed 403 out");
        assert_eq!(ask(&mut client, "next"), "closed 403 out");
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_are_not() {
    both_ways(|host| {
        let _plugin = host.start::<Caller>().expect("it starts");
        let mut slow = Client::connect(host.address());
        let slow_id = host.wait_for_connections(1)[0];
        let mut quick = Client::connect(host.address());
        let ids = host.wait_for_connections(2);
        for number in 0..=EVENTS_MAX {
            host.notify(&[slow_id], "room", number.to_string());
        }
        host.notify(&ids, "room", "\"last\"");
        assert_eq!(ask(&mut quick, "next"), "room \"last\"");
        host.wait_for_log("client closed: too many notifications wait for it");
        assert_eq!(ask(&mut slow, "count"), EVENTS_MAX.to_string());
        assert_eq!(ask(&mut slow, "next"), "closed 503 too slow: too many notifications wait");
        host.wait_for_metric("slow_clients_closed_total", 1);
    });
}

#[test]
fn a_protocol_may_take_events_for_many_clients_at_once() {
    both_ways(|host| {
        let host = host.with_settings(json!({ "on_event": "take", "on_start": "open_client" }));
        let _plugin = host.start::<Scripted>().expect("it starts");
        let ids = host.wait_for_connections(1);
        host.notify(&[ids[0], 5, 6], "room", "{}");
        assert_eq!(host.wait_for_log("taken").fields, json!({ "clients": 3, "channel": "room" }));
    });
}

#[test]
fn a_protocol_lives_without_metrics_and_listeners() {
    let host = FakeHost::new().proxied(false).without_service("metrics").without_service("listeners");
    let plugin = host.start::<Scripted>().expect("it starts");
    assert_eq!(plugin.status()["connections"], 0);
    assert!(plugin.stop().clean);
}

#[test]
fn an_answer_from_inside_the_call_may_call_again() {
    // Re-entrance: the callback runs inside `execute_then`, and executes again.
    struct Chain;
    impl Protocol for Chain {
        type Settings = ();

        async fn start(host: Host, (): ()) -> Result<Self, ApiError> {
            let client = Arc::new(host.requests().open(&ConnectionInfo::new())?);
            let (sender, receiver) = tokio::sync::oneshot::channel();
            step(client, 100, sender);
            receiver.await.map_err(|_| ApiError::new(500, "test", "the chain broke"))?;
            Ok(Self)
        }

        async fn serve(self: Arc<Self>, _connection: Connection) -> io::Result<()> {
            Ok(())
        }
    }
    fn step(client: Arc<RequestConnection>, left: u32, done: tokio::sync::oneshot::Sender<()>) {
        let next = Arc::clone(&client);
        client.execute_then("{}", move |reply: Reply| match left {
            _ if reply.status != 200 => drop(done),
            0 => drop(done.send(())),
            left => step(next, left - 1, done),
        });
    }
    both_ways(|host| {
        let plugin = host.start::<Chain>().expect("the chain ends");
        assert_eq!(host.calls().len(), 101);
        host.wait_for_connections(0);
        assert!(plugin.stop().clean);
    });
}
