//! The page for operators, in a browser.

use std::path::PathBuf;
use std::process::Command;

use kuzzle_tests::server::{amqp, free_port};
use kuzzle_tests::{ServerOptions, TempDir, repository, run_for_text};
use serde_json::json;

/// A name that is markup, as anybody may give it to a queue.
const MARKUP: &str = r#"<img src=x onerror="window.harmed=1">"#;

#[test]
fn an_operator_goes_through_the_page() {
    let port = free_port();
    let server = ServerOptions::with_plugins(amqp(port)).start();
    server.wait_for_state("amqp", "running");
    let tool = |tool: &str, arguments: &[&str]| {
        let url = format!("amqp://localhost:{port}");
        run_for_text(Command::new(tool).args(["-u", &url]).args(arguments))
    };
    for name in [MARKUP, "orders", "mail.outgoing", "invoices"] {
        tool("amqp-declare-queue", &["-d", "-q", name]);
    }
    for body in ["<b>payload</b>", "{\"order\": 7}", "plain"] {
        tool("amqp-publish", &["-r", "orders", "-p", "-b", body]);
    }
    let bind = json!({"source": "amq.topic", "destination": "orders", "routingKey": "shop.*.order"});
    server.request("POST", "/api/1.0/_broker/bindings/%2F", Some(&bind.to_string()));
    // Whoever wants to look at the pictures says where they go.
    let temporary = TempDir::new();
    let folder =
        std::env::var_os("ADMIN_SCREENSHOTS").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "300", "node"]).arg(repository().join("tests/clients/admin/page.js"));
    let url = format!("http://localhost:{}", server.rest().port());
    let said = run_for_text(command.arg(url).arg(&folder));
    assert!(said.starts_with("ok "), "{said}\n{}", server.log());
    for picture in ["overview-light", "overview-dark", "queues-narrow", "queue", "problems-dark"] {
        let file = folder.join(format!("{picture}.png"));
        assert!(std::fs::metadata(&file).is_ok_and(|it| it.len() > 5_000), "{}", file.display());
    }
    // What a page of another origin tried did not happen.
    let queue = server.request("GET", "/api/1.0/_broker/queues/%2F/orders", None);
    assert_eq!(queue.status, 200, "{}", queue.text());
}

#[test]
fn the_page_is_served_with_a_strict_policy() {
    let server = ServerOptions::default().start();
    for (path, media_type) in [
        ("/_admin", "text/html; charset=utf-8"),
        ("/_admin/", "text/html; charset=utf-8"),
        ("/_admin/admin.css", "text/css; charset=utf-8"),
        ("/_admin/admin.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = server.request("GET", path, None);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(server.request("HEAD", path, None).status, 200);
    }
    assert_eq!(server.request("GET", "/_admin/nothing", None).status, 404);
    assert_eq!(server.request("POST", "/_admin", Some("{}")).status, 404);
}
