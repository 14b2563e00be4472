//! The addresses that an instance listens on.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use super::super::address::{self, Address};
use super::super::{Listen, Problem, Scheme, Tls};
use super::Reader;

const LISTENERS_MAX: usize = 64;
const LISTENER_KEYS: &[&str] = &["address", "tls", "proxy_protocol", "paths", "allowed_origins"];

impl Reader<'_> {
    pub(super) fn listeners(&mut self, table: &dyn TableLike) -> Vec<Listen> {
        let Some(item) = table.get("listen") else { return Vec::new() };
        let mut listeners = Vec::new();
        if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                listeners.extend(self.listener_table(table, table.span()));
            }
        } else if let Some(array) = item.as_array() {
            for value in array {
                match value {
                    Value::String(text) => listeners.extend(self.address(text.value(), value.span())),
                    Value::InlineTable(table) => listeners.extend(self.listener_table(table, value.span())),
                    other => {
                        let found = other.type_name();
                        self.note(
                            other.span(),
                            format!("a listener is {found}, expected an address or a table"),
                        );
                    }
                }
            }
        } else if let Some(text) = item.as_str() {
            let message = "`listen` is a string, expected an array";
            self.problems.push(Problem::at(item.span(), message).hint(Some(format!("write `[\"{text}\"]`"))));
        } else {
            self.wrong_type(item, "listen", "an array of addresses or tables");
        }
        if listeners.len() > LISTENERS_MAX {
            self.note(item.span(), format!("more than {LISTENERS_MAX} addresses to listen on"));
        }
        listeners
    }

    fn listener_table(&mut self, table: &dyn TableLike, span: Option<Range<usize>>) -> Option<Listen> {
        self.known_keys(table, LISTENER_KEYS, "in a listener");
        let proxy_protocol = self.boolean(table, "proxy_protocol", false);
        let tls = table.get("tls").and_then(|item| self.tls(item));
        let paths = self.strings(table, "paths");
        let allowed_origins = self.strings(table, "allowed_origins");
        if !table.contains_key("address") {
            self.note(span, "a listener names no `address`");
            return None;
        }
        let text = self.string(table, "address")?;
        let span = table.get("address").and_then(Item::span);
        let address = self.parsed(&text, span.clone())?;
        if address.wants_tls && !table.contains_key("tls") {
            self.lacks_tls(&text, span.clone());
        }
        if address.scheme == Scheme::Tcp {
            for key in ["paths", "allowed_origins"] {
                if let Some(item) = table.get(key) {
                    let message = format!("`{key}` is about WebSockets, but `{text}` is not of those");
                    let problem = Problem::at(item.span(), message);
                    self.problems.push(problem.hint(Some(format!("write `ws://{text}`"))));
                }
            }
        }
        let has_paths = paths.is_some();
        if has_paths && !address.paths.is_empty() {
            let message = format!("`paths` and `{text}` both say where WebSockets are, expected one of them");
            self.note(table.get("paths").and_then(Item::span), message);
        }
        let paths = paths.unwrap_or(address.paths);
        if let Err(wrong) = address::check_paths(paths.iter().map(String::as_str))
            && has_paths
        {
            self.problems.push(wrong.at(table.get("paths").and_then(Item::span)));
        }
        for origin in allowed_origins.iter().flatten().filter(|origin| !is_origin(origin)) {
            let message = format!("`{origin}` is not the origin of web pages, expected scheme and host");
            let problem = Problem::at(table.get("allowed_origins").and_then(Item::span), message);
            let hint = "such as `https://app.example.com` or `http://localhost:8080`; `*` is every page";
            self.problems.push(problem.hint(Some(hint.to_owned())));
        }
        let (address, scheme) = (address.socket, address.scheme);
        Some(Listen { address, scheme, tls, proxy_protocol, paths, allowed_origins, span })
    }

    /// An address by itself.
    fn address(&mut self, text: &str, span: Option<Range<usize>>) -> Option<Listen> {
        let address = self.parsed(text, span.clone())?;
        if address.wants_tls {
            self.lacks_tls(text, span.clone());
        }
        Some(Listen {
            address: address.socket,
            scheme: address.scheme,
            tls: None,
            proxy_protocol: false,
            paths: address.paths,
            allowed_origins: None,
            span,
        })
    }

    fn parsed(&mut self, text: &str, span: Option<Range<usize>>) -> Option<Address> {
        address::parse(text).map_err(|wrong| self.problems.push(wrong.at(span))).ok()
    }

    fn lacks_tls(&mut self, text: &str, span: Option<Range<usize>>) {
        let message = format!("`{text}` asks for TLS and names no certificate");
        let hint =
            format!("write `{{ address = \"{text}\", tls = {{ certificate = \"..\", key = \"..\" }} }}`");
        self.problems.push(Problem::at(span, message).hint(Some(hint)));
    }

    fn tls(&mut self, item: &Item) -> Option<Tls> {
        let Some(table) = item.as_table_like() else {
            self.wrong_type(item, "tls", "a table with `certificate` and `key`");
            return None;
        };
        self.known_keys(table, &["certificate", "key"], "in `tls`");
        for key in ["certificate", "key"] {
            if !table.contains_key(key) {
                self.note(item.span(), format!("`tls` lacks `{key}`, the path of a PEM file"));
            }
        }
        let certificate = self.string(table, "certificate");
        let key = self.string(table, "key");
        Some(Tls { certificate: self.folder.join(certificate?), key: self.folder.join(key?) })
    }

    fn strings(&mut self, table: &dyn TableLike, key: &str) -> Option<Vec<String>> {
        let item = table.get(key)?;
        let texts = item.as_array().map(|array| array.iter().map(|value| value.as_str().map(str::to_owned)));
        let texts = texts.and_then(Iterator::collect);
        if texts.is_none() {
            self.wrong_type(item, key, "an array of strings");
        }
        texts
    }
}

/// Whether browsers could send it as an origin, or it is what stands for all of them.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map(|(_, host)| host.trim_end_matches('/'));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '*', ' ']);
    matches!(text, "*" | "null") || host.is_some_and(is_host)
}
