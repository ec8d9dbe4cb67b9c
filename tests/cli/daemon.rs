//! Verbs that the running dispatcher carries out, against a stand-in that answers one prepared line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use dispatch::support::control::SocketAddress;
use serde_json::Value;

use crate::world::World;

const CONFIG: &str = "state_dir = 'state'\n[ops]\nremote = '/srv/ops.git'\n";

/// A world in which somebody listens, answers `reply` to the first line and hands that line back.
pub(crate) fn served(reply: &'static str) -> (World, JoinHandle<Value>) {
    let world = World::configured(CONFIG);
    std::fs::create_dir(world.path("state")).unwrap();
    let listener = UnixListener::bind(SocketAddress::of(&world.path("state")).unwrap().path()).unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        stream.write_all(reply.as_bytes()).unwrap();
        serde_json::from_str(&line).unwrap()
    });
    (world, asked)
}

#[test]
fn without_a_dispatcher_the_error_says_how_to_start_one() {
    let world = World::configured(CONFIG);
    insta::assert_snapshot!(world.call("status").all());
    let json = world.call("status --output json");
    assert_eq!((json.code, &json.json()["error"]["code"]), (Some(4), &"unreachable".into()));
}

#[test]
fn each_command_reaches_the_dispatcher_as_the_protocol_says() {
    let commit = "0".repeat(40);
    for (line, expected) in [
        ("cancel v1.0@2".to_owned(), serde_json::json!({ "v": 1, "cmd": "cancel", "id": "v1.0@2" })),
        ("retry v1.0".to_owned(), serde_json::json!({ "v": 1, "cmd": "retry", "id": "v1.0" })),
        ("drain".to_owned(), serde_json::json!({ "v": 1, "cmd": "drain" })),
        (
            format!("ops accept-rewrite {commit}"),
            serde_json::json!({ "v": 1, "cmd": "accept_rewrite", "commit": commit }),
        ),
    ] {
        let (world, asked) = served("{\"ok\":null}\n");
        let answer = world.call(&line);
        assert_eq!(answer.code, Some(0), "{line}: {}", answer.stderr);
        assert_eq!(asked.join().unwrap(), expected);
    }
}

#[test]
fn a_refusal_is_shown_with_its_words_and_exits_with_1() {
    let (world, asked) = served("{\"error\":{\"code\":\"not_found\",\"message\":\"there is no action `v9`\"}}\n");
    insta::assert_snapshot!(world.call("cancel v9").all());
    asked.join().unwrap();
}

#[test]
fn a_dispatcher_that_hangs_up_is_unreachable() {
    let (world, asked) = served("");
    let answer = world.call("drain");
    assert_eq!(answer.code, Some(4), "{}", answer.all());
    asked.join().unwrap();
}

#[test]
fn an_answer_of_another_kind_is_not_taken_for_a_status() {
    let (world, asked) = served("{\"ok\":{\"colour\":\"blue\"}}\n");
    let answer = world.call("status");
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("not understood"), "{}", answer.stderr);
    asked.join().unwrap();
}

#[test]
fn ctrl_c_while_waiting_for_an_answer_exits_with_130() {
    let world = World::configured(CONFIG);
    std::fs::create_dir(world.path("state")).unwrap();
    let listener = UnixListener::bind(SocketAddress::of(&world.path("state")).unwrap().path()).unwrap();
    let mut child = world.command("drain").stderr(Stdio::piped()).spawn().unwrap();
    let (stream, _) = listener.accept().unwrap();
    // The line has come, so the client waits; it holds the connection until it is interrupted.
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
