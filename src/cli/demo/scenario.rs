//! What the demo is about, as plain data: formulas, actions, and what each action must come to.

use crate::action::Tier;
use crate::action::reason::Reason;
use crate::action::result::ResultState;

/// The secret that one action is granted.
pub(super) const GRANTED: &str = "DEMO_TOKEN";
/// A secret that actions may name, and that none in the demo names.
pub(super) const UNASKED: &str = "OTHER_TOKEN";
/// A secret that exists and that no action may name.
pub(super) const FORBIDDEN: &str = "PAYROLL_KEY";

/// Reports which secrets a formula sees: the digest of a value, or that there is none.
pub(super) const LOOK: &str = r#"see() {
  if [ -z "${!1+x}" ]; then echo "$1 unset"; else echo "$1 sha256 $(printf %s "${!1}" | sha256sum | cut -d ' ' -f 1)"; fi
}
see DEMO_TOKEN
see OTHER_TOKEN
see PAYROLL_KEY
"#;

/// The careless lines of the formula that has a secret.
pub(super) const CARELESS: &str = r#"echo "careless: $DEMO_TOKEN"
echo "careless, in base64: $(printf %s "$DEMO_TOKEN" | base64 -w 0)"
"#;

/// The exit code of the action that fails.
const FAILS_WITH: i32 = 3;

/// A formula of the demo.
#[derive(Debug)]
pub(super) struct Formula {
    pub(super) name: &'static str,
    pub(super) tier: Tier,
    script: &'static [&'static str],
}

impl Formula {
    /// The bytes of its script.
    pub(super) fn text(&self) -> String {
        format!("# {}: a formula of the demo.\nset -eu\n{}", self.name, self.script.concat())
    }
}

/// The formulas.
pub(super) const FORMULAS: [Formula; 3] = [
    Formula { name: "rotate-token", tier: Tier::Medium, script: &[LOOK, CARELESS] },
    Formula { name: "say-hello", tier: Tier::Low, script: &["echo \"hello from $1\"\n", LOOK] },
    Formula { name: "check-backup", tier: Tier::Low, script: &["echo \"the newest backup is 9 days old\"\nexit 3\n"] },
];

/// Who puts an action onto the primary branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pusher {
    /// Signs, with a key of `vault/allowed_signers`.
    Alice,
    /// May push, and signs nothing.
    Bob,
}

/// What must become of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) state: ResultState,
    pub(super) exit_code: i32,
    pub(super) reason: Reason,
}

impl Expected {
    /// Whether it runs at all.
    pub(super) fn runs(self) -> bool {
        self.state != ResultState::Rejected
    }
}

/// An action of the demo.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) id: &'static str,
    pub(super) formula: &'static str,
    pub(super) context: &'static str,
    pub(super) secrets: &'static [&'static str],
    pub(super) by: Pusher,
    pub(super) expected: Expected,
}

const DONE: Expected = Expected { state: ResultState::Succeeded, exit_code: 0, reason: Reason::Succeeded };
const FAILED: Expected = Expected { state: ResultState::Failed, exit_code: FAILS_WITH, reason: Reason::ExitNonzero };

/// A refused action has no exit code of its own: its result says 125.
const fn refused(reason: Reason) -> Expected {
    Expected { state: ResultState::Rejected, exit_code: 125, reason }
}

/// The actions, in the order in which they are pushed.
pub(super) const ACTIONS: [Action; 5] = [
    Action {
        id: "rotate-token-1",
        formula: "rotate-token",
        context: "Medium, and Alice signed it: it gets the one secret that it names",
        secrets: &[GRANTED],
        by: Pusher::Alice,
        expected: DONE,
    },
    Action {
        id: "say-hello-1",
        formula: "say-hello",
        context: "Low: that it stands on the branch is enough",
        secrets: &[],
        by: Pusher::Bob,
        expected: DONE,
    },
    Action {
        id: "check-backup-1",
        formula: "check-backup",
        context: "Low, and its formula fails",
        secrets: &[],
        by: Pusher::Bob,
        expected: FAILED,
    },
    Action {
        id: "rotate-token-2",
        formula: "rotate-token",
        context: "Medium, and nobody signed it",
        secrets: &[GRANTED],
        by: Pusher::Bob,
        expected: refused(Reason::NotSigned),
    },
    Action {
        id: "say-hello-2",
        formula: "say-hello",
        context: "Low, and it names a secret that no action may have",
        secrets: &[FORBIDDEN],
        by: Pusher::Bob,
        expected: refused(Reason::SecretNotAllowed),
    },
];

impl Action {
    /// Its place in the ops repo.
    pub(super) fn path(&self) -> String {
        format!("vault/actions/{}.toml", self.id)
    }

    /// The place of its result.
    pub(super) fn result_path(&self) -> String {
        format!("vault/actions/{}.result.json", self.id)
    }

    /// Its file.
    pub(super) fn text(&self) -> String {
        let Self { id, formula, context, .. } = self;
        let secrets = self.secrets.iter().map(|secret| format!("\"{secret}\"")).collect::<Vec<_>>().join(", ");
        format!("id = \"{id}\"\nformula = \"{formula}\"\ncontext = \"{context}\"\nsecrets = [{secrets}]\n")
    }
}

/// `vault/policy.toml`
pub(super) fn policy() -> String {
    FORMULAS
        .iter()
        .fold("[tiers]\n".to_owned(), |text, formula| text + &format!("{} = \"{}\"\n", formula.name, formula.tier))
}

/// `dispatch.toml`; its paths are relative to itself, so that the folder may be moved.
pub(super) fn config() -> String {
    format!(
        "# The dispatcher of the demo. docs/configuration.md lists every key.\n\
         state_dir = \"state\"\n\n\
         [ops]\nremote = \"ops.git\"\n\n\
         [approval]\nmode = \"signature\"\n\n\
         [secrets]\nallow = [\"{GRANTED}\", \"{UNASKED}\"]\n\n\
         [secrets.file]\ndirectory = \"secrets\"\nidentity = \"age.key\"\n\n\
         [limits]\nmax_concurrent = 2\n"
    )
}
