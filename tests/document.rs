//! The page of the product's documentation, as it is printed: literal host names, literal ports, literal answers.

use kuzzle_tests::{Documented, Namespace, ServerOptions, curl, documented};

#[test]
fn the_whole_page_from_its_first_line_to_its_last() {
    let page = Documented::start();
    let hello = page.run("curl -sS \"http://localhost:7511/api/1.0\"");
    assert_eq!(hello.trim_end(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    page.open_page();
    let [declare, publish, get] = documented::AMQP;
    assert_eq!(page.run(declare).trim_end(), "response");
    assert_eq!(page.run(publish), "");
    documented::check_answer(&page.run(get));
    documented::check_answer(&page.two_shells("node_modules/.bin/mqtt"));
    documented::check_stomp(&page.type_into("nc"));
    // All that was written on the way is read by whoever asks, over any protocol: here over the first.
    let list = page.run("curl -sS \"http://localhost:7511/api/1.0/index/_listCollections\"");
    assert!(list.contains("\"collection\""), "{list}");
}

#[test]
fn the_first_example_of_rest() {
    let server = ServerOptions::default().start();
    // With a slash behind it too.
    for path in ["/api/1.0", "/api/1.0/"] {
        let printed = curl(None, &[&server.url(path)]);
        assert_eq!(printed.trim_end(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    }
}

#[test]
fn the_server_needs_no_file_to_answer_there() {
    let Some(namespace) = Namespace::new() else {
        println!("no network namespace is to be had: the usual port may be somebody else's");
        return;
    };
    // No configuration: the usual port is the default, on the loopback interface alone.
    let folder = kuzzle_tests::TempDir::new();
    let mut command = namespace.command(kuzzle_tests::binaries::host());
    command.arg("--data").arg(folder.path().join("data")).current_dir(folder.path());
    let mut process = kuzzle_tests::process::Process::start(command);
    process.wait_for_line("the line that says ready", 0, |line| line.contains("ready"));
    let printed = curl(Some(&namespace), &["http://localhost:7511/api/1.0"]);
    assert_eq!(printed.trim_end(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
}
