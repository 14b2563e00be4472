//! `read.serverInfo`: what the server is, has and does.

use std::collections::BTreeMap;

use kuzzle_documents::EngineInfo;
use kuzzle_model::{Request, Response, ResponseResult};
use serde_json::{Map, Value, json};

use super::actions;
use crate::api::Core;
use crate::facts::{CpuFacts, PluginFacts, ServerFacts};
use crate::statistics::Traffic;
use crate::step::Step;
use crate::{Origin, Statistics};

/// Version of the API that clients ask for in REST's path.
const API_VERSION: &str = "1.0";

/// `serverInfo`: takes no arguments.
pub(super) fn server_info(core: &Core, request: Request, _origin: &Origin) -> Step {
    let kuzzle = kuzzle(core.facts.server(), core.facts.plugins(), &core.statistics);
    Step::when(request, core.documents.info(), move |request, info| {
        // One engine both reads and writes; the original could have had two.
        let documents = documents(&info);
        let services = json!({"readEngine": documents, "writeEngine": documents});
        let info = json!({"serverInfo": {"kuzzle": kuzzle, "services": services}});
        Response::success(request, ResponseResult::Value(info))
    })
}

fn kuzzle(server: ServerFacts, plugins: Vec<PluginFacts>, statistics: &Statistics) -> Value {
    let plugins: Map<String, Value> =
        plugins.into_iter().map(|facts| (facts.name.clone(), plugin(facts))).collect();
    let protocols: Map<String, Value> =
        statistics.snapshot().into_iter().map(|(label, counters)| (label, traffic(counters))).collect();
    json!({
        "api": {"version": API_VERSION, "routes": routes()},
        // What the original ran on; this server runs on no Node.
        "nodeVersion": null,
        "memoryUsed": server.memory_used_bytes,
        "plugins": plugins,
        "protocols": protocols,
        "system": {
            "cpus": server.cpus.iter().map(cpu).collect::<Vec<Value>>(),
            "memory": {"free": server.memory_free_bytes, "total": server.memory_total_bytes},
        },
        "uptime": format!("{:.1}s", server.uptime.as_secs_f64()),
        "version": server.version,
    })
}

fn routes() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut routes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in actions() {
        routes.entry(name.controller).or_default().push(name.action);
    }
    routes
}

/// A plugin of this server adds a protocol and nothing else, so the lists in which the original names a plugin's hooks,
/// pipes, controllers and routes are empty.
fn plugin(facts: PluginFacts) -> Value {
    let mut plugin = facts.status;
    plugin.insert("activated".into(), facts.activated.into());
    plugin.insert("name".into(), facts.name.into());
    plugin.insert("version".into(), facts.version.into());
    for list in ["hooks", "pipes", "controllers", "routes"] {
        plugin.insert(list.into(), Value::Array(Vec::new()));
    }
    Value::Object(plugin)
}

fn traffic(counters: Traffic) -> Value {
    json!({
        "completedRequests": counters.completed,
        "connections": counters.connections,
        "failedRequests": counters.failed,
        "ongoingRequests": counters.ongoing,
    })
}

fn cpu(facts: &CpuFacts) -> Value {
    json!({
        "model": facts.model,
        "speed": facts.speed_mhz,
        "times": {
            "idle": facts.times.idle_ms,
            "irq": facts.times.irq_ms,
            "nice": facts.times.nice_ms,
            "sys": facts.times.sys_ms,
            "user": facts.times.user_ms,
        },
    })
}

/// `status` is `green` while writes are taken, `red` with the `reason` while they are not; reads go on either way. `api` is
/// the version of Elasticsearch whose searches are taken. An embedded engine has no `lucene` and no `nodes`.
fn documents(info: &EngineInfo) -> Value {
    let health = &info.health;
    json!({
        "api": info.query_language,
        "documents": info.documents,
        "lucene": null,
        "nodes": {},
        "reason": health.unwritable,
        "spaceFree": health.free_bytes.map(size),
        "spaceUsed": size(health.used_bytes),
        "status": if health.unwritable.is_none() { "green" } else { "red" },
        "type": info.kind,
        "version": info.version,
        "waitingWrites": health.waiting,
    })
}

/// A size as the original's storage engine prints it: `512b`, `1kb`, `2.5mb`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kb", "mb", "gb", "tb"];
    if bytes < 1024 {
        return format!("{bytes}b");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let tenths = format!("{size:.1}");
    format!("{}{}", tenths.strip_suffix(".0").unwrap_or(&tenths), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use kuzzle_documents::Health;

    use super::*;

    #[test]
    fn sizes_read_as_the_original_prints_them() {
        for (bytes, text) in [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1kb"),
            (1536, "1.5kb"),
            (5 * 1024 * 1024, "5mb"),
            (3 << 30, "3gb"),
            (u64::MAX, "16777216tb"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_store_without_space_is_red_and_says_why() {
        let info = EngineInfo {
            kind: "embedded",
            version: "0.9.1".into(),
            query_language: "2.2",
            documents: 7,
            health: Health {
                unwritable: Some("no space left".into()),
                used_bytes: 2048,
                free_bytes: Some(0),
                waiting: 3,
            },
        };
        let expected = json!({
            "api": "2.2", "documents": 7, "lucene": null, "nodes": {}, "reason": "no space left", "spaceFree": "0b",
            "spaceUsed": "2kb", "status": "red", "type": "embedded", "version": "0.9.1", "waitingWrites": 3,
        });
        assert_eq!(documents(&info), expected);
        let healthy = EngineInfo { health: Health { unwritable: None, ..info.health.clone() }, ..info };
        let healthy = documents(&healthy);
        assert_eq!((&healthy["status"], &healthy["reason"]), (&json!("green"), &Value::Null));
    }
}
