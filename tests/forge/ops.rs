//! An ops repo on the forge, a clone of it, and the dispatcher's binary configured for it in a world of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api;
use crate::crew::{Crew, Somebody, crew};
use crate::vault::{Minter, secret};

pub(crate) struct Ops {
    pub(crate) folder: TempDir,
    pub(crate) crew: &'static Crew,
    /// `owner/name`
    pub(crate) name: String,
    minter: Minter,
    /// What the config says of Vault.
    secrets: String,
}

/// A pull request.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) branch: String,
    /// Its head when it was opened, or pushed to last.
    pub(crate) head: String,
}

/// What `dispatch explain` says.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) all: String,
}

/// An action for `deploy`, which is medium, with the secret.
pub(crate) fn action(id: &str) -> String {
    let secret = secret();
    format!("id = \"{id}\"\nformula = \"deploy\"\ncontext = \"for a test\"\nsecrets = [\"{secret}\"]\n")
}

/// Where actions are.
pub(crate) fn path(id: &str) -> String {
    format!("vault/actions/{id}.toml")
}

pub(crate) const POLICY: &str = "[tiers]\necho = \"low\"\ndeploy = \"medium\"\n";

impl Ops {
    /// A repo with a policy, two formulas, and a protected branch into which only reviewed requests go.
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let crew = crew().await;
        let repo = format!("ops-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let settings = json!({ "name": repo, "private": true, "default_branch": "main" });
        let made = api::call(&api::admin(), Method::POST, "/user/repos", settings).await;
        let name = made["full_name"].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let (minter, secrets) = Minter::new(folder.path());
        let this = Self { folder, crew, name, minter, secrets };
        for who in [&crew.author, &crew.first, &crew.second, &crew.outsider, &crew.writer] {
            this.collaborator(who, "write").await;
        }
        this.collaborator(&crew.reader, "read").await;
        this.begin();
        // A Gitea that is busy takes in what was pushed only after the push, and loses the branch, or the settings, where both change.
        let branch = format!("/repos/{}/branches/main", this.name);
        api::until("the branch", || async { api::ask(&api::admin(), Method::GET, &branch, None).await.0 == 200 }).await;
        this.set(json!({ "has_pull_requests": true, "allow_fast_forward_only_merge": true })).await;
        this.configure("");
        this
    }

    pub(crate) async fn collaborator(&self, who: &Somebody, permission: &str) {
        let path = format!("/repos/{}/collaborators/{}", self.name, who.login);
        api::call(&api::admin(), Method::PUT, &path, json!({ "permission": permission })).await;
    }

    /// The first commit: the policy and the formulas. Both leave a mark where they run, if they were given the secret.
    fn begin(&self) {
        let work = self.work();
        fs::create_dir(&work).unwrap();
        self.git(&["init", "--quiet", "-b", "main", "."]);
        self.write("vault/policy.toml", POLICY);
        let mark = self.folder.path().join("launched").display().to_string();
        let script = format!("test -n \"${}\"\necho $DISPATCH_ACTION_ID >> '{mark}'\n", secret());
        self.write("formulas/deploy.sh", &script);
        self.write("formulas/echo.sh", &script);
        self.commit("the rules", &self.crew.writer);
        self.push_as(&api::admin(), "HEAD:main").unwrap();
    }

    /// Settings of the repository.
    pub(crate) async fn set(&self, settings: Value) {
        api::call(&api::admin(), Method::PATCH, &format!("/repos/{}", self.name), settings).await;
    }

    /// Only `writer` may push to `main`, and merges need `approvals` that are not stale.
    pub(crate) async fn protect(&self, approvals: u32) {
        let body = json!({
            "rule_name": "main", "enable_push": true, "enable_push_whitelist": true,
            "push_whitelist_usernames": [self.crew.writer.login], "required_approvals": approvals,
            "block_on_rejected_reviews": true, "ignore_stale_approvals": true, "block_admin_merge_override": true
        });
        api::call(&api::admin(), Method::POST, &format!("/repos/{}/branch_protections", self.name), body).await;
    }

    /// Writes the configuration: both approvers may approve medium and high, and one of them is enough. `approval` goes into
    /// `[approval]`.
    pub(crate) fn configure(&self, approval: &str) {
        self.configure_at(&api::url(), approval);
    }

    /// The same, with the API behind another address.
    pub(crate) fn configure_at(&self, forge: &str, approval: &str) {
        let Crew { first, second, reader, writer, .. } = self.crew;
        for who in [reader, writer] {
            fs::write(self.folder.path().join(&who.login), &who.token).unwrap();
        }
        let one = |who: &Somebody| format!("{{ login = '{}', id = {} }}", who.login, who.id);
        let approvers = format!("approvers = [{}, {}]", one(first), one(second));
        let login = |who: &Somebody| format!("{{ username = '{0}', password_file = '{0}' }}", who.login);
        let text = format!(
            "state_dir = 'state'\n[ops]\nremote = '{}/{}.git'\ncredential = {}\npush_credential = {}\n\
             [forge]\nurl = '{forge}'\ntoken_file = '{}'\ntimeout_seconds = 5\n\
             [approval]\nmode = 'pull_request'\nrequest_wait_seconds = 2\n{approval}\n\
             [approval.medium]\n{approvers}\n[approval.high]\n{approvers}\n{}",
            api::url(),
            self.name,
            login(reader),
            login(writer),
            reader.login,
            self.secrets,
        );
        fs::write(self.folder.path().join("dispatch.toml"), text).unwrap();
    }

    /// Changes a piece of the configuration.
    pub(crate) fn reconfigure(&self, from: &str, to: &str) {
        let file = self.folder.path().join("dispatch.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.work().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.work()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        git.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        git.output().unwrap()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits everything as `who`, and answers the commit.
    pub(crate) fn commit(&self, message: &str, who: &Somebody) -> String {
        self.git(&["add", "-A"]);
        let (name, mail) = (format!("user.name={}", who.login), format!("user.email={}", who.mail()));
        self.git(&["-c", &name, "-c", &mail, "commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes with a token; git's words where it is refused.
    pub(crate) fn push_as(&self, token: &str, what: &str) -> Result<(), String> {
        let address = format!("{}/{}.git", api::url().replace("://", &format!("://x:{token}@")), self.name);
        let output = self.run(&["push", "--quiet", "--force", &address, what]);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Brings the clone's `main` to where the forge's is.
    pub(crate) fn pull(&self) -> String {
        let token = api::admin();
        let address = format!("{}/{}.git", api::url().replace("://", &format!("://x:{token}@")), self.name);
        self.git(&["fetch", "--quiet", &address, "main"]);
        self.git(&["checkout", "--quiet", "-B", "main", "FETCH_HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Changes files on `main` by a push of somebody who may, without any request.
    pub(crate) fn push_directly(&self, files: &[(&str, &str)]) -> String {
        self.pull();
        for (path, text) in files {
            self.write(path, text);
        }
        let commit = self.commit("directly", &self.crew.writer);
        self.push_as(&self.crew.writer.token, "HEAD:main").unwrap();
        commit
    }

    /// Opens a request of the author's with these files, one commit for each.
    pub(crate) async fn request(&self, files: &[(&str, &str)]) -> Pull {
        self.request_by(&self.crew.author, &self.crew.author, "main", files).await
    }

    /// The same, opened by `who` and committed by `committer`, for another base.
    pub(crate) async fn request_by(
        &self,
        who: &Somebody,
        committer: &Somebody,
        base: &str,
        files: &[(&str, &str)],
    ) -> Pull {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let branch = format!("request-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.pull();
        self.git(&["checkout", "--quiet", "-B", &branch]);
        let mut head = String::new();
        for (path, text) in files {
            self.write(path, text);
            head = self.commit(&format!("change {path}"), committer);
        }
        self.push_as(&who.token, &format!("HEAD:{branch}")).unwrap();
        let body = json!({ "title": "a request", "head": branch, "base": base });
        let pull = api::call(&who.token, Method::POST, &format!("/repos/{}/pulls", self.name), body).await;
        Pull { number: pull["number"].as_u64().unwrap(), branch, head }
    }

    /// One more commit on the request's branch.
    pub(crate) fn push_more(&self, pull: &mut Pull, files: &[(&str, &str)]) {
        self.push_more_as(&self.crew.author, pull, files);
    }

    /// The same, pushed by `who` under the author's name.
    pub(crate) fn push_more_as(&self, who: &Somebody, pull: &mut Pull, files: &[(&str, &str)]) {
        self.git(&["checkout", "--quiet", &pull.branch]);
        for (path, text) in files {
            self.write(path, text);
        }
        pull.head = self.commit("more", &self.crew.author);
        self.push_as(&who.token, &format!("HEAD:{}", pull.branch)).unwrap();
    }

    /// A request of two commits, of which the first, with that file, is pushed to `main` while it is closed.
    pub(crate) async fn half_pushed(&self, path: &str, text: &str) -> Pull {
        let pull = self.request(&[(path, text), ("README.md", "an honest change\n")]).await;
        self.edit(&pull, &self.crew.author, json!({ "state": "closed" })).await;
        let first = self.git(&["rev-parse", &format!("{}^", pull.head)]);
        self.push_as(&self.crew.writer.token, &format!("{first}:main")).unwrap();
        self.edit(&pull, &self.crew.author, json!({ "state": "open" })).await;
        pull
    }

    pub(crate) async fn review(&self, pull: &Pull, who: &Somebody, event: &str, commit: &str) -> Value {
        let path = format!("/repos/{}/pulls/{}/reviews", self.name, pull.number);
        let body = json!({ "event": event, "commit_id": commit, "body": "a review" });
        api::call(&who.token, Method::POST, &path, body).await
    }

    pub(crate) async fn approve(&self, pull: &Pull, who: &Somebody) -> Value {
        self.review(pull, who, "APPROVED", &pull.head).await
    }

    /// The branch on which the request is, as the API names it: state, title, base.
    pub(crate) async fn edit(&self, pull: &Pull, who: &Somebody, change: Value) {
        let path = format!("/repos/{}/pulls/{}", self.name, pull.number);
        api::call(&who.token, Method::PATCH, &path, change).await;
    }

    pub(crate) async fn merge(&self, pull: &Pull, style: &str) -> String {
        self.merge_with(pull, json!({ "Do": style })).await
    }

    /// Merges as `writer`, and waits until the forge can name the request by its commit.
    pub(crate) async fn merge_with(&self, pull: &Pull, how: Value) -> String {
        let request = format!("/repos/{}/pulls/{}", self.name, pull.number);
        let (merge, token) = (format!("{request}/merge"), self.crew.writer.token.as_str());
        api::until("merged", || async {
            let (status, answer) = api::ask(token, Method::POST, &merge, Some(how.clone())).await;
            // It is checking for conflicts, or lost a race for the branch.
            let words = answer["message"].as_str().unwrap_or_default();
            let later = words.contains("try again later") || words.contains("cannot lock ref");
            assert!(status == 200 || later, "merging: {status} {answer}");
            status == 200
        })
        .await;
        let merged = api::call(token, Method::GET, &request, Value::Null).await;
        let commit = merged["merge_commit_sha"].as_str().unwrap_or_else(|| panic!("not merged: {merged}")).to_owned();
        let mapped = format!("/repos/{}/commits/{commit}/pull", self.name);
        api::until("mapped", || async { api::ask(token, Method::GET, &mapped, None).await.0 == 200 }).await;
        commit
    }

    /// The binary.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap());
        // What is killed leaves its scratch where the test's folder goes with it.
        command.env("TMPDIR", self.folder.path());
        command
    }

    /// Calls the binary; all that it printed.
    pub(crate) async fn dispatch(&self, line: &str) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::from(self.command(line));
        let output = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// What is said of an action now, without doing anything.
    pub(crate) async fn explain(&self, id: &str) -> Said {
        let output = tokio::process::Command::from(self.command(&format!("--output json explain {id}"))).output().await;
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        let text = |key: &str| answer["data"][key].as_str().unwrap_or_default().to_owned();
        Said { verdict: text("verdict"), reason: text("reason"), all: format!("{answer:#}") }
    }

    /// Lets the dispatcher work, again and again while the action waits, and says how it was decided. It worked once more
    /// after that: what an action waits for may come between the dispatcher's look and that of the one who asks.
    pub(crate) async fn decided(&self, id: &str) -> Said {
        let mut last = None;
        for _ in 0..20 {
            let (_, printed) = self.dispatch("once").await;
            let said = self.explain(id).await;
            if said.verdict != "waiting" {
                self.dispatch("once").await;
                return said;
            }
            last = Some((printed, said));
        }
        panic!("it still waits: {last:#?}")
    }

    /// Which actions have run.
    pub(crate) fn launched(&self) -> Vec<String> {
        let marks = fs::read_to_string(self.folder.path().join("launched")).unwrap_or_default();
        marks.lines().map(str::to_owned).collect()
    }

    /// The action must be rejected for `reason`, and nothing may run. `words` must stand in the explanation.
    pub(crate) async fn refused(&self, id: &str, reason: &str, words: &str) {
        let before = self.explain(id).await;
        let said = self.decided(id).await;
        assert_eq!((said.verdict.as_str(), said.reason.as_str()), ("rejected", reason), "{}\n{}", before.all, said.all);
        assert!(before.all.contains(words) || said.all.contains(words), "`{words}` is not said in {}", before.all);
        assert_eq!(self.launched(), Vec::<String>::new());
    }

    /// The action must run.
    pub(crate) async fn admitted(&self, id: &str) {
        let before = self.explain(id).await;
        let (_, printed) = self.dispatch("once").await;
        assert!(self.launched().contains(&id.to_owned()), "{printed}\n{}", before.all);
    }
}

/// Nobody was given a token who did not run, and nobody ran without one.
impl Drop for Ops {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.minter.minted(), self.launched().len(), "tokens minted, and actions that ran");
        }
    }
}
