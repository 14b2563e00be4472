//! A description of the REST API in the terms of Swagger 2.0, made from the route table.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route};

/// The description for a server that clients know as `host`.
pub(super) fn describe(host: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = route.full_path();
        let path = path.strip_prefix("/api").unwrap_or(&path);
        let verbs = paths.entry(braced(path)).or_insert_with(|| json!({}));
        if let Some(verbs) = verbs.as_object_mut() {
            verbs.entry(route.verb.as_str().to_ascii_lowercase()).or_insert_with(|| operation(route));
        }
    }
    json!({
        "swagger": "2.0",
        "basePath": "/api",
        "host": host,
        "schemes": ["http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "info": {
            "title": "Kuzzle API",
            "version": "1.0",
            "description": "Documents, searches, live subscriptions and rights over REST.",
            "license": {"name": "Apache 2", "url": "http://www.apache.org/licenses/LICENSE-2.0"},
        },
        "paths": paths,
    })
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = names(route.path)
        .map(|name| json!({"in": "path", "name": name, "required": true, "type": "string", "description": name}))
        .collect();
    let mut operation = json!({
        "description": format!("Controller: {}. Action: {}.", route.controller, route.action),
        "produces": ["application/json"],
        "responses": {"200": {"description": "OK"}},
    });
    if let Some(operation) = operation.as_object_mut().filter(|_| !parameters.is_empty()) {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    operation
}

fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.split_once(':').map(|(_, name)| name))
}

fn braced(path: &str) -> String {
    let segment = |segment: &str| match segment.split_once(':') {
        Some((beginning, name)) => format!("{beginning}{{{name}}}"),
        None => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Writes a value as YAML 1.2. Text is quoted as in JSON, of which YAML is a superset.
pub(super) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write_yaml(&mut out, value, 0);
    out
}

fn write_yaml(out: &mut String, value: &Value, depth: usize) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().map(|(key, child)| (format!("{}:", Value::from(key.as_str())), child)).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|child| ("-".to_owned(), child)).collect()
        }
        _ => return,
    };
    for (lead, child) in children {
        // Writing to a string cannot fail.
        let _ = write!(out, "{:indent$}{lead}", "", indent = depth * 2);
        let nested = child.as_object().is_some_and(|fields| !fields.is_empty())
            || child.as_array().is_some_and(|items| !items.is_empty());
        if nested {
            out.push('\n');
            write_yaml(out, child, depth + 1);
        } else {
            let _ = writeln!(out, " {child}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_with_its_parameters() {
        let description = describe("localhost:7511");
        let get = &description["paths"]["/1.0/{index}/{collection}/{id}"]["get"];
        assert_eq!(get["description"], "Controller: read. Action: get.");
        assert_eq!(get["parameters"][2]["name"], "id");
        assert!(description["paths"]["/_serverInfo"]["get"].is_object());
        assert!(description["paths"]["/1.0/{index}/{collection}/{id}/_{action}"]["put"].is_object());
    }

    #[test]
    fn yaml_nests_by_indentation() {
        let yaml = to_yaml(&json!({"a": {"b": [1, {"c": "x: y"}]}, "d": [], "e": null}));
        assert_eq!(yaml, "\"a\":\n  \"b\":\n    - 1\n    -\n      \"c\": \"x: y\"\n\"d\": []\n\"e\": null\n");
    }
}
