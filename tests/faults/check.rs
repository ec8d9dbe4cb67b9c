//! What must hold when everything has come to rest: tally, results, journal, processes and run directories agree.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use dispatch::run::journal::{chain, read, store};
use dispatch::run::record::Run;
use dispatch::run::state::State;

use crate::world::World;

/// How much may have happened to a run beside its own course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Everything ran exactly as often as it was to.
    Exact,
    /// Its supervisor or runner was hit: it may be lost, but was never repeated.
    AtMostOnce,
}

impl World {
    fn connection(&self) -> rusqlite::Connection {
        store::open_to_read(&self.path("state/journal.db")).unwrap()
    }

    /// How many events the journal has.
    pub(crate) fn events(&self) -> i64 {
        chain::tip(&self.connection()).unwrap().seq
    }

    /// All runs of the journal.
    pub(crate) fn runs(&self) -> Vec<Run> {
        read::recent(&self.connection(), None, 1000).unwrap()
    }

    /// The run of that id.
    pub(crate) fn run(&self, id: &str) -> Option<Run> {
        self.runs().into_iter().find(|run| run.id.to_string() == id)
    }

    /// Fails unless all that was asked for is over, and was done at most once. Answers what is wrong.
    pub(crate) fn faults(&self, strictness: Strictness) -> Vec<String> {
        let mut wrong = self.wrong_in_journal();
        let names = self.repo.remote_git(&["ls-tree", "-r", "--name-only", "main"]);
        let ids = names.lines().filter_map(|path| path.strip_prefix("vault/actions/")?.strip_suffix(".toml"));
        let results = names.lines().filter(|path| path.ends_with(".result.json")).count();
        let actions = ids.clone().count();
        wrong.extend(ids.flat_map(|id| self.wrong_with(id, strictness)));
        if results != actions {
            wrong.push(format!("{actions} actions have {results} results"));
        }
        wrong.extend(self.left_behind());
        wrong
    }

    /// [`Self::faults`] must find nothing.
    pub(crate) fn assert_sound(&self, strictness: Strictness) {
        let wrong = self.faults(strictness);
        assert!(wrong.is_empty(), "{wrong:#?}\ntally: {:?}", self.tally());
    }

    fn wrong_in_journal(&self) -> Vec<String> {
        let verified = chain::verify(&self.connection()).unwrap();
        let breaks = verified.breaks.iter().map(|at| format!("the chain breaks at {}: {}", at.seq, at.what));
        let open = self.runs().into_iter().filter(|run| run.state != State::Published || run.grant.is_some());
        breaks.chain(open.map(|run| format!("{} is {} in the journal", run.id, run.state))).collect()
    }

    fn wrong_with(&self, id: &str, strictness: Strictness) -> Vec<String> {
        let Some(result) = self.result(id) else { return vec![format!("{id} has no result")] };
        let attempts: Vec<Run> = self.runs().into_iter().filter(|run| run.id.action().as_str() == id).collect();
        let (begun, state) = (self.begun(id), result["state"].as_str().unwrap_or_default());
        let mut wrong = Vec::new();
        if begun > attempts.len().max(1) {
            wrong.push(format!("{id} ran {begun} times in {} attempts", attempts.len()));
        }
        let ran = match state {
            "succeeded" => Some(true),
            "failed" if result["exit"] == 3 => Some(true),
            "rejected" | "not_started" => Some(false),
            _ => None,
        };
        if ran.is_some_and(|ran| ran != (begun > 0)) {
            wrong.push(format!("{id} is {state}, and ran {begun} times"));
        }
        let expected = match id.split('-').next() {
            Some("ok" | "sec" | "hold" | "tree") => &["succeeded"][..],
            Some("bad") => &["failed"],
            Some("rej") => &["rejected"],
            // Cancelled, unless the fault came before the cancellation was on record.
            Some("can") => &["cancelled", "succeeded"],
            _ => &[state],
        };
        if strictness == Strictness::Exact && !expected.contains(&state) {
            wrong.push(format!("{id} is {state} ({})", result["message"]));
        }
        wrong.extend(
            attempts.iter().filter(|run| run.kept_aside.is_some()).map(|run| format!("{} was kept aside", run.id)),
        );
        wrong
    }

    /// Processes and directories of runs that are over.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mut left: Vec<String> = fs::read_dir(self.path("state/runs"))
            .map(|entries| entries.map(|entry| format!("{} is left", entry.unwrap().path().display())).collect())
            .unwrap_or_default();
        let root = self.repo.path().as_os_str().as_bytes();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let ours =
                line.windows(root.len()).any(|part| part == root) || folder.as_os_str().as_bytes().starts_with(root);
            if ours {
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                left.push(format!("process {} is left: {line}", entry.file_name().display()));
            }
        }
        left
    }
}
