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
    let again = Fixture::on(&disk.after_power_loss(1, 0), options);
    let found = again.client().drain("q");
    assert_eq!(found.last().map(String::as_str), Some("after"));
    assert!(found.len() >= sent, "{} of {sent}", found.len());
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
