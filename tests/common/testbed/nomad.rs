//! A namespace of a test's own in Nomad: jobs, tokens and lists in it are no other test's.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Api, eventually, unique};

/// Removed at drop, after its jobs were stopped.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Its name.
    pub(crate) name: String,
    nomad: Api,
}

impl Namespace {
    pub(crate) fn new(nomad: Api) -> Self {
        let name = unique("t");
        nomad.must("PUT", &format!("/v1/namespace/{name}"), Some(&json!({ "Name": name })));
        Self { name, nomad }
    }

    /// Asks Nomad in this namespace, with the management token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.nomad.ask(method, &self.path(path), body)
    }

    /// The same, and panics unless Nomad agreed.
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.nomad.must(method, &self.path(path), body)
    }

    fn path(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}namespace={}", self.name)
    }

    /// Nomad refuses to remove a namespace with a variable, and a variable with a lock.
    fn remove_variables(&self) {
        let variables = self.ask("GET", "/v1/vars", None).json();
        for path in variables.as_array().into_iter().flatten().filter_map(|one| one["Path"].as_str()) {
            let path = format!("/v1/var/{path}");
            let mut variable = self.ask("GET", &path, None).json();
            if variable["Lock"].is_object() {
                variable["Items"].take();
                self.ask("PUT", &format!("{path}?lock-release"), Some(&variable));
            }
            self.ask("DELETE", &path, None);
        }
    }

    /// Nomad refuses to remove a namespace with a job that is not dead, and a stopped one dies a moment later.
    fn remove(&self) -> Option<()> {
        self.remove_variables();
        let jobs = self.ask("GET", "/v1/jobs", None).json();
        for job in jobs.as_array().into_iter().flatten().filter(|job| job["Stop"] != json!(true)) {
            self.ask("DELETE", &format!("/v1/job/{}", job["ID"].as_str()?), None);
        }
        let status = self.nomad.ask("DELETE", &format!("/v1/namespace/{}", self.name), None).status;
        matches!(status, 200 | 404).then_some(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that failed may have stopped the server; its own message is the one to see.
        if thread::panicking() {
            self.remove();
        } else {
            eventually("the namespace can be removed", Duration::from_secs(20), || self.remove());
        }
    }
}

/// Whether the client lost the exit code of the first execution that ended here: under `raw_exec` one that ends a task may end
/// its executor before it has asked that for the code.
pub(crate) fn exit_code_is_lost(allocation: &Value) -> bool {
    let events = allocation["TaskStates"]["runner"]["Events"].as_array();
    events.into_iter().flatten().find(|event| event["Type"] == "Terminated").is_some_and(|end| end["ExitCode"] == -1)
}
