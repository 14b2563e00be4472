use std::path::Path;

use proptest::prelude::*;

use super::super::{ConfigErrors, Declarations, Isolation, Scheme, Source};

fn parse(text: &str) -> Result<Declarations, ConfigErrors> {
    Declarations::parse(Path::new("/etc/k/plugins.toml"), text.into())
}

fn refused(text: &str) -> String {
    Declarations::parse(Path::new("plugins.toml"), text.into()).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let declared = parse(
        r#"
[protocols.web]
plugin = "socketio"
listen = ["127.0.0.1:7512", { address = "ws://[::1]:7513", tls = { certificate = "c.pem", key = "/k.pem" }, proxy_protocol = true }]
defaults = { index = "i" }
drain_secs = 5
max_connections = 7
idle_timeout_secs = 9
worker_threads = 2
isolation = "loopback"
[protocols.web.settings]
a = { b = [1, 2.5, true, "x"] }
when = 2020-01-01

[protocols.mine]
path = "plugins/libmine"
enabled = false
[[protocols.mine.listen]]
address = "0.0.0.0:0"
"#,
    )
    .unwrap();
    let [web, mine] = &declared.instances[..] else { panic!() };
    assert_eq!(web.source, Source::Plugin("socketio".into()));
    assert!(web.enabled && !mine.enabled);
    assert_eq!(web.isolation, Isolation::Loopback);
    assert_eq!(
        web.listeners().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["127.0.0.1:7512", "[::1]:7513"]
    );
    let tls = web.listen[1].tls.as_ref().unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/k/c.pem"));
    assert_eq!(tls.key, Path::new("/k.pem"));
    assert_eq!((web.listen[1].scheme, web.listen[1].proxy_protocol), (Scheme::Ws, true));
    assert_eq!(web.drain.as_secs(), 5);
    assert_eq!((web.max_connections, web.idle_timeout_secs, web.worker_threads), (7, 9, 2));
    let settings = serde_json::json!({"a": {"b": [1, 2.5, true, "x"]}, "when": "2020-01-01"});
    assert_eq!(serde_json::Value::Object(web.settings.clone()), settings);
    assert_eq!(mine.source, Source::Path("/etc/k/plugins/libmine.so".into()));
    assert_eq!(mine.listeners()[0].0, "mine/0.0.0.0:0/1");
}

#[test]
fn every_problem_is_shown_at_its_place() {
    let text = r#"[protocols.web]
plugin = "socketio"
enabeld = false
listen = ["localhost:7512", 7513, "127.0.0.1:7512"]
drain_secs = "5"
max_connections = -1

[protocols.other]
plugin = "x"
path = "y.so"
listen = ["127.0.0.1:7512", { adress = "127.0.0.1:1", tls = { key = "k" } }]
isolation = "process"

[protocols.third]
settings = 3

[protocol.fourth]
"#;
    let expected = r#"error: unknown key `enabeld` in [protocols.web]
  --> plugins.toml:3:1
   3 | enabeld = false
     | ^^^^^^^ closest known key: `enabled`
error: `localhost:7512` is not an address to listen on, expected an IP address and a port such as `127.0.0.1:7512`
  --> plugins.toml:4:11
   4 | listen = ["localhost:7512", 7513, "127.0.0.1:7512"]
     |           ^^^^^^^^^^^^^^^^ write `127.0.0.1:7512` and `[::1]:7512`
error: a listener is integer, expected an address or a table
  --> plugins.toml:4:29
   4 | listen = ["localhost:7512", 7513, "127.0.0.1:7512"]
     |                             ^^^^
error: `drain_secs` is a string, expected a whole number
  --> plugins.toml:5:14
   5 | drain_secs = "5"
     |              ^^^
error: `max_connections` is -1, expected 0 to 10000000
  --> plugins.toml:6:19
   6 | max_connections = -1
     |                   ^^
error: `plugin` and `path` both say which library it is, expected one of them
  --> plugins.toml:10:8
   10 | path = "y.so"
      |        ^^^^^^
error: a listener names no `address`
  --> plugins.toml:11:29
   11 | listen = ["127.0.0.1:7512", { adress = "127.0.0.1:1", tls = { key = "k" } }]
      |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
error: unknown key `adress` in a listener
  --> plugins.toml:11:31
   11 | listen = ["127.0.0.1:7512", { adress = "127.0.0.1:1", tls = { key = "k" } }]
      |                               ^^^^^^ closest known key: `address`
error: `tls` lacks `certificate`, the path of a PEM file
  --> plugins.toml:11:61
   11 | listen = ["127.0.0.1:7512", { adress = "127.0.0.1:1", tls = { key = "k" } }]
      |                                                             ^^^^^^^^^^^^^
error: `isolation = "process"` is not available yet
  --> plugins.toml:12:13
   12 | isolation = "process"
      |             ^^^^^^^^^ leave `isolation` out, or write `"none"`
error: [protocols.third] names no plugin
  --> plugins.toml:14:1
   14 | [protocols.third]
      | ^^^^^^^^^^^^^^^^^ add `plugin = "third"`, or `path` with the file
error: `settings` is an integer, expected a table
  --> plugins.toml:15:12
   15 | settings = 3
      |            ^
error: unknown key `protocol` at the top level; protocols are tables such as `[protocols.chat]`
  --> plugins.toml:17:2
   17 | [protocol.fourth]
      |  ^^^^^^^^ closest known key: `protocols`
13 errors"#;
    assert_eq!(refused(text), expected);
}

#[test]
fn an_address_is_declared_once() {
    let clash = |a: &str, b: &str, rest: &str| {
        refused(&format!(
            "[protocols.a]\nplugin = \"a\"\nlisten = [\"{a}\"]\n[protocols.b]\nplugin = \"b\"\nlisten = [\"{b}\"]\n{rest}"
        ))
    };
    let shown = clash("127.0.0.1:80", "127.0.0.1:80", "");
    assert!(
        shown.contains(
            "127.0.0.1:80 is declared but [protocols.a] already listens there\n  --> plugins.toml:6:11"
        ),
        "{shown}"
    );
    let shown = clash("0.0.0.0:80", "127.0.0.1:80", "");
    assert!(shown.contains("already listens there through 0.0.0.0:80"), "{shown}");
    let twice = refused(
        "[protocols.a]\nplugin = \"a\"\nenabled = false\nlisten = [\"[::1]:80\", \"ws://[::1]:80\"]\n",
    );
    assert!(twice.contains("[::1]:80 is declared a second time"), "{twice}");
    let fine = [("127.0.0.1:80", "127.0.0.2:80"), ("0.0.0.0:80", "[::]:80"), ("127.0.0.1:0", "127.0.0.1:0")];
    for (a, b) in fine {
        let text = format!(
            "[protocols.a]\nplugin = \"a\"\nlisten = [\"{a}\"]\n[protocols.b]\nplugin = \"b\"\nlisten = [\"{b}\"]"
        );
        parse(&text).unwrap();
    }
    parse("[protocols.a]\nplugin='a'\nlisten=['127.0.0.1:1']\n[protocols.b]\nplugin='b'\nenabled=false\nlisten=['127.0.0.1:1']").unwrap();
}

#[test]
fn broken_syntax_has_a_place_too() {
    let shown = refused("[protocols.a]\nplugin = \n");
    assert!(shown.contains("  --> plugins.toml:2:"), "{shown}");
    assert!(shown.ends_with("1 error"), "{shown}");
}

#[test]
fn an_empty_file_declares_nothing() {
    assert!(parse("").unwrap().instances.is_empty());
    assert!(parse("# nothing\n[protocols]\n").unwrap().instances.is_empty());
}

#[test]
fn the_fingerprint_follows_what_a_generation_is_made_from() {
    let of =
        |text: &str| parse(&format!("[protocols.a]\nplugin='a'\n{text}")).unwrap().instances[0].fingerprint();
    let plain = of("");
    assert_eq!(of("# a comment\n\n"), plain);
    assert_eq!(of("enabled = false\ndrain_secs = 9"), plain);
    for other in [
        "listen=['127.0.0.1:1']",
        "settings={a=1}",
        "max_connections=1",
        "defaults={index='i'}",
        "isolation='loopback'",
    ] {
        assert_ne!(of(other), plain, "{other}");
    }
}

#[test]
fn problems_of_a_plugin_with_its_settings_are_placed() {
    let declared = parse("[protocols.a]\nplugin = 'a'\n[protocols.a.settings]\nkeep = 70000\n").unwrap();
    let problem = declared.settings_problem(&declared.instances[0], "/keep", "is 70000, at most 65535");
    let lines = declared.errors(vec![problem]).lines();
    assert_eq!(lines, ["/etc/k/plugins.toml:4:1: settings of `a`: is 70000, at most 65535 (at /keep)"]);
    let declared = parse("[protocols.a]\nplugin = 'a'\n").unwrap();
    let problem = declared.settings_problem(&declared.instances[0], "/keep", "is missing");
    assert!(declared.errors(vec![problem]).lines()[0].starts_with("/etc/k/plugins.toml:1:1:"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[protocols\\.[a-z]\\]\n)?([a-z_]{1,9} ?= ?[\\[\\]{}\"'0-9a-z:., é]{0,20}\n){0,8}") {
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.problems().is_empty());
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_mix_of_keys_and_values_is_read_or_refused(
        keys in prop::collection::btree_map(prop::sample::select(super::INSTANCE_KEYS), prop::sample::select(vec![
            "1", "-1", "\"none\"", "\"127.0.0.1:1\"", "[]", "[\"127.0.0.1:1\"]", "[[1]]", "{}", "{ index = \"i\" }", "true", "nan", "2020-01-01",
        ]), 0..6)
    ) {
        let mut text = "[protocols.a]\n".to_owned();
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
        let _ = parse(&text).map_err(|errors| errors.to_string());
    }
}

#[test]
fn addresses_of_websockets_have_paths_and_origins() {
    let declared = parse(
        r#"
[protocols.a]
plugin = "a"
listen = [
    "ws://127.0.0.1:80/x,/",
    { address = "wss://127.0.0.1:443", tls = { certificate = "c", key = "k" }, paths = ["/y"], allowed_origins = ["https://a.example", "null"] },
    { address = "tls://127.0.0.1:444", tls = { certificate = "c", key = "k" } },
    "ws://127.0.0.1:81/",
]
"#,
    )
    .unwrap();
    let [plain, secure, bytes, bare] = &declared.instances[0].listen[..] else { panic!() };
    assert_eq!((&plain.paths[..], &plain.allowed_origins), (&["/x".to_owned(), "/".to_owned()][..], &None));
    assert_eq!(
        (secure.scheme, secure.tls.is_some(), &secure.paths[..]),
        (Scheme::Ws, true, &["/y".to_owned()][..])
    );
    assert_eq!(
        secure.allowed_origins.as_deref(),
        Some(&["https://a.example".to_owned(), "null".to_owned()][..])
    );
    assert_eq!((bytes.scheme, bytes.tls.is_some()), (Scheme::Tcp, true));
    assert_eq!((bare.scheme, bare.paths.len()), (Scheme::Ws, 0));
}

#[test]
fn what_is_wrong_with_addresses_of_websockets_is_shown_at_its_place() {
    let shown = |listen: &str| refused(&format!("[protocols.a]\nplugin = \"a\"\nlisten = [{listen}]\n"));
    for (listen, message, place) in [
        (r#""wss://127.0.0.1:1""#, "`wss://127.0.0.1:1` asks for TLS and names no certificate", "3:11"),
        (r#"{ address = "tls://127.0.0.1:1" }"#, "asks for TLS", "3:23"),
        (r#""ws://127.0.0.1:1/a b""#, "`/a b` is not the path of a WebSocket", "3:11"),
        (r#""w://127.0.0.1:1""#, "expected one of tcp, tls, ws, wss", "3:11"),
        (
            r#"{ address = "ws://127.0.0.1:1/a", paths = ["/b"] }"#,
            "`paths` and `ws://127.0.0.1:1/a` both say where WebSockets are",
            "3:53",
        ),
        (r#"{ address = "ws://127.0.0.1:1", paths = ["b"] }"#, "`b` is not the path", "3:51"),
        (
            r#"{ address = "ws://127.0.0.1:1", paths = "/b" }"#,
            "`paths` is a string, expected an array",
            "3:51",
        ),
        (
            r#"{ address = "127.0.0.1:1", allowed_origins = ["*"] }"#,
            "`allowed_origins` is about WebSockets, but `127.0.0.1:1` is not of those",
            "3:56",
        ),
        (
            r#"{ address = "ws://127.0.0.1:1", allowed_origins = ["app.example.com"] }"#,
            "`app.example.com` is not the origin of web pages",
            "3:61",
        ),
    ] {
        let shown = shown(listen);
        assert!(shown.contains(message), "{message} in {shown}");
        assert!(shown.contains(&format!("--> plugins.toml:{place}\n")), "{place} in {shown}");
        assert!(shown.ends_with("1 error"), "{shown}");
    }
}
