//! Any conversation: what comes of it does not depend on how its bytes were split, receipts are given once, and nothing
//! is settled twice.

mod common;

use std::collections::BTreeSet;

use common::{Client, frames, message};
use kuzzle_stomp_proto::{codec::Version, session::Limits};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Frame(String),
    Deliver { consumer: u64, length: usize },
    Acknowledge { nack: bool, message: usize, transaction: bool },
}

fn frame() -> impl Strategy<Value = String> {
    let command = prop_oneof![
        4 => Just("SEND"),
        3 => Just("SUBSCRIBE"),
        1 => Just("UNSUBSCRIBE"),
        1 => Just("BEGIN"),
        1 => Just("COMMIT"),
        1 => Just("ABORT"),
    ];
    let header = prop_oneof![
        4 => proptest::sample::select(vec![
            "destination:/queue/a", "destination:/topic/a", "destination:/exchange/e/k", "destination:b",
        ]),
        3 => proptest::sample::select(vec!["id:1", "id:2", "id:3"]),
        2 => proptest::sample::select(vec!["ack:client", "ack:client-individual", "ack:auto"]),
        2 => proptest::sample::select(vec!["transaction:t", "transaction:u", "reply-to:/temp-queue/q", "x:\\c"]),
    ];
    (command, proptest::collection::vec(header, 0..5), "[a-z]{0,5}").prop_map(|(command, headers, body)| {
        let headers: String = headers.iter().map(|header| format!("{header}\n")).collect();
        format!("{command}\n{headers}receipt:RECEIPT\n\n{body}\0\r\n")
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => frame().prop_map(Step::Frame),
        3 => (1_u64..4, 0_usize..20).prop_map(|(consumer, length)| Step::Deliver { consumer, length }),
        2 => (any::<bool>(), 0_usize..10, any::<bool>())
            .prop_map(|(nack, message, transaction)| Step::Acknowledge { nack, message, transaction }),
    ]
}

/// What came of a conversation whose frames came in parts of that length.
fn converse(steps: &[Step], version: Version, part: usize) -> (Client, String) {
    let limits = Limits { error_closes: false, ..Limits::default() };
    let mut client = Client::connected_with(version, limits);
    let (mut told, mut ids) = (String::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        if client.closed.is_some() {
            break;
        }
        let say = match step {
            Step::Frame(frame) => frame.replace("RECEIPT", &number.to_string()),
            Step::Deliver { consumer, length } => {
                let settled = client.acknowledges_nothing(*consumer);
                let Some(settled) = settled else { continue };
                let got = client.deliver_to(*consumer, settled, message("a", &[b'x'; 20][..*length]));
                for (command, headers, _) in frames(&got) {
                    let id = headers.iter().find(|(name, _)| name == "message-id");
                    if let (Some((_, id)), "MESSAGE") = (id, &*command) {
                        ids.push(id.clone());
                    }
                }
                told += &got;
                continue;
            }
            Step::Acknowledge { nack, message, transaction } => {
                let Some(id) = ids.get(*message) else { continue };
                let command = if *nack { "NACK" } else { "ACK" };
                let transaction = if *transaction { "transaction:t\n" } else { "" };
                format!("{command}\nid:{id}\nmessage-id:{id}\n{transaction}receipt:{number}\n\n\0\n")
            }
        };
        for bytes in say.as_bytes().chunks(part) {
            told += &client.say_bytes(bytes);
        }
    }
    (client, told)
}

proptest! {
    #[test]
    fn a_conversation_keeps_its_promises(
        steps in proptest::collection::vec(step(), 0..40),
        version in proptest::sample::select(vec![Version::V1_0, Version::V1_1, Version::V1_2]),
        part in 1_usize..30,
    ) {
        let (whole, told) = converse(&steps, version, usize::MAX);
        let (split, same) = converse(&steps, version, part);
        prop_assert_eq!(&told, &same);
        prop_assert_eq!(&whole.published, &split.published);
        prop_assert_eq!(&whole.calls, &split.calls);
        prop_assert_eq!(&whole.settled, &split.settled);
        prop_assert_eq!(&whole.commits, &split.commits);
        prop_assert_eq!(whole.closed, split.closed);

        let mut receipts = BTreeSet::new();
        for (command, headers, _) in frames(&told) {
            let receipt = headers.into_iter().find(|(name, _)| name == "receipt-id");
            if let Some((_, receipt)) = receipt {
                prop_assert!(receipts.insert(receipt.clone()), "{} was told twice, now by {}", receipt, command);
            }
        }
        let all = whole.settled.iter().map(|(_, settles)| settles);
        let settled: Vec<u64> = all
            .chain(whole.commits.iter().map(|(_, _, settles)| settles))
            .flatten()
            .map(|settle| settle.delivery)
            .collect();
        let once: BTreeSet<u64> = settled.iter().copied().collect();
        prop_assert_eq!(once.len(), settled.len(), "a delivery was settled twice: {:?}", settled);
    }
}
