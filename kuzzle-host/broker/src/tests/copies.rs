//! Copies of a broker in use, and reading what one holds without changing it.

use std::sync::atomic::AtomicBool;

use kuzzle_journal::SimulatedDisk;

use super::durability::{build, durable, small};
use super::*;

#[test]
fn a_copy_has_all_that_is_durable() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    build(&fixture);
    let copied = SimulatedDisk::default();
    fixture.broker.copy_to(&copied, &|| true).unwrap();
    let found = check(&copied).unwrap();
    let expected = Checked {
        exchanges: 1,
        queues: 3,
        sessions: 1,
        messages: 4,
        retained: 1,
        bytes: found.bytes,
        ..Checked::default()
    };
    assert_eq!(found, expected);
    super::durability::check(&Fixture::on(&copied.after_power_loss(1, 0), small()), false);
    // The one that was copied goes on.
    let client = fixture.client();
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.persistent("", "q", "later");
    client.confirmed(seq);
    Fixture::new().broker.copy_to(&SimulatedDisk::default(), &|| true).unwrap();
}

/// Messages are confirmed and settled and the journal is tidied, so that segments come and go below the copies.
#[test]
fn copies_that_are_made_meanwhile_have_all_that_was_confirmed() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    let client = fixture.client();
    client.queue_with(durable("kept"));
    client.queue_with(durable("passing"));
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let (done, confirmed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (done, confirmed, broker) = (&done, &confirmed, &fixture.broker);
        let (client, clock) = (&client, &fixture.clock);
        scope.spawn(move || {
            let filling = "x".repeat(1_000);
            for n in 0u64.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                for _ in 0..20 {
                    client.persistent("", "passing", &filling);
                }
                let seq = client.persistent("", "kept", &n.to_string());
                client.confirmed(seq);
                confirmed.store(n + 1, Ordering::Release);
                client.drain("passing");
                clock.0.fetch_add(1_000, Ordering::Relaxed);
                broker.tick();
            }
        });
        for wanted in [5, 40, 90] {
            until("more is confirmed", || confirmed.load(Ordering::Acquire) >= wanted);
            let before = confirmed.load(Ordering::Acquire);
            let copied = SimulatedDisk::default();
            fixture.broker.copy_to(&copied, &|| true).unwrap();
            let found = check(&copied).unwrap();
            assert_eq!((found.torn, &found.damage[..]), (false, &[][..]));
            let copy = Fixture::on(&copied.after_power_loss(wanted, 0), small());
            let kept = copy.client().drain("kept");
            assert!(kept.len() as u64 >= before, "{} of {before}", kept.len());
            assert!(kept.iter().enumerate().all(|(n, body)| *body == n.to_string()));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_check_names_what_cannot_be_read() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, small());
    build(&fixture);
    fixture.broker.close();
    let whole = disk.after_power_loss(0, 100);
    assert_eq!(check(&whole).unwrap().damage, [] as [String; 0]);
    let name = kuzzle_journal::Disk::names(&whole).unwrap();
    let name = name.iter().find(|name| name.starts_with("segment-")).unwrap();
    // The body of one message, in the middle of the segment: the root moved behind it at the stop.
    whole.damage(name, |bytes| {
        let at = bytes.windows(15).position(|it| it == b"for the session").unwrap();
        bytes[at] ^= 1;
    });
    let found = check(&whole).unwrap();
    let damage = found.damage.join("\n");
    assert!(damage.contains("of queue `s` cannot be read"), "{damage}");
    // A journal that cannot be opened is an error.
    whole.damage("root", |bytes| bytes[20] ^= 1);
    assert!(check(&whole).unwrap_err().to_string().contains("damaged"));
}
