use kuzzle_broker::Options;
use std::sync::mpsc;

use super::*;

struct Fixture {
    broker: GenerationBroker,
    messaging: Messaging,
    folder: std::path::PathBuf,
}

impl Fixture {
    fn new(max_connections: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("kuzzle-messaging-{}", uuid::Uuid::new_v4()));
        let messaging = Messaging::open(&folder, Options::default()).unwrap();
        let broker = GenerationBroker::new(BrokerOptions {
            messaging: messaging.clone(),
            instance: "birds".into(),
            max_connections,
        });
        Self { broker, messaging, folder }
    }

    fn reply(&self, call: impl FnOnce(Completion)) -> u32 {
        let (sender, receiver) = mpsc::channel();
        call(Completion::to_fn(move |reply| sender.send(reply.status).unwrap()));
        receiver.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    fn enter(&self, connection: u64, virtual_host: &str) -> u32 {
        self.reply(|done| self.broker.enter(connection, &Enter::new(virtual_host, "pigeon"), done))
    }

    fn open(&self, connection: u64) {
        self.broker.open(connection, "{}").unwrap();
        let plain = || Blob::from(b"\0guest\0guest".to_vec());
        assert_eq!(self.reply(|done| self.broker.authenticate(connection, "PLAIN", plain(), done)), 200);
        assert_eq!(self.enter(connection, "/"), 200);
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.broker.end();
        self.messaging.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_connection_proves_who_it_is_before_it_enters() {
    let fixture = Fixture::new(0);
    let status = |result: Result<(), ApiError>| result.map_err(|error| error.status);
    assert_eq!(status(fixture.broker.open(0, "{}")), Err(409));
    assert_eq!(status(fixture.broker.open(1, "[]")), Err(400));
    assert_eq!(status(fixture.broker.open(1, "{}")), Ok(()));
    assert_eq!(status(fixture.broker.open(1, "{}")), Err(409));
    assert_eq!(fixture.enter(1, "/"), 403);
    assert_eq!(status(fixture.broker.open_link(1, 2, LinkOptions::default())), Err(403));
    let wrong = Blob::from(b"\0guest\0no".to_vec());
    assert_eq!(fixture.reply(|done| fixture.broker.authenticate(1, "PLAIN", wrong, done)), 401);
    let empty = Blob::empty();
    assert_eq!(fixture.reply(|done| fixture.broker.authenticate(1, "ANONYMOUS", empty, done)), 200);
    assert_eq!(fixture.enter(1, "/nowhere"), 404);
    assert_eq!(fixture.enter(1, "/"), 200);
    assert_eq!(fixture.enter(1, "/"), 409);
    assert_eq!(fixture.enter(9, "/"), 404);
    assert_eq!(status(fixture.broker.open_link(1, 1, LinkOptions::default())), Err(409));
    assert_eq!(status(fixture.broker.open_link(1, 2, LinkOptions::default())), Ok(()));
    assert_eq!(status(fixture.broker.open_link(9, 3, LinkOptions::default())), Err(404));
    fixture.broker.close(1);
    fixture.broker.close(1);
    assert_eq!(fixture.broker.open_connections(), 0);
    fixture.broker.refuse_new();
    assert_eq!(status(fixture.broker.open(4, "{}")), Err(503));
}

#[test]
fn what_is_published_is_delivered_with_its_parts() {
    use kuzzle_plugin_api::abi::{CODE_NOT_FOUND, EVENT_ANSWER, EVENT_DELIVERY};
    let fixture = Fixture::new(1);
    fixture.open(1);
    assert_eq!(fixture.broker.open(5, "{}").map_err(|error| error.status), Err(429));
    fixture.broker.open_link(1, 2, LinkOptions::default()).unwrap();
    fixture.broker.declare_queue(2, 1, &QueueDeclare::new("q", 0));
    fixture.broker.consume(2, 2, &Consume::new(7, "q", 10));
    fixture.broker.consume(2, 3, &Consume::new(8, "none", 10));
    let accepted =
        fixture.broker.publish(2, 1, &[Publish::new("", "q", b"one"), Publish::new("", "q", b"two")]);
    assert_eq!((accepted.taken, accepted.throttled), (2, false));
    let events = fixture.broker.take(2, 100, 1 << 20);
    let kinds: Vec<(u32, u64, u32)> = events.iter().map(|event| (event.kind, event.op, event.code)).collect();
    assert_eq!(
        kinds,
        [
            (EVENT_ANSWER, 1, 200),
            (EVENT_ANSWER, 2, 200),
            (EVENT_ANSWER, 3, CODE_NOT_FOUND),
            (EVENT_DELIVERY, 0, 200),
            (EVENT_DELIVERY, 0, 200)
        ]
    );
    assert_eq!(events[0].text, "q");
    let bodies: Vec<&[u8]> = events[3..].iter().map(|event| event.message.parts().body.as_slice()).collect();
    assert_eq!(bodies, [b"one", b"two"]);
    assert_eq!((events[3].consumer, events[3].delivery, events[4].delivery), (7, 1, 2));
    assert!(fixture.broker.take(2, 100, 1 << 20).is_empty());
    assert_eq!(fixture.broker.publish(99, 1, &[Publish::new("", "q", b"x")]).taken, 0, "no such link");
}
