//! A broker that is called directly and one behind the proxy: the same calls arrive, nothing leaks, no panic crosses.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::fixture::*;
use super::recorder::Recorder;
use crate::abi::*;
use crate::proxy::link::Limits;
use crate::proxy::sockets::Sockets;
use crate::proxy::{far, near};

/// A plugin on a host with a broker.
struct Scene {
    stage: Stage,
    recorder: Arc<Recorder>,
    broker: Broker,
    client: BrokerClient,
}

impl Scene {
    fn of(start: impl FnOnce(&Arc<TestHost>) -> Stage, recorder: Recorder) -> Self {
        let (host, recorder) = (TestHost::new(), Arc::new(recorder));
        *host.broker.lock() = Some(Broker::offer(Arc::clone(&recorder)));
        let stage = start(&host);
        let broker = stage.plugin.host.service().unwrap();
        let client = stage.instance.service().unwrap();
        Self { stage, recorder, broker, client }
    }

    fn run(way: Way) -> Self {
        Self::of(|host| way.run_on(host, ""), Recorder::default())
    }

    fn run_small() -> Self {
        let small = Limits { frame_bytes: 4096, outbox_bytes: 64 * 1024 };
        let start = |host: &Arc<TestHost>| {
            let (near_end, far_end) = UnixStream::pair().unwrap();
            let sockets = Arc::new(Sockets::default());
            far::serve(module_of::<Plugin>(), far_end, Arc::clone(&sockets), small).unwrap();
            let arguments = arguments("");
            let name = arguments.instance.to_string();
            let host_ref = HostRef::new(Arc::clone(host));
            let instance = near::start(near_end, &sockets, small, host_ref, arguments).unwrap();
            Stage { plugin: Plugin::named(&name).unwrap(), host: Arc::clone(host), instance }
        };
        Self::of(start, Recorder::default())
    }

    /// Opens connection 1 with link 2.
    fn open(&self, flags: u32) {
        self.broker.open(1, "{}").unwrap();
        let (done, entered) = completion();
        self.broker.enter(1, &Enter::new("/", "me"), done);
        assert_eq!(answer(&entered).status, 200);
        self.broker.open_link(1, 2, LinkOptions { flags, ..LinkOptions::default() }).unwrap();
        // A host has events for links that it knows, which may take a moment.
        self.recorder.calls.wait_for(|calls| calls.last()?.starts_with("open_link").then_some(()));
    }

    fn push(&self, id: u64, event: LinkEvent) {
        self.recorder.push(&self.stage.host, Some(&self.client), id, event);
    }

    /// The next event of an outbox, once it is there.
    #[track_caller]
    fn next(&self, id: u64) -> LinkEvent {
        self.stage.plugin.broker_ready.wait_for(|_| self.broker.take(id, 1, u64::MAX).into_iter().next())
    }

    /// Waits until all calls so far have been made.
    fn quiesce(&self) {
        let (done, quiet) = completion();
        self.broker.quiesce(2, 1_000, done);
        assert_eq!(answer(&quiet).status, 200);
    }

    fn stop(self) {
        assert!(self.stage.instance.stop(1_000).clean);
    }
}

const WAYS: [Way; 2] = [Way::Direct, Way::Proxied];

#[test]
fn every_call_arrives_as_it_was_made() {
    let made = WAYS.map(|way| {
        let scene = Scene::run(way);
        let broker = &scene.broker;
        scene.open(LINK_STOPS_AT_ERROR);
        let (done, authenticated) = completion();
        broker.authenticate(1, "PLAIN", b"\0me\0secret".to_vec().into(), done);
        assert_eq!(answer(&authenticated).status, 200);
        let publish = Publish {
            properties: b"\x80\x00\x01x"[..].into(),
            flags: PUBLISH_RETAIN,
            dedupe: 5,
            ..Publish::new("amq.topic", "a.\u{e9}", b"body")
        };
        let shared = Publish { shared: vec![7; 300_000].into(), ..Publish::new("", "q", b"") };
        let settles = [
            Settle::one(1, SETTLE_RECEIVED),
            Settle { flags: SETTLE_MULTIPLE, ..Settle::one(9, SETTLE_DONE) },
        ];
        assert_eq!(broker.publish(2, 11, &[publish.clone(), shared.clone(), publish.clone()]).taken, 3);
        assert_eq!(broker.publish(2, 14, &[]), Accepted { taken: 0, throttled: false });
        broker.settle(2, 3, &settles);
        broker.commit(2, 4, 20, &[publish.clone(), shared], &settles);
        broker.confirm(2, 5, true);
        broker.recover(2, 6);
        broker.get(2, 7, "q", true);
        let arguments = &b"\x05x-maxI\0\0\0\x01"[..];
        let exchange = ExchangeDeclare::new("e", "topic", DECLARE_DURABLE);
        broker.declare_exchange(2, 8, &ExchangeDeclare { arguments: arguments.into(), ..exchange });
        broker.delete_exchange(2, 9, "e", DELETE_IF_UNUSED);
        let queue = QueueDeclare::new("q", DECLARE_EXCLUSIVE);
        broker.declare_queue(2, 10, &QueueDeclare { arguments: arguments.into(), ..queue });
        broker.delete_queue(2, 11, "q", DELETE_IF_EMPTY);
        broker.purge_queue(2, 12, "q");
        let bind = Bind {
            id: 77,
            arguments: arguments.into(),
            options: b"opaque"[..].into(),
            retained: RETAINED_IF_NEW,
            flags: BIND_NO_LOCAL,
            ..Bind::new("amq.topic", "q", "#")
        };
        broker.bind(2, 13, &bind);
        broker.unbind(2, 14, &bind);
        let consume = Consume {
            name: "tag".into(),
            flags: CONSUME_EXCLUSIVE,
            overflow: OVERFLOW_CLOSE,
            limit_events: 4,
            credit_bytes: 5,
            limit_bytes: 6,
            arguments: arguments.into(),
            ..Consume::new(3, "q", 2)
        };
        broker.consume(2, 15, &consume);
        broker.cancel(2, 16, 3);
        broker.credit(2, 17, 0, 10, 1_000);
        let session = SessionAttach {
            arguments: arguments.into(),
            expiry_secs: EXPIRY_NEVER,
            will_delay_secs: 3,
            durable: true,
            clean: true,
            has_will: true,
            will: publish,
            ..SessionAttach::new("me", "mine")
        };
        broker.attach_session(2, 18, &session);
        broker.detach_session(2, 19, DETACH_WITH_WILL, 60);
        broker.note_session(2, 20, "key", b"value");
        broker.forget(2, 21, &[1, 2]);
        scene.quiesce();
        assert_eq!(broker.limits().as_slice(), br#"{"max_links":3}"#);
        broker.close_link(2);
        broker.close(1);
        let calls = scene.recorder.wait_for(29);
        scene.stop();
        calls
    });
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0].len(), 29);
}

#[test]
fn events_arrive_whole_and_wake_once() {
    for way in WAYS {
        let scene = Scene::run(way);
        scene.open(0);
        let parts = MessageParts {
            properties: b"\x10\x00\x02"[..].into(),
            received_ms: 5,
            expires_ms: 6,
            flags: MESSAGE_RETAIN,
            ..MessageParts::of("e", "k", b"body")
        };
        let event = LinkEvent {
            binding: 4,
            more_bindings: vec![5, 6].into(),
            messages: 7,
            consumers: 8,
            text: "text".into(),
            data: "data".into(),
            ..LinkEvent::delivery(1, 2, FLAG_RETAINED, 3, Message::new(&parts))
        };
        scene.push(2, event.clone());
        let found = scene.next(2);
        assert_eq!(format!("{found:?}"), format!("{event:?}"));
        let seen = found.message.parts();
        assert_eq!((seen.properties.as_slice(), seen.body.as_slice()), (&b"\x10\x00\x02"[..], &b"body"[..]));
        assert_eq!((seen.received_ms, seen.expires_ms, seen.flags), (5, 6, MESSAGE_RETAIN));
        assert!(scene.broker.take(2, 10, 10).is_empty());
        assert_eq!(scene.stage.plugin.broker_ready.with(std::mem::take), [2]);
        scene.push(1, LinkEvent::blocked("low on memory"));
        assert_eq!(scene.next(1).kind, EVENT_BLOCKED);
        assert!(scene.broker.take(99, 10, 10).is_empty());
        scene.stop();
    }
}

#[test]
fn what_the_host_refuses_to_open_is_closed() {
    for way in WAYS {
        let scene = Scene::run(way);
        let broker = &scene.broker;
        match broker.open(7, r#"{"refuse":1}"#) {
            Err(error) => assert_eq!(error.status, 429),
            Ok(()) => {
                let event = scene.next(7);
                assert_eq!((event.kind, event.text.as_str()), (EVENT_CLOSED, "CONNECTION_FORCED - too many"));
            }
        }
        scene.open(0);
        let options = LinkOptions { outbox_events: 666, ..LinkOptions::default() };
        match broker.open_link(1, 3, options) {
            Err(error) => assert_eq!(error.status, 429),
            Ok(()) => {
                assert_eq!(scene.next(3).kind, EVENT_CLOSED);
                assert_eq!(broker.publish(3, 1, &[Publish::new("", "", b"")]), Accepted::default());
            }
        }
        scene.stop();
    }
}

#[test]
fn the_far_side_refuses_what_it_can_see() {
    let scene = Scene::run(Way::Proxied);
    let broker = &scene.broker;
    assert_eq!(broker.open(1, "[]").unwrap_err().status, 400);
    assert_eq!(broker.open(0, "{}").unwrap_err().status, 409);
    assert_eq!(broker.open_link(1, 2, LinkOptions::default()).unwrap_err().status, 404);
    broker.open(1, "{}").unwrap();
    assert_eq!(broker.open(1, "{}").unwrap_err().status, 409);
    assert_eq!(broker.open_link(1, 2, LinkOptions::default()).unwrap_err().status, 403);
    assert!(!broker.recover(2, 1));
    scene.stop();
}

#[test]
fn calls_wait_in_order_while_the_host_throttles() {
    let scene = Scene::run(Way::Proxied);
    scene.open(0);
    *scene.recorder.room.lock() = Some(2);
    let bodies = [b"1", b"2", b"3", b"4", b"5"];
    let batch = bodies.map(|body| Publish::new("", "q", body));
    let mut sequence = 1;
    let accepted = scene.broker.publish(2, sequence, &batch);
    sequence += u64::from(accepted.taken);
    scene.broker.recover(2, 9);
    // It is known here in a moment.
    loop {
        let accepted = scene.broker.publish(2, sequence, &batch[..1]);
        sequence += u64::from(accepted.taken);
        if accepted.throttled {
            break;
        }
    }
    let before = scene.recorder.calls.with(|calls| calls.len());
    assert_eq!(before, 3 + 2, "open, enter, open_link, and what there was room for");
    *scene.recorder.room.lock() = None;
    scene.push(1, LinkEvent::unblocked());
    assert_eq!(scene.next(1).kind, EVENT_UNBLOCKED);
    scene.quiesce();
    let calls = scene.recorder.calls.with(|calls| calls.clone());
    assert_eq!(calls[7], "publish 2 5 /q/[]/1/0/0");
    assert_eq!(calls[8], "recover 2 9");
    let published: Vec<u64> = calls
        .iter()
        .filter_map(|call| call.strip_prefix("publish 2 ")?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(published, (1..sequence).collect::<Vec<_>>());
    scene.stop();
}

#[test]
fn a_flood_is_throttled_by_its_bytes() {
    let scene = Scene::run(Way::Proxied);
    scene.open(0);
    *scene.recorder.room.lock() = Some(0);
    let body = vec![7; 100_000];
    let mut taken = 0;
    loop {
        let accepted = scene.broker.publish(2, taken + 1, &[Publish::new("", "q", &body)]);
        taken += u64::from(accepted.taken);
        if accepted.throttled {
            break;
        }
    }
    assert!(taken <= 50, "{taken} messages of 100 kB are on their way");
    assert!(scene.broker.recover(2, 1), "an operation is taken, and says that it is throttled");
    *scene.recorder.room.lock() = None;
    scene.push(1, LinkEvent::unblocked());
    scene
        .recorder
        .calls
        .wait_for(|calls| (calls.last().map(String::as_str) == Some("recover 2 1")).then_some(()));
    // From the host, and from the proxy when it has room again.
    assert_eq!(scene.next(1).kind, EVENT_UNBLOCKED);
    while scene.broker.publish(2, taken + 1, &[Publish::new("", "q", b"")]).throttled {
        assert_eq!(scene.next(1).kind, EVENT_UNBLOCKED);
    }
    scene.stop();
}

#[test]
fn events_that_are_not_taken_stay_at_the_host() {
    let scene = Scene::run(Way::Proxied);
    scene.open(0);
    for number in 1..=5_000 {
        scene.push(2, LinkEvent::confirmed(number));
    }
    scene.quiesce();
    scene.stage.plugin.broker_ready.wait_for(|ready| (!ready.is_empty()).then_some(()));
    assert!(scene.recorder.waiting(2) >= 5_000 - 1_024, "{}", scene.recorder.waiting(2));
    for number in 1..=5_000 {
        assert_eq!(scene.next(2).op, number);
    }
    scene.stop();
}

#[test]
fn what_is_too_long_is_refused_in_its_place() {
    let scene = Scene::run_small();
    scene.open(LINK_STOPS_AT_ERROR);
    scene.broker.open_link(1, 3, LinkOptions::default()).unwrap();
    let long = vec![7; 5_000];
    let batch =
        [Publish::new("", "q", b"short"), Publish::new("", "q", &long), Publish::new("", "q", b"last")];
    for link in [2, 3] {
        assert_eq!(scene.broker.publish(link, 1, &batch).taken, 3);
        let refused = scene.next(link);
        assert_eq!((refused.kind, refused.op, refused.code), (EVENT_REFUSED, 2, CODE_CONTENT_TOO_LARGE));
    }
    let arguments = long[..].into();
    scene.broker.declare_queue(3, 8, &QueueDeclare { arguments, ..QueueDeclare::new("q", 0) });
    let refused = scene.next(3);
    assert_eq!((refused.kind, refused.op, refused.code), (EVENT_ANSWER, 8, CODE_CONTENT_TOO_LARGE));
    let message = Message::new(&MessageParts::of("", "q", &long));
    scene.push(3, LinkEvent::delivery(1, 1, 0, 0, message.clone()));
    scene.push(3, LinkEvent::got(9, 2, 0, 0, message.clone()));
    scene.push(3, LinkEvent::returned(1, message));
    let got = scene.next(3);
    assert_eq!((got.kind, got.op, got.code), (EVENT_ANSWER, 9, CODE_CONTENT_TOO_LARGE));
    let returned = scene.next(3);
    assert!(returned.kind == EVENT_RETURNED && returned.message.is_empty());
    let warned = |line: &&(LogLevel, String, String, String)| line.2.contains("too long to reach the plugin");
    // What a side logs takes its own way and may come after what it sends.
    scene.stage.host.state.wait_for(|state| (state.logs.iter().filter(warned).count() == 3).then_some(()));
    scene.quiesce();
    let calls = scene.recorder.calls.with(std::mem::take);
    let of_links: Vec<_> = calls.iter().skip(4).map(String::as_str).collect();
    let reject = |delivery| format!("settle 3 0 {:?}", [Settle::one(delivery, SETTLE_REJECT)]);
    assert_eq!(
        of_links,
        [
            "publish 2 1 /q/[]/5/0/0",
            "publish 3 1 /q/[]/5/0/0",
            "publish 3 3 /q/[]/4/0/0",
            &reject(1),
            &reject(2),
            "quiesce 2 1000",
        ]
    );
    scene.stop();
}

#[test]
fn when_one_side_ends_the_other_is_left_clean() {
    let scene = Scene::run(Way::Proxied);
    scene.open(0);
    let (done, never) = completion();
    scene.broker.authenticate(1, "PLAIN", Blob::empty(), done);
    assert_eq!(answer(&never).status, 200);
    let Scene { stage, recorder, broker, .. } = scene;
    let Stage { plugin, instance, .. } = stage;
    drop(instance);
    let closed = plugin.broker_ready.wait_for(|_| broker.take(2, 1, 0).into_iter().next());
    assert_eq!((closed.kind, closed.code), (EVENT_CLOSED, CODE_CONNECTION_FORCED));
    assert_eq!(broker.publish(2, 1, &[Publish::new("", "", b"")]), Accepted::default());
    drop((plugin, broker));
    assert!(recorder.calls.with(|calls| calls.len()) >= 4);
}

#[test]
fn no_panic_of_the_host_crosses() {
    for way in WAYS {
        let panicking = Recorder { panics: true, ..Recorder::default() };
        let scene = Scene::of(|host| way.run_on(host, ""), panicking);
        let broker = &scene.broker;
        if matches!(way, Way::Direct) {
            assert_eq!(broker.open(1, "{}").unwrap_err().status, 500);
            assert_eq!(broker.publish(2, 1, &[Publish::new("", "", b"")]), Accepted::default());
            assert!(!broker.settle(2, 1, &[]) && broker.take(2, 1, 1).is_empty());
        } else {
            broker.open(1, "{}").unwrap();
            let event = scene.next(1);
            assert_eq!((event.kind, event.code), (EVENT_CLOSED, CODE_CONNECTION_FORCED));
        }
        assert!(broker.limits().as_slice().is_empty());
        let (done, cancelled) = completion();
        broker.authenticate(1, "PLAIN", Blob::empty(), done);
        assert_eq!(answer(&cancelled).status, STATUS_CANCELLED);
        scene.stop();
    }
}

#[test]
fn a_completion_that_the_host_drops_is_answered() {
    for way in WAYS {
        let scene = Scene::run(way);
        scene.broker.open(1, "{}").unwrap();
        let (done, cancelled) = completion();
        scene.broker.authenticate(1, "DROP", Blob::empty(), done);
        assert_eq!(answer(&cancelled).status, STATUS_CANCELLED);
        scene.stop();
    }
}

#[test]
fn the_service_and_its_messages_are_freed() {
    struct Shown;
    impl MessageSource for Shown {
        type Owner = Vec<u8>;
        fn parts(owner: &Vec<u8>) -> MessageParts<'_> {
            MessageParts::of("", "q", owner)
        }
    }
    for way in WAYS {
        let scene = Scene::run(way);
        scene.open(0);
        let body = Arc::new(b"body".to_vec());
        for number in 1..=3 {
            let message = Message::share::<Shown>(Arc::clone(&body));
            scene.push(2, LinkEvent::delivery(1, number, 0, 0, message));
        }
        let taken: Vec<_> = (0..2).map(|_| scene.next(2)).collect();
        assert!(taken.iter().all(|event| event.message.parts().body.as_slice() == b"body"));
        if matches!(way, Way::Direct) {
            assert_eq!(Arc::strong_count(&body), 4, "two are taken, one waits");
            assert_eq!(taken[0].message.parts().body.as_ptr(), body.as_ptr());
        }
        drop(taken);
        let Scene { stage, broker, client, recorder } = scene;
        stage.instance.stop(1_000);
        recorder.outboxes.lock().clear();
        *stage.host.broker.lock() = None;
        drop((stage, broker, client));
        assert_eq!(Arc::strong_count(&body), 1);
        let deadline = std::time::Instant::now() + CAP;
        while Arc::strong_count(&recorder) > 1 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(Arc::strong_count(&recorder), 1);
    }
}

#[test]
fn the_tables_are_told_apart() {
    let service = Broker::offer(Arc::new(Recorder::default()));
    assert!(service.clone().typed::<Broker>().is_ok());
    let mismatch = service.typed::<BrokerClient>().err().unwrap();
    assert!(!mismatch.summary.is_empty() && mismatch.summary.lines().count() == 1, "{mismatch}");
    assert_eq!(size_of::<Message>(), 16);
    assert!(size_of::<LinkEvent>() <= 192, "{}", size_of::<LinkEvent>());
}
