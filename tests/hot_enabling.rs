//! Protocols come, go, move and change while others carry requests without noticing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use kuzzle_tests::load::NumberedLoad;
use kuzzle_tests::server::{free_port, lines, socketio};
use kuzzle_tests::{HttpClient, Server, ServerOptions, TempDir, binaries, files, wait_for};

#[test]
fn a_hundred_times_off_and_on_while_others_carry_requests() {
    let (web, line) = (free_port(), free_port());
    let server = ServerOptions::with_plugins(socketio(web) + &lines(line)).start();
    server.wait_for_state("socketio", "running");
    server.wait_for_state("lines", "running");
    let loads = [NumberedLoad::over_rest(server.rest()), NumberedLoad::over_lines(local(line))];
    for round in 0..100 {
        server.set_enabled("socketio", false);
        wait_until_free(web);
        server.wait_for_state("socketio", "stopped");
        server.set_enabled("socketio", true);
        wait_until_answers(web);
        if round % 10 == 0 {
            loads.iter().for_each(NumberedLoad::wait_for_more);
        }
    }
    server.wait_for_state("socketio", "running");
    for load in loads {
        assert!(load.finish() > 100);
    }
    // Nothing is left of a hundred generations: neither threads nor listening sockets.
    assert_eq!(listening_sockets(&server), 3);
}

#[test]
fn a_move_to_another_port_and_a_new_build_disturb_nobody_else() {
    let (web, moved, line) = (free_port(), free_port(), free_port());
    let folder = TempDir::new();
    let library = folder.path().join("libweb.so");
    std::fs::copy(binaries::plugin("socketio"), &library).unwrap();
    let web_at = |port| kuzzle_tests::server::instance("web", &library, port);
    let server = ServerOptions::with_plugins(web_at(web) + &lines(line)).start();
    server.wait_for_state("web", "running");
    server.wait_for_state("lines", "running");
    let loads = [NumberedLoad::over_rest(server.rest()), NumberedLoad::over_lines(local(line))];

    let first = server.wait_for_state("web", "running")["generation"].as_u64().unwrap();
    wait_until_answers(web);
    server.save_plugins(&(web_at(moved) + &lines(line)));
    wait_until_answers(moved);
    wait_until_free(web);
    loads.iter().for_each(NumberedLoad::wait_for_more);

    // Another file under the same name, as a package manager puts it there.
    let mut build = std::fs::read(&library).unwrap();
    build.extend(b"one more build");
    let before = server.wait_for_state("web", "running");
    files::replace(&library, &build);
    let generation = |at_least: u64| {
        wait_for("a new generation", || {
            let found = server.instance("web");
            (found["state"] == "running" && found["generation"].as_u64() > Some(at_least)).then_some(found)
        })
    };
    let after = generation(before["generation"].as_u64().unwrap());
    assert!(after["generation"].as_u64().unwrap() > first + 1, "{after}");
    // Its port was held all the time: clients that came meanwhile waited.
    assert!(answers(moved));
    loads.iter().for_each(NumberedLoad::wait_for_more);

    // And a reload by signal of a file that did not change is no change.
    server.signal("HUP");
    loads.iter().for_each(NumberedLoad::wait_for_more);
    assert_eq!(server.instance("web")["generation"], after["generation"]);
    for load in loads {
        assert!(load.finish() > 10);
    }
}

#[test]
fn live_connections_outlast_a_new_generation() {
    let line = free_port();
    let folder = TempDir::new();
    let library = folder.path().join("liblines.so");
    std::fs::copy(binaries::out_of_tree("lines"), &library).unwrap();
    let server = ServerOptions::with_plugins(kuzzle_tests::server::instance("lines", &library, line)).start();
    server.wait_for_state("lines", "running");
    let load = NumberedLoad::over_lines(local(line));
    load.wait_for_more();
    let before = server.instance("lines")["generation"].as_u64();
    let mut build = std::fs::read(&library).unwrap();
    build.extend(b"one more build");
    files::replace(&library, &build);
    wait_for("a new generation", || (server.instance("lines")["generation"].as_u64() > before).then_some(()));
    server.wait_for_state("lines", "running");
    // The old generation serves its connection, the new one new ones.
    load.wait_for_more();
    let second = NumberedLoad::over_lines(local(line));
    second.wait_for_more();
    assert!(load.finish() > 2);
    assert!(second.finish() > 2);
}

#[test]
fn one_plugin_runs_twice_under_two_names() {
    let (one, two) = (free_port(), free_port());
    let library = binaries::out_of_tree("lines");
    let instance = |name, port| kuzzle_tests::server::instance(name, &library, port);
    let server = ServerOptions::with_plugins(instance("one", one) + &instance("two", two)).start();
    server.wait_for_state("one", "running");
    server.wait_for_state("two", "running");
    let loads = [NumberedLoad::over_lines(local(one)), NumberedLoad::over_lines(local(two))];
    loads.iter().for_each(NumberedLoad::wait_for_more);
    let [first, second] = loads;
    first.finish();
    server.set_enabled("one", false);
    server.wait_for_state("one", "stopped");
    second.wait_for_more();
    second.finish();
}

#[test]
fn a_protocol_whose_name_the_host_never_saw_is_like_any_other() {
    let line = free_port();
    let plugins = lines(line).replace("[protocols.lines]", "[protocols.never-heard-of]");
    let server = ServerOptions::with_plugins(plugins).start();
    let status = server.wait_for_state("never-heard-of", "running");
    let load = NumberedLoad::over_lines(local(line));
    load.wait_for_more();
    let info =
        server.request("GET", "/api/_serverInfo", None).json()["result"]["serverInfo"]["kuzzle"].clone();
    let label = status["label"].as_str().unwrap_or_else(|| panic!("no label in {status}"));
    let statistics = &info["protocols"][label];
    assert_eq!(statistics["connections"], 1, "{info}");
    assert!(statistics["completedRequests"].as_u64().unwrap() > 0, "{info}");
    load.finish();
    wait_for("the connection to be forgotten", || {
        let info =
            server.request("GET", "/api/_serverInfo", None).json()["result"]["serverInfo"]["kuzzle"].clone();
        (info["protocols"][label]["connections"].as_u64().unwrap_or(0) == 0).then_some(())
    });
}

#[test]
fn what_is_written_over_one_protocol_is_read_over_another_carried_as_bytes() {
    // Every call between host and plugin is serialised on its way.
    let (web, line) = (free_port(), free_port());
    let text =
        (socketio(web) + &lines(line)).replace("enabled = true", "enabled = true\nisolation = \"loopback\"");
    let server = ServerOptions::with_plugins(text).start();
    server.wait_for_state("socketio", "running");
    server.wait_for_state("lines", "running");
    wait_until_answers(web);
    let load = NumberedLoad::over_lines(local(line));
    load.wait_for_more();
    server.set_enabled("socketio", false);
    wait_until_free(web);
    server.set_enabled("socketio", true);
    wait_until_answers(web);
    load.wait_for_more();
    load.finish();
}

#[test]
fn a_stop_while_the_file_is_being_saved_is_a_stop() {
    let line = free_port();
    let mut server = ServerOptions::with_plugins(lines(line)).start();
    for turn in 0..5 {
        server.wait_for_state("lines", "running");
        // Both arrive in one moment, and the one must not swallow the other.
        server.save_plugins(&format!("# {turn}\n{}", lines(line)));
        let status = server.stop();
        assert!(status.success(), "{status}\n{}", server.log());
        wait_until_free(line);
        server.start_again();
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether a client of socket.io can come and go there.
fn answers(port: u16) -> bool {
    let path = "/socket.io/?EIO=4&transport=polling";
    let come_and_go = || -> std::io::Result<bool> {
        let mut http = HttpClient::connect(local(port))?;
        let hello = http.request("GET", path, None)?.text();
        let Some((_, rest)) = hello.split_once("\"sid\":\"") else { return Ok(false) };
        let session = rest.split('"').next().unwrap_or_default();
        // A client that just vanished would be waited for when the protocol stops.
        let goodbye = http.request("POST", &format!("{path}&sid={session}"), Some("1"))?;
        Ok(goodbye.status == 200)
    };
    come_and_go().unwrap_or(false)
}

fn wait_until_answers(port: u16) {
    wait_for(&format!("socket.io to answer on port {port}"), || answers(port).then_some(()));
}

/// Waits until nobody accepts there, and proves it by listening there.
fn wait_until_free(port: u16) {
    wait_for(&format!("port {port} to be free"), || {
        TcpStream::connect(local(port))
            .is_err()
            .then_some(())
            .and_then(|()| TcpListener::bind(local(port)).ok())
    });
}

fn listening_sockets(server: &Server) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", server.id())).unwrap();
    let listening: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .filter_map(|fields| fields.get(9).copied())
        .collect();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
    let own: Vec<String> = descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    listening.iter().filter(|inode| own.contains(&format!("socket:[{inode}]"))).count()
}
