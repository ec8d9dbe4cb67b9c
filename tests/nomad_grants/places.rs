//! Wherever a run leaves something: each place is looked through for some values, and what was found is told by place.
//!
//! `canary` expects nothing to be found; `planted` plants something in every place, and expects each to tell of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;

use crate::bed::{Bed, escaped, payload};
use crate::child::{Running, until};
use crate::search::Search;
use crate::testbed::{Api, Testbed};
use crate::unpack::{is_repository, objects, rows};

/// Every place, by the name under which it is told of.
pub(crate) const PLACES: [&str; 28] = [
    "a command line",
    "an environment",
    "docker inspect",
    "docker logs",
    "docker top",
    "Nomad: the job",
    "Nomad: its versions",
    "Nomad: the payload",
    "Nomad: jobs",
    "Nomad: allocations",
    "Nomad: evaluations",
    "Nomad: the allocation",
    "Nomad: stdout",
    "Nomad: stderr",
    "Nomad: the folder of the allocation",
    "Nomad: the folder of server and client",
    "Nomad: the event stream",
    "Vault: the audit log",
    "verbs",
    "the control socket",
    "/healthz",
    "/readyz",
    "the words of the dispatcher",
    "the journal",
    "the state directory",
    "git: the mirror",
    "git: the ops repo",
    "temporary folders",
];

/// What is looked for, and where it was found.
pub(crate) struct Places<'a> {
    bed: &'a Bed,
    search: &'a Search,
    /// When the test's own folder was made. Files that are older are not of this test.
    since: SystemTime,
    found: BTreeMap<String, BTreeSet<usize>>,
    looked: BTreeSet<&'static str>,
}

impl<'a> Places<'a> {
    pub(crate) fn of(bed: &'a Bed, search: &'a Search) -> Self {
        let since = made(&fs::metadata(bed.world.repo.path()).unwrap());
        Self { bed, search, since, found: BTreeMap::new(), looked: BTreeSet::new() }
    }

    /// Place, and where in it, → the numbers of the values that were found there.
    pub(crate) fn found(&self) -> &BTreeMap<String, BTreeSet<usize>> {
        &self.found
    }

    /// The places where one of the values was found.
    pub(crate) fn with(&self, value: usize) -> BTreeSet<&str> {
        let has = self.found.iter().filter(|(_, values)| values.contains(&value));
        has.map(|(place, _)| place.split_once(" (").map_or(place.as_str(), |(place, _)| place)).collect()
    }

    /// Places where nothing was looked at.
    pub(crate) fn left_out(&self) -> Vec<&'static str> {
        PLACES.into_iter().filter(|place| !self.looked.contains(place)).collect()
    }

    fn look(&mut self, place: &'static str, where_in_it: &str, bytes: &[u8]) {
        assert!(PLACES.contains(&place), "{place}");
        self.looked.insert(place);
        let found = self.search.within(bytes);
        if !found.is_empty() {
            self.found.entry(format!("{place} ({where_in_it})")).or_default().extend(found);
        }
    }

    /// All files below a folder, or a file. What vanishes meanwhile is no place.
    fn look_below(&mut self, place: &'static str, path: &Path, since: Option<SystemTime>) {
        let Ok(about) = fs::symlink_metadata(path) else { return };
        if about.is_dir() {
            if is_repository(path) && place == "the state directory" {
                self.look("git: the mirror", &path.display().to_string(), &objects(path));
            }
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.look_below(place, &entry.path(), since);
            }
        }
        let is_new = since.is_none_or(|since| about.modified().is_ok_and(|at| at >= since));
        // Nomad's pipes lie among the files; reading one would wait for ever, and take from it.
        if about.is_file()
            && is_new
            && let Ok(bytes) = fs::read(path)
        {
            self.look(place, &path.display().to_string(), &bytes);
        }
    }

    /// While the run of `id` goes on.
    pub(crate) fn look_meanwhile(&mut self, id: &str, serving: &Running) {
        self.processes();
        self.containers();
        self.everywhere_else(id, serving);
    }

    /// At any time since the run of `id` was launched.
    pub(crate) fn everywhere_else(&mut self, id: &str, serving: &Running) {
        self.nomad(id);
        self.dispatcher(id, serving);
        let state = self.bed.world.path("state");
        self.look_below("the state directory", &state, None);
        for row in rows(&state.join("journal.db")) {
            self.look("the journal", "a row", &row);
        }
        self.look("git: the ops repo", "objects", &objects(&self.bed.world.repo.bare()));
        for folder in [std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into()] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                // What others do beside the tests is none of ours; the servers' own folder is looked through by itself.
                let new = fs::symlink_metadata(&entry).is_ok_and(|about| made(&about) >= self.since);
                if new && !Testbed::get().folder().starts_with(&entry) {
                    self.look_below("temporary folders", &entry, None);
                }
            }
        }
    }

    /// No command line shows a value, and no environment but that of the formula itself.
    fn processes(&mut self) {
        for entry in fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.path().join("cmdline").exists()) {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let arguments = read("cmdline");
            let shown = String::from_utf8_lossy(&arguments).replace('\0', " ");
            self.look("a command line", &shown, &arguments);
            if !shown.split(' ').next().is_some_and(|program| program.ends_with("bash")) {
                self.look("an environment", &shown, &read("environ"));
            }
        }
    }

    /// What the engine tells of its containers.
    fn containers(&mut self) {
        self.looked.extend(["docker inspect", "docker logs", "docker top"]);
        for id in docker(&["ps", "--all", "--quiet", "--no-trunc"]).split(|byte| *byte == b'\n') {
            let id = std::str::from_utf8(id).unwrap();
            if !id.is_empty() {
                self.look("docker inspect", id, &docker(&["inspect", id]));
                self.look("docker logs", id, &docker(&["logs", id]));
                self.look("docker top", id, &docker(&["top", id]));
            }
        }
    }

    /// The job with its meta and payload, its evaluations and allocations, and all that lies on the client and the server for them.
    fn nomad(&mut self, id: &str) {
        let (bed, job) = (self.bed, self.bed.job(id));
        let child = job["ID"].as_str().unwrap();
        let ask = |path: &str| bed.nomad_namespace().ask("GET", path, None).text;
        self.look("Nomad: the job", child, job.to_string().as_bytes());
        self.look("Nomad: the payload", child, &payload(&job));
        for (place, path) in [
            ("Nomad: its versions", format!("/v1/job/{}/versions", escaped(child))),
            ("Nomad: jobs", "/v1/jobs?meta=true".to_owned()),
            ("Nomad: allocations", "/v1/allocations?task_states=true&resources=true".to_owned()),
            ("Nomad: evaluations", "/v1/evaluations".to_owned()),
        ] {
            self.look(place, &path, ask(&path).as_bytes());
        }
        let data = Testbed::get().folder().join("nomad");
        for allocation in bed.allocations(&job) {
            let id = allocation["ID"].as_str().unwrap();
            self.look("Nomad: the allocation", id, ask(&format!("/v1/allocation/{id}")).as_bytes());
            for (place, stream) in [("Nomad: stdout", "stdout"), ("Nomad: stderr", "stderr")] {
                let path = format!("/v1/client/fs/logs/{id}?task=runner&type={stream}&origin=start&plain=true");
                self.look(place, id, ask(&path).as_bytes());
            }
            self.look_below("Nomad: the folder of the allocation", &data.join("data/alloc").join(id), None);
        }
        self.look_below("Nomad: the folder of server and client", &data, Some(self.since));
        let audit = Testbed::get().variable("TESTBED_VAULT_AUDIT");
        self.look("Vault: the audit log", audit, &fs::read(audit).unwrap());
    }

    /// What the dispatcher answers to whom, and what it says by itself.
    fn dispatcher(&mut self, id: &str, serving: &Running) {
        let world = &self.bed.world;
        for verb in
            ["status", "status --output json", "show ID", "show ID --output json", "list", "logs ID", "explain ID"]
                .into_iter()
                .chain(["audit verify", "doctor"])
        {
            let line = verb.replace("ID", id);
            self.look("verbs", &line, world.call(&line, &[]).said.as_bytes());
        }
        for command in ["ping", "status"] {
            self.look("the control socket", command, &said_by_socket(&world.path("state/dispatch.sock"), command));
        }
        self.endpoints(&listens_at(serving));
        self.look("the words of the dispatcher", "its log", serving.said().as_bytes());
    }

    pub(crate) fn endpoints(&mut self, address: &str) {
        let api = Api::nomad(&format!("http://{address}"), "none");
        for place in ["/healthz", "/readyz"] {
            let answer = api.ask("GET", place, None);
            assert!(!answer.text.is_empty(), "{place}: {}", answer.status);
            self.look(place, address, answer.text.as_bytes());
        }
    }

    pub(crate) fn event_stream(&mut self, told: &[u8]) {
        self.look("Nomad: the event stream", "all of it", told);
    }
}

/// When a file or folder was made; not every file system keeps that.
fn made(about: &fs::Metadata) -> SystemTime {
    about.created().or_else(|_| about.modified()).unwrap()
}

/// The engine's answer.
pub(crate) fn docker(arguments: &[&str]) -> Vec<u8> {
    let host = Testbed::get().variable("DOCKER_HOST");
    let output = Command::new("docker").args(arguments).env("DOCKER_HOST", host).output().unwrap();
    [output.stdout, output.stderr].concat()
}

fn said_by_socket(path: &Path, command: &str) -> Vec<u8> {
    let mut socket = UnixStream::connect(path).unwrap();
    writeln!(socket, "{{\"v\":1,\"cmd\":\"{command}\"}}").unwrap();
    let mut answer = Vec::new();
    BufReader::new(socket).read_until(b'\n', &mut answer).unwrap();
    assert!(answer.starts_with(b"{\"ok\""), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// Where the dispatcher answers over HTTP, as its log says.
pub(crate) fn listens_at(serving: &Running) -> String {
    until("the address of the webhook", || {
        let said = serving.said();
        let line = said.lines().find(|line| line.contains("listening for the forge's webhook"))?.to_owned();
        line.split("address=").nth(1)?.split_whitespace().next().map(str::to_owned)
    })
}

/// The event stream of a namespace, from before the run.
pub(crate) struct Events {
    child: Child,
    file: PathBuf,
}

impl Events {
    pub(crate) fn follow(bed: &Bed) -> Self {
        let (nomad, file) = (Testbed::get().nomad(), bed.world.path("events"));
        let url = format!("{}/v1/event/stream?namespace={}", nomad.address, bed.nomad_namespace().name);
        let token = format!("X-Nomad-Token: {}", nomad.token);
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--noproxy", "*", "--header", &token, &url]);
        let child = command.stdout(File::create(&file).unwrap()).stdin(Stdio::null()).spawn().unwrap();
        Self { child, file }
    }

    /// What it has told by now, of which `job` is a part.
    pub(crate) fn told(&self, job: &Value) -> Vec<u8> {
        let id = job["ID"].as_str().unwrap();
        until("the stream to tell of the job", || {
            let told = fs::read(&self.file).unwrap();
            String::from_utf8_lossy(&told).contains(id).then_some(told)
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
