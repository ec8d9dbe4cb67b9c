//! Granted values, looked for wherever a run leaves something: with a formula that prints them in every way it knows, which masking has to
//! catch. And who has read them, by Vault's own account.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bed::{Bed, docker, payload, raw_exec, value};
use crate::child::until;
use crate::search::Search;
use crate::testbed::Testbed;

/// Prints its secrets plainly and encoded, on both streams; what it waits for comes afterwards, so that all of it lies open meanwhile.
const LEAK: &str = "for name in \"${!STEM_@}\"; do\n  value=${!name}\n  \
    echo \"plain $value\"; echo \"to stderr $value\" >&2\n  \
    for before in '' x xx; do printf %s \"$before$value\" | base64 -w0; echo; done\n  \
    printf %s \"$value\" | od -An -tx1 -v | tr -d ' \\n'; echo\n  \
    json=${value//\\\\/\\\\\\\\}; printf '{\"token\":\"%s\"}\\n' \"${json//\\\"/\\\\\\\"}\"\n  \
    printf %s \"$value\" | split_in_two; echo\ndone\n";

/// Writes what comes in, in two parts.
const SPLIT: &str =
    "split_in_two() { local all; read -r all || true; printf %s \"${all:0:9}\"; printf '%s' \"${all:9}\"; }\n";

#[test]
fn no_value_that_was_granted_to_a_process_of_a_client_is_found_anywhere() {
    let bed = Bed::nomad(&raw_exec());
    leaves_no_trace(&bed);
}

#[test]
fn no_value_that_was_granted_to_a_container_is_found_anywhere() {
    let bed = Bed::nomad(&docker());
    leaves_no_trace(&bed);
}

fn leaves_no_trace(bed: &Bed) {
    let world = &bed.world;
    let names = ["A", "B"];
    let values = names.map(|name| value(world, name));
    let search = Search::of(&values);
    let stem = world.secret("");
    let script = format!("{SPLIT}{}{}", LEAK.replace("STEM", &stem[..stem.len() - 1]), bed.gate.knock());
    bed.formula("leak", &script);
    let events = Events::follow(bed);
    let running = world.serve();
    world.action("leaks", "leak", &names);
    world.publish();
    bed.wait_until_begun("leaks");
    let job = bed.job("leaks");
    until("the log to be here", || (bed.log("leaks").matches("[redacted:").count() >= 16).then_some(()));

    processes(&search);
    containers(&search);
    in_nomad(bed, &job, &search);
    assert!(search.none_below(&world.path("state")) > 3);
    for line in ["status", "status --output json", "show leaks", "list", "logs leaks", "explain leaks", "audit verify"]
    {
        search.none_in(line, world.call(line, &[]).said.as_bytes());
    }

    bed.let_go("leaks");
    let result = world.wait_for_result("leaks");
    assert_eq!(result["state"], "succeeded", "{result}\n{}", running.said());
    world.wait_until_revoked("leaks@1");
    in_nomad(bed, &job, &search);
    let told = events.end();
    assert!(String::from_utf8_lossy(&told).contains(job["ID"].as_str().unwrap()), "the stream told of the job");
    search.none_in("the event stream", &told);
    search.none_in("the dispatcher's own words", running.said().as_bytes());
    assert!(search.none_below(&world.path("state")) > 3);
    search.none_in("git", world.repo.remote_git(&["cat-file", "--batch-all-objects", "--batch"]).as_bytes());
    search.none_below(&world.repo.bare());
    who_read(bed, &search);
}

/// No command line shows a value, and no environment but that of the formula itself.
fn processes(search: &Search) {
    for entry in fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.path().join("cmdline").exists()) {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let arguments = read("cmdline");
        search.none_in("a command line", &arguments);
        let is_formula = arguments.starts_with(b"bash\0") || arguments.windows(6).any(|part| part == b"/bash\0");
        assert!(is_formula || !search.is_in(&read("environ")), "{}", String::from_utf8_lossy(&arguments));
    }
}

/// What the engine tells of its containers.
fn containers(search: &Search) {
    let docker = |arguments: &[&str]| {
        let host = Testbed::get().variable("DOCKER_HOST");
        let output = Command::new("docker").args(arguments).env("DOCKER_HOST", host).output().unwrap();
        [output.stdout, output.stderr].concat()
    };
    let ids = String::from_utf8(docker(&["ps", "--all", "--quiet", "--no-trunc"])).unwrap();
    for id in ids.split_whitespace() {
        search.none_in("docker inspect", &docker(&["inspect", id]));
        search.none_in("docker logs", &docker(&["logs", id]));
        search.none_in("docker top", &docker(&["top", id]));
    }
}

/// The job with its meta and payload, its evaluations and allocations, and all that lies on the client for them.
fn in_nomad(bed: &Bed, job: &Value, search: &Search) {
    search.none_in("the job", job.to_string().as_bytes());
    search.none_in("the payload", &payload(job));
    let ask = |path: &str| bed.nomad_namespace().ask("GET", path, None).text;
    for path in ["/v1/jobs?meta=true", "/v1/allocations?task_states=true&resources=true", "/v1/evaluations"] {
        search.none_in(path, ask(path).as_bytes());
    }
    let client = Testbed::get().folder().join("nomad/data/alloc");
    for allocation in bed.allocations(job) {
        let id = allocation["ID"].as_str().unwrap();
        search.none_in("the allocation", ask(&format!("/v1/allocation/{id}")).as_bytes());
        for stream in ["stdout", "stderr"] {
            let path = format!("/v1/client/fs/logs/{id}?task=runner&type={stream}&origin=start&plain=true");
            search.none_in(stream, ask(&path).as_bytes());
        }
        let folder: &Path = &client.join(id);
        assert!(search.none_below(folder) > 1, "{}", folder.display());
    }
}

/// The run's token alone has read, each secret once; and the audit log shows no value.
fn who_read(bed: &Bed, search: &Search) {
    let world = &bed.world;
    let token = world.grants("leaks@1")[0]["wrapping"]["wrapped"].as_str().unwrap().to_owned();
    for name in ["A", "B"] {
        let read = world.audited(&format!("kv/data/disinto/runner/{}", world.secret(name)));
        let read: Vec<&Value> = read.iter().filter(|line| line["request"]["operation"] == "read").collect();
        assert_eq!(read.len(), 1, "{read:?}");
        assert_eq!((&read[0]["auth"]["accessor"], read[0]["error"].as_str()), (&Value::from(token.as_str()), None));
        assert_eq!(read[0]["auth"]["metadata"]["run"], "leaks@1");
        search.none_in("the audit log", read[0].to_string().as_bytes());
    }
    let unwrapped = world.audited("sys/wrapping/unwrap");
    let of_run = |line: &&Value| line["response"]["auth"]["accessor"] == token.as_str();
    let by: BTreeSet<String> = unwrapped.iter().filter(of_run).map(|line| line["request"]["id"].to_string()).collect();
    assert_eq!(by.len(), 1, "it was opened once: {by:?}");
}

/// The event stream of a namespace, from before the run.
struct Events {
    child: Child,
    file: PathBuf,
}

impl Events {
    fn follow(bed: &Bed) -> Self {
        let (nomad, file) = (Testbed::get().nomad(), bed.world.path("events"));
        let url = format!("{}/v1/event/stream?namespace={}", nomad.address, bed.nomad_namespace().name);
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--no-buffer",
            "--noproxy",
            "*",
            "--header",
            &format!("X-Nomad-Token: {}", nomad.token),
            &url,
        ]);
        let child = command.stdout(File::create(&file).unwrap()).stdin(Stdio::null()).spawn().unwrap();
        Self { child, file }
    }

    fn end(mut self) -> Vec<u8> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::read(&self.file).unwrap()
    }
}
