//! A folder with a configuration for a namespace of the test's own, and the binary called in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::ops_repo::OpsRepo;
use crate::testbed::{Api, unique};

/// The binary and its configuration.
pub(crate) struct World {
    pub(crate) ops: OpsRepo,
    folder: tempfile::TempDir,
    address: String,
    namespace: String,
    /// May do everything.
    management: String,
}

/// What a call answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn data(&self) -> Value {
        let document: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()));
        document["data"].clone()
    }

    pub(crate) fn all(&self) -> String {
        format!("exit {:?}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

impl World {
    /// For the namespace at `api`; with an ops repo that has a policy and nothing else, and for the dispatcher a token of the shipped
    /// policy.
    pub(crate) fn new(api: &Api, namespace: &str) -> Self {
        Self::with_token(api, namespace, &dispatchers(api, namespace))
    }

    /// The same, with this token for the dispatcher.
    pub(crate) fn with_token(api: &Api, namespace: &str, token: &str) -> Self {
        let ops = OpsRepo::new();
        ops.write("vault/policy.toml", "[tiers]\nlook = \"low\"\n");
        ops.commit("the rules");
        ops.push();
        let folder = tempfile::tempdir().unwrap();
        let (address, namespace, management) = (api.address.clone(), namespace.to_owned(), api.token.clone());
        let world = Self { ops, folder, address, namespace, management };
        fs::write(world.path("token"), token).unwrap();
        world
    }

    /// Writes the configuration: `runner` stands in [backends.nomad.runner], `more` behind it.
    pub(crate) fn configure(&self, runner: &str, more: &str) {
        let (address, namespace, ops) = (&self.address, &self.namespace, self.ops.bare());
        let text = format!(
            "state_dir = 'state'\n[ops]\nremote = '{}'\n[backends]\ndefault = 'nomad'\n[backends.nomad]\n\
             address = '{address}'\nnamespace = '{namespace}'\ntoken_file = 'token'\n[backends.nomad.runner]\n{runner}\n{more}\n",
            ops.display()
        );
        fs::write(self.path("dispatch.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn call(&self, line: &str) -> Answer {
        self.call_as(line, None)
    }

    /// As whoever may register jobs.
    pub(crate) fn operate(&self, line: &str) -> Answer {
        self.call_as(line, Some(&self.management))
    }

    /// With a token of the caller's own.
    pub(crate) fn call_as(&self, line: &str, token: Option<&str>) -> Answer {
        self.call_with(line, &token.map(|token| ("NOMAD_TOKEN", token)).into_iter().collect::<Vec<_>>())
    }

    /// With further variables.
    pub(crate) fn call_with(&self, line: &str, variables: &[(&str, &str)]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dispatch"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// What runs this binary on the client.
pub(crate) fn raw_exec() -> String {
    format!("driver = 'raw_exec'\ncommand = '{}'\ncpu = 20\nmemory = 64\ndisk = 110", env!("CARGO_BIN_EXE_dispatch"))
}

/// A shipped policy, for another namespace.
pub(crate) fn policy(name: &str, namespace: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(name);
    fs::read_to_string(path).unwrap().replace("namespace \"dispatch\"", &format!("namespace \"{namespace}\""))
}

/// A token of the dispatcher's shipped policy.
pub(crate) fn dispatchers(api: &Api, namespace: &str) -> String {
    token(api, &policy("nomad-dispatcher.hcl", namespace))
}

/// A token with these rules alone.
pub(crate) fn token(api: &Api, rules: &str) -> String {
    let name = unique("p");
    api.must("PUT", &format!("/v1/acl/policy/{name}"), Some(&json!({ "Name": name, "Rules": rules })));
    let body = json!({ "Name": name, "Type": "client", "Policies": [name] });
    api.must("PUT", "/v1/acl/token", Some(&body))["SecretID"].as_str().unwrap().to_owned()
}
