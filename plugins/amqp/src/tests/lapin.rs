//! What an ordinary client sees.

use std::time::Duration;

use futures_util::StreamExt;
use kuzzle_plugin_api::sdk::serde_json::json;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions,
        BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use tokio::time::timeout;

use super::{Running, both_ways};

/// Runs a test that must end in time.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        timeout(Duration::from_secs(60), test).await.expect("the test ends in time");
    });
}

async fn connect(running: &Running, user: &str) -> lapin::Result<Connection> {
    let uri = format!("amqp://{user}@{}/%2f", running.host.address());
    Connection::connect(&uri, ConnectionProperties::default().with_connection_name("lapin's".into())).await
}

async fn channel(running: &Running) -> (Connection, Channel) {
    let connection = connect(running, "guest:guest").await.expect("it connects");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

async fn declare(channel: &Channel, name: &str) -> u32 {
    let options = QueueDeclareOptions::default();
    let declared = channel.queue_declare(name.into(), options, FieldTable::default()).await;
    declared.expect("it is declared").message_count()
}

/// Publishes to a queue, and waits for the confirm.
async fn publish(channel: &Channel, queue: &str, mandatory: bool, body: &[u8]) -> Confirmation {
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_type("t".into());
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await;
    confirm.expect("it is sent").await.expect("it is confirmed")
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(queue.into(), "".into(), options, arguments).await.expect("a consumer")
}

#[test]
fn messages_are_published_confirmed_consumed_and_acknowledged() {
    both_ways(&json!({}), |running| {
        run(async {
            let (connection, channel) = channel(running).await;
            let [shown] = &running.host.broker().connections()[..] else { panic!("one connection") };
            assert_eq!((&shown.user[..], &shown.client[..]), ("guest", "lapin's"));
            assert_eq!(shown.info["client_properties"]["product"], "lapin");
            running.wait_for_status(1, 0);
            assert_eq!(declare(&channel, "q").await, 0);
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            for number in 0..100_u32 {
                let confirmed = publish(&channel, "q", true, &number.to_be_bytes()).await;
                assert!(confirmed.is_ack() && confirmed.take_message().is_none());
            }
            assert_eq!(declare(&channel, "q").await, 100);
            channel.basic_qos(7, BasicQosOptions::default()).await.expect("a limit");
            let mut consumer = consume(&channel, "q").await;
            for number in 0..100_u32 {
                let delivery = consumer.next().await.expect("another").expect("a delivery");
                assert_eq!(delivery.data, number.to_be_bytes());
                assert_eq!(delivery.properties.kind().as_ref().map(|kind| kind.as_str()), Some("t"));
                assert!(running.host.broker().unsettled("q") <= 7);
                delivery.ack(BasicAckOptions::default()).await.expect("it is sent");
            }
            running
                .host
                .wait_for("the acknowledgements", |host| (host.broker().unsettled("q") == 0).then_some(()));
            assert_eq!(running.host.metric("amqp_messages_published_total"), Some(100));
            assert_eq!(running.host.metric("amqp_messages_delivered_total"), Some(100));
            connection.close(200, "bye".into()).await.expect("it closes");
        });
        running.wait_for_nobody();
        running.wait_for_status(0, 0);
    });
}

#[test]
fn bodies_of_any_size_cross_both_ways() {
    both_ways(&json!({}), |running| {
        run(async {
            let (connection, channel) = channel(running).await;
            declare(&channel, "q").await;
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            // Around what is copied, what is shared, what fits a frame, and what fits the output.
            for size in [0, 1, 65_535, 65_536, 131_064, 131_065, 3_000_000] {
                let body: Vec<u8> = (0..size).map(|at: usize| (at % 251) as u8).collect();
                publish(&channel, "q", false, &body).await;
                let got = channel.basic_get("q".into(), BasicGetOptions { no_ack: true }).await;
                let got = got.expect("an answer").expect("a message");
                assert!(got.data == body, "{size} bytes");
            }
            let none = channel.basic_get("q".into(), BasicGetOptions::default()).await;
            assert!(none.expect("an answer").is_none());
            connection.close(200, "bye".into()).await.expect("it closes");
        });
    });
}

#[test]
fn mistakes_and_returns_are_told_in_the_words_of_the_broker() {
    both_ways(&json!({}), |running| {
        run(async {
            let (connection, channel) = channel(running).await;
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            let returned =
                publish(&channel, "nowhere", true, b"back").await.take_message().expect("it is back");
            assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
            assert_eq!(returned.delivery.data, b"back");
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let refused = channel.queue_declare("nowhere".into(), options, FieldTable::default()).await;
            let refused = refused.expect_err("there is none").to_string();
            assert!(refused.contains("NOT_FOUND - no queue 'nowhere' in vhost '/'"), "{refused}");
            // The connection goes on.
            let channel = connection.create_channel().await.expect("another channel");
            assert_eq!(declare(&channel, "q").await, 0);
            running.wait_for_status(1, 0);
            connection.close(200, "bye".into()).await.expect("it closes");
            let refused = connect(running, "guest:wrong").await.expect_err("a wrong password").to_string();
            assert!(refused.contains("ACCESS_REFUSED"), "{refused}");
        });
        running.host.wait_for("the refusal to be counted", |host| {
            (host.metric("amqp_refused_total") == Some(1)).then_some(())
        });
    });
}

#[test]
fn what_is_not_acknowledged_goes_to_others() {
    both_ways(&json!({}), |running| {
        run(async {
            let (first, channel) = channel(running).await;
            declare(&channel, "q").await;
            for body in [b"1", b"2"] {
                running.host.broker().publish("", "q", body);
            }
            let mut consumer = consume(&channel, "q").await;
            let delivery = consumer.next().await.expect("one").expect("a delivery");
            let nack = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            delivery.nack(nack).await.expect("it is sent");
            let mut seen = Vec::new();
            while seen.len() < 2 {
                let delivery = consumer.next().await.expect("another").expect("a delivery");
                seen.push((delivery.data.clone(), delivery.redelivered));
            }
            assert!(seen.contains(&(b"1".to_vec(), true)), "{seen:?}");
            first.close(200, "bye".into()).await.expect("it closes");
            let (second, channel) = self::channel(running).await;
            let mut consumer = consume(&channel, "q").await;
            let mut seen = Vec::new();
            for _ in 0..2 {
                let delivery = consumer.next().await.expect("another").expect("a delivery");
                assert!(delivery.redelivered);
                seen.push(delivery.data.clone());
            }
            seen.sort();
            assert_eq!(seen, [b"1", b"2"]);
            second.close(200, "bye".into()).await.expect("it closes");
        });
    });
}
