//! What listings of the broker show, as JSON.

use kuzzle_broker::{
    BindingInfo, BrokerInfo, ConnectionInfo, ConsumerInfo, ExchangeInfo, LinkInfo, QueueInfo, Rate,
    SessionInfo,
};
use serde_json::{Value, json};

use super::tables;

fn rate(rate: Rate) -> Value {
    json!({"total": rate.total, "perSecond": (rate.per_second * 10.0).round() / 10.0})
}

/// The whole, with the names of the virtual hosts.
pub(super) fn overview(info: &BrokerInfo, vhosts: &[std::sync::Arc<str>]) -> Value {
    json!({
        "alarm": info.alarm,
        "channels": info.links,
        "connections": info.connections,
        "consumers": info.consumers,
        "delivered": rate(info.delivered),
        "dropped": info.dropped,
        "exchanges": info.exchanges,
        "journal": {"bytes": info.journal_bytes, "failure": info.journal_failure},
        "memoryBytes": info.memory_bytes,
        "published": rate(info.published),
        "queues": info.queues,
        "ready": info.ready,
        "sessions": info.sessions,
        "unsettled": info.unsettled,
        "vhosts": vhosts.iter().map(|name| &**name).collect::<Vec<&str>>(),
    })
}

pub(super) fn connection(info: &ConnectionInfo) -> Value {
    json!({
        "channels": info.links,
        "clientName": info.client_name,
        "id": info.number,
        "info": serde_json::from_str::<Value>(&info.info).unwrap_or_default(),
        "openedAt": info.opened_at_ms,
        "protocol": info.instance,
        "published": rate(info.published),
        "throttled": info.throttled,
        "user": info.user,
        "vhost": &*info.vhost,
    })
}

pub(super) fn channel(info: &LinkInfo) -> Value {
    json!({
        "channel": info.id,
        "confirms": info.confirms,
        "connection": info.connection,
        "consumers": info.consumers,
        "delivered": rate(info.delivered),
        "outbox": info.outbox,
        "published": rate(info.published),
        "session": info.session.as_deref(),
        "unanswered": info.unanswered,
        "unconfirmed": info.unconfirmed,
        "unsettled": info.unsettled,
        "user": info.user,
    })
}

pub(super) fn exchange(info: &ExchangeInfo) -> Value {
    json!({
        "arguments": tables::to_json(&info.arguments),
        "autoDelete": info.auto_delete,
        "durable": info.durable,
        "internal": info.internal,
        "name": &*info.name,
        "published": rate(info.published),
        "retained": info.retained,
        "type": info.kind.name(),
        "vhost": &*info.vhost,
    })
}

pub(super) fn queue(info: &QueueInfo) -> Value {
    json!({
        "arguments": tables::to_json(&info.arguments),
        "autoDelete": info.auto_delete,
        "consumers": info.consumers,
        "delivered": rate(info.delivered),
        "durable": info.durable,
        "exclusiveTo": info.exclusive,
        "name": &*info.name,
        "ofSession": info.of_session,
        "paged": info.paged,
        "published": rate(info.published),
        "ready": info.ready,
        "readyBytes": info.ready_bytes,
        "settled": rate(info.settled),
        "unsettled": info.unsettled,
        "unsettledBytes": info.unsettled_bytes,
        "vhost": &*info.vhost,
    })
}

pub(super) fn binding(info: &BindingInfo) -> Value {
    json!({
        "arguments": tables::to_json(&info.arguments),
        "destination": &*info.destination,
        "destinationType": if info.to_exchange { "exchange" } else { "queue" },
        "routingKey": &*info.routing_key,
        "source": &*info.source,
        "vhost": &*info.vhost,
    })
}

pub(super) fn consumer(info: &ConsumerInfo) -> Value {
    json!({
        "channel": info.link,
        "connection": info.connection,
        "credit": info.credit.count,
        "exclusive": info.exclusive,
        "name": &*info.name,
        "needsSettling": !info.no_ack,
        "priority": info.priority,
        "queue": &*info.queue,
        "vhost": &*info.vhost,
    })
}

pub(super) fn session(info: &SessionInfo) -> Value {
    json!({
        "connection": info.connection,
        "durable": info.durable,
        "expiresAt": info.expires_at_ms,
        "expirySecs": info.expiry_secs,
        "hasWill": info.has_will,
        "name": &*info.name,
        "queue": &*info.queue,
        "ready": info.ready,
        "unsettled": info.unsettled,
        "vhost": &*info.vhost,
    })
}
