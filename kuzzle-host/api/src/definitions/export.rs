//! Writing definitions.

use std::collections::{BTreeMap, HashSet};

use kuzzle_broker::{Broker, POLICY, POLICY_DEFINITION, is_reserved_name};
use serde_json::{Map, Value, json};

use crate::actions::tables;

/// Everything that an import can make again: not what belongs to a connection or a session, nor what is there from the start.
pub(crate) fn export(broker: &Broker, version: &str) -> Value {
    let mut policies: BTreeMap<(String, String), Value> = BTreeMap::new();
    let exchanges: Vec<Value> = broker
        .exchanges(None)
        .iter()
        .filter(|info| !is_reserved_name(&info.name))
        .map(|info| {
            json!({
                "name": &*info.name,
                "vhost": &*info.vhost,
                "type": info.kind.name(),
                "durable": info.durable,
                "auto_delete": info.auto_delete,
                "internal": info.internal,
                "arguments": without_policy(&info.arguments, &info.vhost, &mut policies),
            })
        })
        .collect();
    let mut left_out: HashSet<(String, String)> = HashSet::new();
    let mut queues = Vec::new();
    for info in broker.queues(None) {
        if info.exclusive.is_some() || info.of_session || is_reserved_name(&info.name) {
            left_out.insert((info.vhost.to_string(), info.name.to_string()));
            continue;
        }
        queues.push(json!({
            "name": &*info.name,
            "vhost": &*info.vhost,
            "durable": info.durable,
            "auto_delete": info.auto_delete,
            "arguments": without_policy(&info.arguments, &info.vhost, &mut policies),
        }));
    }
    let is_exported = |vhost: &str, queue: &str| !left_out.contains(&(vhost.to_owned(), queue.to_owned()));
    let bindings: Vec<Value> = broker
        .bindings(None)
        .iter()
        .filter(|info| {
            !info.source.is_empty() && (info.to_exchange || is_exported(&info.vhost, &info.destination))
        })
        .map(|info| {
            json!({
                "source": &*info.source,
                "vhost": &*info.vhost,
                "destination": &*info.destination,
                "destination_type": if info.to_exchange { "exchange" } else { "queue" },
                "routing_key": &*info.routing_key,
                "arguments": tables::to_json(&info.arguments),
            })
        })
        .collect();
    let vhosts: Vec<Value> = broker.vhosts().iter().map(|name| json!({"name": &**name})).collect();
    json!({
        "product_name": "kuzzle-host",
        "product_version": version,
        "rabbitmq_definition_format": "cluster",
        "users": [],
        "vhosts": vhosts,
        "permissions": [],
        "topic_permissions": [],
        "parameters": [],
        "global_parameters": [],
        "policies": policies.into_values().collect::<Vec<Value>>(),
        "queues": queues,
        "exchanges": exchanges,
        "bindings": bindings,
    })
}

/// The arguments but for the policy, which goes to the others.
fn without_policy(
    arguments: &[u8],
    vhost: &str,
    policies: &mut BTreeMap<(String, String), Value>,
) -> Map<String, Value> {
    let mut arguments = tables::to_json(arguments);
    if let Some(Value::Object(policy)) = arguments.remove(POLICY)
        && let (Some(Value::String(name)), Some(Value::String(pattern)), Some(Value::Object(definition))) =
            (policy.get("name"), policy.get("pattern"), policy.get(POLICY_DEFINITION))
    {
        let entry = json!({
            "vhost": vhost,
            "name": name,
            "pattern": pattern,
            "apply-to": policy.get("apply-to").cloned().unwrap_or_else(|| "all".into()),
            "definition": definition,
            "priority": policy.get("priority").cloned().unwrap_or_else(|| 0.into()),
        });
        policies.insert((vhost.to_owned(), name.clone()), entry);
    }
    arguments
}
