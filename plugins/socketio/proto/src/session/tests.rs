use proptest::prelude::*;

use super::*;
use crate::payload::{Decoder, Inbound};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        request_event: "kuzzle".into(),
        ping_interval: 25 * SECOND,
        ping_timeout: 60 * SECOND,
        connect_timeout: 45 * SECOND,
        outbox_max_bytes: 4096,
        attachments_max: 10,
    })
}

fn open(revision: Revision, now: Instant) -> Session {
    Session::new(limits(), revision, "secret", "public", true, 1000, now)
}

/// A session that has joined, with nothing waiting.
fn joined(revision: Revision, now: Instant) -> Session {
    let mut session = open(revision, now);
    if revision == Revision::V4 {
        assert_eq!(session.handle_text(&"40".into(), now), Ok(Input::Connected));
    }
    sent(&mut session);
    session
}

fn sent(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll_transmit()).map(String::from).collect()
}

#[test]
fn a_revision_3_client_joins_with_the_handshake() {
    let mut session = open(Revision::V3, Instant::now());
    assert!(session.is_connected());
    let expected = r#"0{"pingInterval":25000,"pingTimeout":60000,"sid":"secret","upgrades":["websocket"]}"#;
    assert_eq!(sent(&mut session), [expected, "40"]);
}

#[test]
fn a_revision_4_client_asks_to_join() {
    let now = Instant::now();
    let mut session = open(Revision::V4, now);
    assert!(sent(&mut session)[0].contains(r#""maxPayload":1000"#));
    assert_eq!(session.handle_text(&r#"42["kuzzle",{}]"#.into(), now), Err(Violation::NotConnected));
    assert_eq!(session.handle_text(&r#"40{"token":1}"#.into(), now), Ok(Input::Connected));
    assert_eq!(sent(&mut session), [r#"40{"sid":"public"}"#]);
    assert_eq!(session.handle_text(&"40".into(), now), Ok(Input::Handled));
}

#[test]
fn a_request_is_the_text_of_the_first_argument() {
    let now = Instant::now();
    let mut session = joined(Revision::V3, now);
    let mut take = |text: &str| session.handle_text(&text.into(), now);
    assert_eq!(
        take(r#"42["kuzzle",{"é": 1},2]"#),
        Ok(Input::Request { body: r#"{"é": 1}"#.into(), ack: None })
    );
    assert_eq!(take(r#"427["kuzzle",[]]"#), Ok(Input::Request { body: "[]".into(), ack: Some(7) }));
    assert_eq!(take(r#"42["kuzzle"]"#), Ok(Input::Dropped(Dropped::NoArgument)));
    assert_eq!(take(r#"42["other",{}]"#), Ok(Input::Dropped(Dropped::OtherEvent)));
    assert_eq!(take("42[kuzzle]"), Err(Violation::Message(MessageError::BadEvent)));
}

#[test]
fn an_answer_is_an_event_and_an_acknowledgement_where_one_is_awaited() {
    let mut session = joined(Revision::V4, Instant::now());
    session.answer("id \"1\"", r#"{"status":200}"#, None);
    session.answer("b", "{}", Some(3));
    assert_eq!(sent(&mut session), [r#"42["id \"1\"",{"status":200}]"#, r#"42["b",{}]"#, "433[{}]"]);
}

#[test]
fn attachments_are_taken_and_dropped() {
    let now = Instant::now();
    let mut session = joined(Revision::V3, now);
    let announced = r#"452-["kuzzle",{"_placeholder":true,"num":0}]"#.into();
    assert_eq!(session.handle_text(&announced, now), Ok(Input::Dropped(Dropped::Binary)));
    assert_eq!(session.handle_binary(now), Input::Handled);
    assert_eq!(session.handle_text(&"b4AQID".into(), now), Ok(Input::Handled));
    assert_eq!(session.handle_binary(now), Input::Dropped(Dropped::StrayAttachment));
    let too_many = r#"4511-["kuzzle"]"#.into();
    assert_eq!(session.handle_text(&too_many, now), Err(Violation::TooManyAttachments(11)));
}

#[test]
fn other_namespaces_are_refused_in_each_revision_s_words() {
    let now = Instant::now();
    for (revision, refusal) in [
        (Revision::V3, r#"44/admin,"Invalid namespace""#),
        (Revision::V4, r#"44/admin,{"message":"Invalid namespace"}"#),
    ] {
        let mut session = joined(revision, now);
        assert_eq!(session.handle_text(&"40/admin,".into(), now), Ok(Input::Handled));
        assert_eq!(session.handle_text(&r#"42/admin,["kuzzle",{}]"#.into(), now), Ok(Input::Handled));
        assert_eq!(sent(&mut session), [refusal]);
    }
}

#[test]
fn a_silent_revision_3_client_is_given_up_after_interval_and_timeout() {
    let start = Instant::now();
    let mut session = joined(Revision::V3, start);
    let later = start + 80 * SECOND;
    assert_eq!(session.handle_text(&"2".into(), later), Ok(Input::Handled));
    assert_eq!(sent(&mut session), ["3"]);
    assert_eq!(session.deadline(), later + 85 * SECOND);
    assert_eq!(session.handle_timeout(later + 84 * SECOND), Ok(()));
    assert_eq!(session.handle_timeout(later + 85 * SECOND), Err(Expired::Heartbeat));
}

#[test]
fn a_revision_4_client_is_pinged_and_has_to_answer() {
    let start = Instant::now();
    let mut session = joined(Revision::V4, start);
    assert_eq!(session.deadline(), start + 25 * SECOND);
    assert_eq!(session.handle_timeout(start + 25 * SECOND), Ok(()));
    assert_eq!(sent(&mut session), ["2"]);
    assert_eq!(session.handle_text(&"3".into(), start + 30 * SECOND), Ok(Input::Handled));
    assert_eq!(session.deadline(), start + 55 * SECOND);
    assert_eq!(session.handle_timeout(start + 55 * SECOND), Ok(()));
    assert_eq!(session.handle_timeout(start + 115 * SECOND), Err(Expired::Heartbeat));
}

#[test]
fn a_revision_4_client_that_never_joins_is_given_up() {
    let start = Instant::now();
    let mut session = open(Revision::V4, start);
    assert_eq!(session.handle_timeout(start + 25 * SECOND), Ok(()));
    assert_eq!(session.handle_timeout(start + 45 * SECOND), Err(Expired::Connect));
}

#[test]
fn too_much_waiting_ends_the_session_but_one_large_packet_does_not() {
    let mut session = joined(Revision::V3, Instant::now());
    assert_eq!(session.send("4".repeat(10_000).into()), Ok(()));
    assert!(!session.accepts_answers());
    assert_eq!(session.send("4".into()), Err(Violation::SlowConsumer));
    sent(&mut session);
    assert!(session.accepts_answers());
    assert_eq!(session.send("4".into()), Ok(()));
}

#[test]
fn a_payload_takes_what_fits_and_one_packet_at_least() {
    let mut session = joined(Revision::V3, Instant::now());
    assert!(session.take_payload(100).is_empty());
    for _ in 0..3 {
        session.send("4".repeat(100).into()).unwrap();
    }
    assert_eq!(session.take_payload(10).len(), 1);
    assert_eq!(session.take_payload(1000).len(), 2);
    assert!(!session.has_transmit());
}

/// One step of a peer that knows the protocol well enough to be dangerous.
#[derive(Debug, Clone)]
enum Step {
    Text(String),
    Binary,
    Wait(u64),
    Take,
    Answer(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<String>().prop_map(Step::Text),
        "[1-6][0-6]?([0-9]{1,3}-)?(/[a-z]{1,3},)?[0-9]{0,2}(\\[\"kuzzle\",(\\{\\}|[0-9])\\])?"
            .prop_map(Step::Text),
        Just(Step::Binary),
        (0u64..50).prop_map(Step::Wait),
        Just(Step::Take),
        any::<String>().prop_map(Step::Answer),
    ]
}

proptest! {
    #[test]
    fn no_peer_breaks_the_books(
        four in any::<bool>(),
        bodies in prop::collection::vec(any::<Vec<u8>>(), 0..3),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let revision = if four { Revision::V4 } else { Revision::V3 };
        let mut now = Instant::now();
        let mut session = open(revision, now);
        for body in bodies {
            let Ok(mut decoder) = Decoder::new(revision, body.len() % 2 == 0, body.into()) else { continue };
            let mut encoding = session.encoding;
            while let Some(Ok(packet)) = decoder.next_packet(&mut encoding) {
                let _ = match packet {
                    Inbound::Text(text) => session.handle_text(&text, now),
                    Inbound::Binary => Ok(session.handle_binary(now)),
                };
            }
            session.encoding = encoding;
        }
        for step in steps {
            let over = match step {
                Step::Text(text) => {
                    let taken = session.handle_text(&text.into(), now);
                    if let Ok(Input::Request { body, .. }) = &taken {
                        prop_assert!(session.is_connected());
                        prop_assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
                    }
                    matches!(taken, Err(_) | Ok(Input::Closed))
                }
                Step::Binary => matches!(session.handle_binary(now), Input::Closed),
                Step::Wait(secs) => {
                    now += Duration::from_secs(secs);
                    session.handle_timeout(now).is_err()
                }
                Step::Take => session.take_payload(500).is_empty() && session.has_transmit(),
                Step::Answer(id) => {
                    if session.accepts_answers() {
                        session.answer(&id, "{}", None);
                    }
                    false
                }
            };
            let waiting: usize = session.outbox.iter().map(cost).sum();
            prop_assert_eq!(session.outbox_bytes, waiting);
            if over {
                break;
            }
            prop_assert!(session.deadline() > now);
        }
    }
}
