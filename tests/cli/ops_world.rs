//! A sealed world with an ops repo beside it: signed requests, a policy, formulas, and the binary configured for them.

use std::process::Command;

use crate::ops_repo::{Key, OpsRepo};
use crate::world::{Answer, World};

/// The world, its ops repo, and Alice, who may sign.
pub(crate) struct OpsWorld {
    pub(crate) world: World,
    pub(crate) ops: OpsRepo,
    pub(crate) alice: Key,
}

/// An action's file.
pub(crate) fn action(id: &str, formula: &str, more: &str) -> String {
    format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"for a test\"\nsecrets = []\n{more}")
}

impl OpsWorld {
    /// With `echo` (low) and `deploy` (medium, declared parameters), and a first commit signed by Alice.
    pub(crate) fn new(config: &str) -> Self {
        let ops = OpsRepo::new();
        let alice = ops.key("alice");
        ops.write("vault/allowed_signers", &alice.line("alice@example.com"));
        ops.write("vault/policy.toml", "[tiers]\necho = \"low\"\ndeploy = \"medium\"\n");
        ops.write("formulas/echo.sh", "echo hello from $DISPATCH_ACTION_ID\n");
        ops.write("formulas/deploy.sh", "echo deploying\n");
        ops.write("formulas/deploy.meta.toml", "[params.tag]\nrequired = true\npattern = \"v[0-9]+\"\n");
        ops.signed_commit("the rules", &alice);
        ops.push();
        let remote = ops.bare().display().to_string();
        let text = format!(
            "state_dir = 'state'\n{config}\n[ops]\nremote = 'file://{remote}'\n[approval]\nmode = 'signature'\n"
        );
        Self { world: World::configured(&text), ops, alice }
    }

    /// Puts an action on the primary branch, without a signature.
    pub(crate) fn file(&self, id: &str, text: &str) {
        self.ops.write(&format!("vault/actions/{id}.toml"), text);
        self.ops.commit(&format!("request {id}"));
        self.ops.push();
    }

    /// The same, signed by Alice.
    pub(crate) fn file_signed(&self, id: &str, text: &str) {
        self.ops.write(&format!("vault/actions/{id}.toml"), text);
        self.ops.signed_commit(&format!("request {id}"), &self.alice);
        self.ops.push();
    }

    /// The same as [`Self::file`], on top of the results that the dispatcher has pushed meanwhile.
    pub(crate) fn file_pulled(&self, id: &str, text: &str) {
        self.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        self.file(id, text);
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.world.command(line);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    pub(crate) fn call(&self, line: &str) -> Answer {
        let mut answer = self.world.answer(&self.command(line).output().unwrap());
        let (folder, home) = (self.ops.path().display().to_string(), "$OPS");
        (answer.stdout, answer.stderr) = (answer.stdout.replace(&folder, home), answer.stderr.replace(&folder, home));
        answer
    }
}

/// Asserts a snapshot without what differs from run to run: object ids, times, fingerprints.
macro_rules! assert_settled_snapshot {
    ($text:expr $(, @$inline:literal)?) => {
        insta::with_settings!({ filters => vec![
            (r"\b[0-9a-f]{64}\b", "[sha256]"),
            (r"\b[0-9a-f]{40}\b", "[object]"),
            (r"\b[0-9a-f]{10,12}\b", "[short]"),
            (r"SHA256:[A-Za-z0-9+/]{43}", "[fingerprint]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
            (r"\d{4}-\d\d-\d\d", "[day]"),
        ] }, { insta::assert_snapshot!($text $(, @$inline)?) });
    };
}
pub(crate) use assert_settled_snapshot;
