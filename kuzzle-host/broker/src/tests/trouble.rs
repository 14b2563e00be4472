//! A full disk: publishers are told, nothing confirmed is lost, and it goes on when there is space again.

use kuzzle_journal::SimulatedDisk;

use super::*;

#[test]
fn a_full_disk_blocks_publishers_until_there_is_space() {
    let disk = SimulatedDisk::default();
    let options = Options { segment_bytes: 64 << 10, disk_free_min_bytes: 0, ..Options::default() };
    let fixture = Fixture::on(&disk, options.clone());
    let client = fixture.client();
    client.queue_with(QueueDeclare { name: "q", durable: true, ..QueueDeclare::default() });
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    let seq = client.persistent("", "q", "safe");
    client.confirmed(seq);
    disk.set_capacity(Some(disk.used_bytes() + (64 << 10)));
    let body = "x".repeat(10_000);
    let mut sent = 1;
    while fixture.broker.info().journal_failure.is_none() {
        client.persistent("", "q", &body);
        sent += 1;
        std::thread::sleep(Duration::from_millis(1));
        assert!(sent < 10_000, "the disk is never full");
    }
    fixture.pass(1_000);
    assert_eq!(fixture.broker.info().alarm, Some("low on disk"));
    // Who waits for the disk hears why it is in vain.
    fixture
        .broker
        .declare_queue("/", &QueueDeclare { name: "d", durable: true, ..QueueDeclare::default() })
        .unwrap();
    assert!(durable(&fixture).is_err_and(|reason| reason.contains("cannot write the journal")));
    client.events();
    let refused = client.persistent("", "q", "refused");
    assert!(client.events().iter().any(
        |event| matches!(event, LinkEvent::Refused { seq, error } if *seq == refused && error.code == Code::ResourceError)
    ));
    assert_eq!(text(&client.get("q", true).unwrap().message), "safe", "reading goes on");
    disk.set_capacity(None);
    until("it is written again", || fixture.broker.info().journal_failure.is_none());
    fixture.pass(1_000);
    assert_eq!(fixture.broker.info().alarm, None);
    let seq = client.persistent("", "q", "after");
    client.confirmed(seq);
    assert_eq!(durable(&fixture), Ok(()));
    let again = Fixture::on(&disk.after_power_loss(1, 0), options);
    let found = again.client().drain("q");
    assert_eq!(found.last().map(String::as_str), Some("after"));
    assert!(found.len() >= sent, "{} of {sent}", found.len());
}

/// What those are told who wait for the disk.
fn durable(fixture: &Fixture) -> Result<(), String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    fixture.broker.when_durable(move |outcome| sender.send(outcome).unwrap());
    receiver.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn what_operators_change_is_there_after_power_loss_once_they_are_told() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, Options::default());
    let queue = QueueDeclare { name: "q", durable: true, ..QueueDeclare::default() };
    fixture.broker.declare_queue("/", &queue).unwrap();
    let client = fixture.client();
    client.ask(|link, op| link.confirm(op, true)).unwrap();
    for body in ["one", "two"] {
        let seq = client.persistent("", "q", body);
        client.confirmed(seq);
    }
    // Settlements are written lazily unless somebody waits for them.
    assert_eq!(fixture.broker.take("/", "q", 1).unwrap().len(), 1);
    assert_eq!(durable(&fixture), Ok(()));
    let again = Fixture::on(&disk.after_power_loss(1, 0), Options::default());
    assert_eq!(again.client().drain("q"), ["two"]);
    assert_eq!(Fixture::new().broker.take("/", "none", 1).unwrap_err().code, Code::NotFound);
}

#[test]
fn low_space_is_an_alarm_before_the_disk_is_full() {
    let disk = SimulatedDisk::default();
    let fixture = Fixture::on(&disk, Options { disk_free_min_bytes: 1 << 20, ..Options::default() });
    let client = fixture.client();
    client.publish("", "q", "x");
    disk.set_capacity(Some(disk.used_bytes() + (512 << 10)));
    fixture.pass(1_000);
    let mut events = Vec::new();
    client.connection.take(9, &mut events);
    assert!(matches!(events[..], [LinkEvent::Blocked("low on disk")]));
    disk.set_capacity(None);
    fixture.pass(1_000);
    client.connection.take(9, &mut events);
    assert!(matches!(events[..], [LinkEvent::Blocked(_), LinkEvent::Unblocked]));
}
