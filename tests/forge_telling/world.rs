//! A repository on the forge with the files of `dispatch ops init`, two people and the dispatcher's user, a state directory, a
//! config, and the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::child::{Ended, Running, until};
use crate::testbed::{Answer, Permission, Repository, Testbed, User};

const SCOPES: [&str; 3] = ["write:repository", "write:issue", "read:user"];

/// What the webhook is signed with.
pub(crate) const SECRET: &str = "the forge's and ours";

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) repository: Repository,
    /// Files requests.
    pub(crate) author: User,
    /// Approves and merges.
    pub(crate) approver: User,
    /// The dispatcher.
    pub(crate) dispatcher: User,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(Testbed::get().repository())
    }

    /// With the files of an ops repo in the repository, put there by ourselves.
    pub(crate) fn on(repository: Repository) -> Self {
        let author = repository.user("author", Permission::Write, &SCOPES);
        let approver = repository.user("approver", Permission::Write, &SCOPES);
        let dispatcher = repository.user("dispatch", Permission::Write, &SCOPES);
        let world = Self { folder: tempfile::tempdir().unwrap(), repository, author, approver, dispatcher };
        world.configure("");
        assert_eq!(world.call("ops init --remote").status.code(), Some(0));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the config, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        let (root, remote, user) = (self.folder.path().display(), self.repository.clone_url(), &self.dispatcher.name);
        let config = format!(
            "state_dir = '{root}/state'\n[ops]\nremote = '{remote}'\npoll_seconds = 1\n\
             credential = {{ username = '{user}', password_env = 'DISPATCHER' }}\n\
             [forge]\ntoken_env = 'DISPATCHER'\nwrite_token_env = 'TELLER'\n{more}"
        );
        fs::write(self.path("dispatch.toml"), config).unwrap();
    }

    /// The binary, called by `user`.
    pub(crate) fn command_as(&self, user: &User, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap());
        // What is killed leaves its scratch where the test's folder goes with it.
        command.env("TMPDIR", self.folder.path());
        command.env("DISPATCHER", &self.dispatcher.api.token).env("TELLER", &user.api.token).env("HOOK", SECRET);
        command
    }

    pub(crate) fn start_as(&self, user: &User, arguments: &[&str]) -> Running {
        let log = self.path(&format!("{}.log", arguments[0]));
        Running::start(self.command_as(user, arguments), log)
    }

    pub(crate) fn call(&self, line: &str) -> Ended {
        self.start_as(&self.dispatcher, &line.split_whitespace().collect::<Vec<_>>()).end()
    }

    /// A serving dispatcher.
    pub(crate) fn serve(&self) -> Running {
        let mut command = self.command_as(&self.dispatcher, &["run"]);
        command.env("DISPATCH_LOG", "info");
        Running::start(command, self.path("run.log"))
    }

    pub(crate) fn clone(&self) -> PathBuf {
        let place = self.path("clone");
        let remote = self.repository.clone_url().replacen("://", &format!("://x:{}@", self.author.api.token), 1);
        git(self.folder.path(), &["clone", "--quiet", &remote, place.to_str().unwrap()]);
        place
    }

    /// Puts a file onto the primary branch.
    pub(crate) fn add(&self, path: &str, text: &str) {
        let body = json!({ "content": STANDARD.encode(text), "message": path, "branch": "main" });
        self.repository.must("POST", &format!("/contents/{path}"), Some(&body));
    }

    /// Files an action by a pull request of the author's; answers its number and head.
    pub(crate) fn file(&self, id: &str, text: &str) -> (u64, String) {
        self.file_in("vault/actions", id, text)
    }

    /// The same in another folder.
    pub(crate) fn file_in(&self, folder: &str, id: &str, text: &str) -> (u64, String) {
        let body = json!({ "content": STANDARD.encode(text), "message": id, "branch": "main", "new_branch": id });
        self.author.api.must("POST", &self.repository.path(&format!("/contents/{folder}/{id}.toml")), Some(&body));
        let body = json!({ "title": id, "head": id, "base": "main" });
        let pull = self.author.api.must("POST", &self.repository.path("/pulls"), Some(&body));
        (pull["number"].as_u64().unwrap(), pull["head"]["sha"].as_str().unwrap().to_owned())
    }

    pub(crate) fn approve(&self, number: u64) {
        let body = json!({ "event": "APPROVED" });
        self.approver.api.must("POST", &self.repository.path(&format!("/pulls/{number}/reviews")), Some(&body));
    }

    /// Merges; answers the merge commit.
    pub(crate) fn merge(&self, number: u64) -> String {
        self.merge_as(number, "merge").0
    }

    /// Merges, once the forge has checked for conflicts; answers the merge commit, and when it was asked for it with success.
    pub(crate) fn merge_as(&self, number: u64, style: &str) -> (String, Instant) {
        let (merge, pull) = (
            self.repository.path(&format!("/pulls/{number}/merge")),
            self.repository.path(&format!("/pulls/{number}")),
        );
        let asked = until("the merge", || {
            let asked = Instant::now();
            let answer: Answer = self.approver.api.ask("POST", &merge, Some(&json!({ "Do": style })));
            (answer.status == 200).then_some(asked)
        });
        let commit = until("its commit", || {
            self.approver.api.must("GET", &pull, None)["merge_commit_sha"].as_str().map(str::to_owned)
        });
        (commit, asked)
    }

    /// What stands under `context` on a commit, the newest: state and description.
    pub(crate) fn status(&self, commit: &str, context: &str) -> Option<(String, String)> {
        let all = self.repository.must("GET", &format!("/statuses/{commit}?limit=50"), None);
        let ours = all.as_array().unwrap().iter().filter(|status| status["context"] == context);
        let newest = ours.max_by_key(|status| status["id"].as_i64())?;
        let text = |name: &str| newest[name].as_str().unwrap().to_owned();
        Some((text("status"), text("description")))
    }

    /// Waits until the newest status of that context has that state; answers its description.
    pub(crate) fn await_status(&self, commit: &str, context: &str, state: &str) -> String {
        until(&format!("{context} = {state}"), || {
            self.status(commit, context).filter(|(found, _)| found == state).map(|(_, description)| description)
        })
    }

    pub(crate) fn comments(&self, number: u64) -> Vec<Value> {
        self.repository.must("GET", &format!("/issues/{number}/comments"), None).as_array().unwrap().clone()
    }

    /// The administrator of the repository: only such a one may protect a branch, or add a hook.
    pub(crate) fn administrator(&self) -> User {
        let api = Testbed::get().forge().at(&self.author.api.address);
        User { name: "bed-admin".to_owned(), id: 1, password: String::new(), api }
    }

    /// Calls the binary as `user`; what it said, if that went well.
    pub(crate) fn said(&self, user: &User, line: &str) -> String {
        let ended = self.start_as(user, &line.split_whitespace().collect::<Vec<_>>()).end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
        ended.said
    }

    /// Adds the hook, pointing at `address`.
    pub(crate) fn hook(&self, address: &str) {
        self.said(&self.administrator(), &format!("ops init --webhook http://{address}/webhook"));
    }
}

/// An action of the formula of the skeleton, which is of the low tier.
pub(crate) fn hello(id: &str) -> String {
    format!("id = '{id}'\nformula = 'hello'\ncontext = 'a test'\nsecrets = []\n")
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.invalid"]).args(arguments).current_dir(folder);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The address that its webhook listens on, as its log says.
pub(crate) fn address(serving: &Running) -> String {
    until("the address of the webhook", || {
        let said = serving.said();
        let line = said.lines().find(|line| line.contains("listening for the forge's webhook"))?.to_owned();
        line.split("address=").nth(1)?.split_whitespace().next().map(str::to_owned)
    })
}

pub(crate) fn stop(serving: Running) {
    serving.signal(Signal::TERM);
    let ended = serving.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
}

/// Waits for a line in what a call says.
pub(crate) fn says(running: &Running, words: &str) {
    until(words, || running.said().contains(words).then_some(()));
}
