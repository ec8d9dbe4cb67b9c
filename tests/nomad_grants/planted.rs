//! The search for values finds what is planted: in every place where it looks, by the way on which a value would come there.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch::support::ids::hex;

use crate::bed::{Bed, docker as in_docker, raw_exec};
use crate::child::until;
use crate::places::{Events, PLACES, Places, docker};
use crate::search::Search;
use crate::testbed::unique;

/// What is planted, each with a value of its own.
#[derive(Debug, Clone, Copy)]
enum Plant {
    /// In hex, as the id of the action: it goes wherever ids go.
    Id,
    /// In base64, in the formula's text: it goes compressed into the payload, and into git.
    Script,
    /// Printed by the formula, cut by odd bytes and escaped: nobody knows that it is to be masked.
    Output,
    /// Written past the runner, into the stream that Nomad keeps of it.
    Stderr,
    Process,
    Container,
    Endpoint,
    Folder,
}

const PLANTS: [Plant; 8] = [
    Plant::Id,
    Plant::Script,
    Plant::Output,
    Plant::Stderr,
    Plant::Process,
    Plant::Container,
    Plant::Endpoint,
    Plant::Folder,
];

/// Letters that are 13 further on, so that the formula's text does not hold what it prints.
fn turned(text: &str) -> String {
    let turn = |c: char| match c {
        'a'..='m' => char::from(c as u8 + 13),
        'n'..='z' => char::from(c as u8 - 13),
        other => other,
    };
    text.chars().map(turn).collect()
}

/// Answers every request with `text`.
fn endpoint(text: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut asking in listener.incoming().flatten() {
            let _ = asking.read(&mut [0; 4096]);
            let length = text.len();
            let _ = write!(asking, "HTTP/1.1 503 Busy\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
        }
    });
    address
}

/// Taken away with the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.0]);
    }
}

/// Its value stands in its settings, its log and its processes.
fn container(value: &str) -> Container {
    in_docker();
    let (name, settings) = (unique("planted"), format!("PLANT={}", STANDARD.encode(format!("x{value}"))));
    let script = format!("echo {}; sleep 300; : {}", value.replace('/', "%2F"), hex(value.as_bytes()));
    let image = "dispatch-runner:granted";
    let run =
        ["run", "--detach", "--name", &name, "--network", "none", "--env", &settings, "--entrypoint", "bash", image];
    docker(&[&run[..], &["-c", &script, "planted"]].concat());
    let made = Container(name);
    until("the container's word", || (!docker(&["logs", &made.0]).is_empty()).then_some(()));
    made
}

#[test]
fn what_is_planted_in_any_place_is_found_there() {
    // 20 bytes: as many as a child's id has of an action's, in hex.
    let values: Vec<String> = PLANTS.iter().map(|_| unique("cn/p")).collect();
    let value = |plant: Plant| values[plant as usize].as_str();
    let search = Search::of(&values);
    let mut bed = Bed::nomad(&raw_exec());
    bed.listen();
    let id = hex(value(Plant::Id).as_bytes());
    // The end of a line that could begin a value is held back until something else follows.
    let script = format!(
        "# {}\nsay() {{ printf %s \"$1\" | tr a-z n-za-m; }}\nprintf '\\377'; say '{}'; echo; echo '~'\nsay '{}' > /proc/$PPID/fd/2\n{}",
        STANDARD.encode(value(Plant::Script)),
        turned(value(Plant::Output)),
        turned(value(Plant::Stderr)),
        bed.gate.knock()
    );
    bed.formula("leak", &script);
    let mut places = Places::of(&bed, &search);
    let events = Events::follow(&bed);
    let serving = bed.serve_aloud();
    bed.world.action(&id, "leak", &["A"]);
    bed.world.publish();
    bed.wait_until_begun(&id);
    until("the log to be here", || bed.log(&id).contains(value(Plant::Output)).then_some(()));

    let mut command = Command::new("sh");
    command.args(["-c", "read x", "sh", &hex(value(Plant::Process).as_bytes()).to_uppercase()]);
    command.env("PLANT", value(Plant::Process)).stdin(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let container = container(value(Plant::Container));
    let folder = tempfile::Builder::new().prefix("dispatch-").tempdir().unwrap();
    std::fs::write(folder.path().join("left"), STANDARD.encode(format!("xx{}", value(Plant::Folder)))).unwrap();

    places.look_meanwhile(&id, &serving);
    bed.let_go(&id);
    bed.world.wait_for_result(&id);
    places.everywhere_else(&id, &serving);
    places.event_stream(&events.told(&bed.job(&id)));
    places.endpoints(&endpoint(format!("{{\"missing\":[\"{}\"]}}", value(Plant::Endpoint).replace('/', "\\/"))));
    process.kill().unwrap();
    process.wait().unwrap();
    drop(container);

    let expected: [(Plant, &[&str]); 8] = [
        (
            Plant::Id,
            &[
                "Nomad: the job",
                "Nomad: its versions",
                "Nomad: the payload",
                "Nomad: jobs",
                "Nomad: allocations",
                "Nomad: evaluations",
                "Nomad: the allocation",
                "Nomad: the folder of server and client",
                "Nomad: the event stream",
                "Vault: the audit log",
                "verbs",
                "the control socket",
                "the words of the dispatcher",
                "the journal",
                "the state directory",
                "git: the mirror",
                "git: the ops repo",
            ],
        ),
        (Plant::Script, &["Nomad: the job", "Nomad: the payload", "git: the mirror", "git: the ops repo"]),
        (
            Plant::Output,
            &[
                "Nomad: stdout",
                "Nomad: the folder of the allocation",
                "verbs",
                "the journal",
                "the state directory",
                "git: the mirror",
                "git: the ops repo",
            ],
        ),
        (Plant::Stderr, &["Nomad: stderr", "Nomad: the folder of the allocation"]),
        (Plant::Process, &["a command line", "an environment"]),
        (Plant::Container, &["docker inspect", "docker logs", "docker top"]),
        (Plant::Endpoint, &["/healthz", "/readyz"]),
        (Plant::Folder, &["temporary folders"]),
    ];
    for (plant, expected) in &expected {
        let found = places.with(*plant as usize);
        let missed: Vec<_> = expected.iter().filter(|place| !found.contains(*place)).collect();
        assert!(missed.is_empty(), "{plant:?} was not found in {missed:?}, but in {found:?}");
    }
    let proven: BTreeSet<&str> = expected.iter().flat_map(|(_, places)| places.iter().copied()).collect();
    assert_eq!(proven, BTreeSet::from(PLACES), "each place has something planted in it");
}
