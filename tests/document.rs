//! The examples of the product's documentation, as they are printed there: literal host names, literal ports, literal
//! answers. (Those of socket.io are in `socketio.rs`.)

use kuzzle_tests::{Namespace, ServerOptions, curl};

#[test]
fn the_first_example_of_rest() {
    let namespace = Namespace::new();
    let mut options = ServerOptions::default();
    let url = match &namespace {
        Some(_) => {
            println!("in a network namespace of its own, on the literal port 7511 of localhost");
            options.rest_port = Some(7511);
            "http://localhost:7511/api/1.0".to_owned()
        }
        None => {
            let port = kuzzle_tests::server::free_port();
            println!("no network namespace is to be had: port {port} stands for 7511");
            options.rest_port = Some(port);
            format!("http://localhost:{port}/api/1.0")
        }
    };
    let server = options.start_in(namespace.as_ref());
    let printed = curl(namespace.as_ref(), &[&url]);
    assert_eq!(printed.trim_end(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    // With the slash too.
    let printed = curl(namespace.as_ref(), &[&format!("{url}/")]);
    assert_eq!(printed.trim_end(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    drop(server);
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
