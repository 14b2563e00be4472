//! The stream may end anywhere: nothing hangs, nothing stays unanswered, nothing stays open.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::fixture::*;
use crate::abi::*;
use crate::proxy::link::Limits;
use crate::proxy::sockets::Sockets;
use crate::proxy::{far, near};

/// Carries bytes from one half to the other, so many and no more, in pieces of up to `piece` bytes.
fn relay(from: &UnixStream, to: &UnixStream, allowed: usize, piece: usize) -> Arc<Mutex<Vec<u8>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let carried = Arc::clone(&seen);
    thread::spawn(move || {
        let mut left = allowed;
        let mut buffer = vec![0; piece];
        while left > 0 {
            let room = left.min(piece);
            let Ok(read @ 1..) = from.read(&mut buffer[..room]) else { break };
            left -= read;
            carried.lock().extend_from_slice(&buffer[..read]);
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    });
    seen
}

/// Where to cut: after so many bytes towards the plugin, and towards the host.
#[derive(Clone, Copy, Debug)]
struct Cut {
    to_plugin: usize,
    to_host: usize,
    piece: usize,
}

impl Cut {
    const fn is_made(self) -> bool {
        self.to_plugin != usize::MAX || self.to_host != usize::MAX
    }
}

const NEVER: Cut = Cut { to_plugin: usize::MAX, to_host: usize::MAX, piece: 4096 };

/// Lives a whole life through a stream that is cut, and checks what must hold wherever that happens. Gives the bytes that
/// crossed: towards the plugin, and towards the host.
fn live(cut: Cut) -> (Vec<u8>, Vec<u8>) {
    let (near_end, near_relay) = UnixStream::pair().unwrap();
    let (far_end, far_relay) = UnixStream::pair().unwrap();
    let to_plugin = relay(&near_relay, &far_relay, cut.to_plugin, cut.piece);
    let to_host = relay(&far_relay, &near_relay, cut.to_host, cut.piece);
    drop((near_relay, far_relay));

    let sockets = Arc::new(Sockets::default());
    far::serve(module_of::<Plugin>(), far_end, Arc::clone(&sockets), Limits::DEFAULT).unwrap();
    let host = TestHost::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    host.state.with(|state| state.listeners.push((70, listener)));
    let arguments = arguments("");
    let name = arguments.instance.to_string();
    let started =
        near::start(near_end, &sockets, Limits::DEFAULT, HostRef::new(Arc::clone(&host)), arguments);
    match started {
        Err(error) => {
            assert_eq!(error.id.as_str(), "plugin.proxy.ended", "{cut:?}");
            // The plugin may have started all the same, or may be about to.
            host.state.with(|state| assert!(state.open.is_empty(), "{cut:?}"));
        }
        Ok(instance) => {
            *host.client.lock() = instance.service::<RequestsClient>();
            let stage = Stage { plugin: Plugin::named(&name).unwrap(), host: Arc::clone(&host), instance };
            run(stage, cut);
        }
    }
    (to_plugin.lock().clone(), to_host.lock().clone())
}

fn run(stage: Stage, cut: Cut) {
    let Stage { host, plugin, instance } = stage;
    let opened = plugin.requests.open(1, "{}");
    let is_open = match &opened {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.status, 503, "{cut:?}");
            false
        }
    };
    let inline = plugin.execute(1, r#"{"requestId":"inline"}"#);
    assert!([200, 400, STATUS_CANCELLED].contains(&answer(&inline).status), "{cut:?}");
    let identity = plugin.authenticate(1, "PLAIN", b"\0alice\0secret");
    assert!([200, STATUS_CANCELLED].contains(&answer(&identity).status), "{cut:?}");
    if let Ok(metric) = plugin.metrics.register("things_total", METRIC_COUNTER, "Things.") {
        plugin.metrics.add(metric, 1);
    }
    plugin.host.log(LogLevel::Info, "cuts", "a line", "");
    match plugin.listeners.list() {
        Ok(listed) => assert_eq!(listed.len(), 1, "{cut:?}"),
        // The cut has come already, and the plugin is being stopped.
        Err(error) => assert_eq!((error.status, cut.is_made()), (503, true), "{cut:?}"),
    }
    let late = plugin.execute(1, r#"{"answer":"late","requestId":"late"}"#);
    host.notify(RequestEvent::notification(vec![1], "channel", Blob::from("{}")));
    if is_open {
        let event = plugin.next_event();
        assert!(
            event.kind == EVENT_NOTIFICATION || (event.kind == EVENT_CLOSE && event.code == 503),
            "{cut:?}: {event:?}"
        );
        assert_eq!(event.connections.as_slice(), [1], "{cut:?}");
    }
    let status = status_of_late(&late, cut, &host);
    assert!([200, 400, STATUS_CANCELLED].contains(&status), "{cut:?}: {status}");
    assert!(cut.is_made() || status == 200, "{status}");
    plugin.requests.close(1);
    let (done, drained) = completion();
    instance.drain(done);
    let deadline = std::time::Instant::now() + CAP;
    let drained = loop {
        if let Some(done) = plugin.draining.with(Option::take) {
            done.complete(StopReport::drained());
        }
        if let Ok(reply) = drained.recv_timeout(Duration::from_millis(1)) {
            break reply.status;
        }
        assert!(std::time::Instant::now() < deadline, "{cut:?}: the drain is answered");
    };
    assert!([200, STATUS_CANCELLED].contains(&drained), "{cut:?}");
    let report = instance.stop(20_000);
    assert!(report.clean || report.leaked_threads == 0, "{cut:?}: {report:?}");
    drop(instance);
    plugin.stopped.wait_for(|stopped| stopped.as_ref().copied());
    host.state.with(|state| {
        assert!(state.open.is_empty(), "{cut:?}: connections stay open");
        // A failure is told to the host, an end that the host asked for is not.
        assert_eq!(!report.clean, state.lost.iter().any(|(id, _)| *id == 70), "{cut:?}");
    });
    // The far half learns of the end from its stream, a moment after the host.
    let refused = (2..).find_map(|connection| {
        thread::sleep(Duration::from_millis(1));
        assert!(connection < 60_000, "{cut:?}: the end is noticed");
        plugin.requests.open(connection, "{}").err()
    });
    assert!([429, 503].contains(&refused.unwrap().status), "{cut:?}");
    let (done, call) = completion();
    plugin.requests.execute(1, Blob::from("{}"), done);
    assert_eq!(answer(&call).status, STATUS_CANCELLED);
}

/// The answer to the request that the host holds: from the host when the request reaches it, from the cut when not.
fn status_of_late(call: &Call, cut: Cut, host: &TestHost) -> u32 {
    let deadline = std::time::Instant::now() + CAP;
    loop {
        if let Some((_, done)) = host.state.with(|state| state.held.pop()) {
            done.complete(Reply { status: 200, ..Reply::cancelled() });
        }
        if let Ok(reply) = call.recv_timeout(Duration::from_millis(1)) {
            return reply.status;
        }
        assert!(std::time::Instant::now() < deadline, "{cut:?}: the call is answered");
    }
}

/// Where frames end in a stream.
fn frame_ends(stream: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(length) = stream.get(at..at + 4) {
        at += 4 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends
}

#[test]
fn a_whole_life_needs_no_cut() {
    let (to_plugin, to_host) = live(NEVER);
    assert_eq!(frame_ends(&to_plugin).last(), Some(&to_plugin.len()));
    assert_eq!(frame_ends(&to_host).last(), Some(&to_host.len()));
    assert!(frame_ends(&to_plugin).len() >= 6 && frame_ends(&to_host).len() >= 9);
}

#[test]
fn a_stream_in_pieces_is_the_same_stream() {
    live(Cut { piece: 1, ..NEVER });
}

#[test]
fn the_stream_is_cut_at_each_frame_and_inside_each() {
    let (to_plugin, to_host) = live(NEVER);
    let places = |stream: &[u8]| {
        let mut places = vec![0];
        let mut begin = 0;
        for end in frame_ends(stream) {
            places.extend([begin + 2, begin + 4, (begin + 4 + end) / 2, end - 1, end]);
            begin = end;
        }
        places.dedup();
        places
    };
    for place in places(&to_plugin) {
        live(Cut { to_plugin: place, ..NEVER });
    }
    for place in places(&to_host) {
        live(Cut { to_host: place, ..NEVER });
    }
}

#[test]
fn a_host_that_drops_the_instance_without_a_stop_stops_the_plugin() {
    let Stage { plugin, instance, .. } = Way::Proxied.run("");
    plugin.requests.open(1, "{}").unwrap();
    let call = plugin.execute(1, r#"{"answer":"late","requestId":"x"}"#);
    drop(instance);
    assert_eq!(answer(&call).status, STATUS_CANCELLED);
    let event = plugin.next_event();
    assert_eq!((event.kind, event.code, event.connections.as_slice()), (EVENT_CLOSE, 503, &[1][..]));
    plugin.stopped.wait_for(|stopped| stopped.as_ref().copied());
}

#[test]
fn a_stop_that_takes_too_long_is_given_up() {
    let Stage { plugin, instance, .. } = Way::Proxied.run("");
    plugin.unstoppable.store(true, std::sync::atomic::Ordering::Relaxed);
    let report = instance.stop(20);
    assert_eq!(report, StopReport { clean: false, cut_connections: 0, leaked_threads: 1 });
    plugin.unstoppable.store(false, std::sync::atomic::Ordering::Relaxed);
}

#[test]
fn bytes_that_mean_nothing_end_the_instance() {
    // A length beyond the limit, a kind that nobody knows, an answer to no call, a message before its time.
    let streams: [&[u8]; 4] = [
        &[0xff, 0xff, 0xff, 0xff, 1],
        &[1, 0, 0, 0, 200],
        &[9, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0],
    ];
    for bytes in streams {
        let (near_end, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(bytes).unwrap();
        // Without the end of the stream: the bytes alone must do.
        let error = near::describe(near_end, Limits::DEFAULT);
        if bytes[4..].first() != Some(&5) {
            assert_eq!(error.err().unwrap().id.as_str(), "plugin.proxy.ended");
        }
        let (far_end, mut peer) = UnixStream::pair().unwrap();
        far::serve(module_of::<Plugin>(), far_end, Arc::default(), Limits::DEFAULT).unwrap();
        peer.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}
