//! A snapshot in which everything holds, for the tests of the checks: a medium action, signed, with one secret. Each test
//! spoils one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::check::Check;
use super::request::Search;
use super::rules::{LocalFiles, RequestRules, Rules};
use super::snapshot::{
    Arrival, Arrived, Availability, Bundle, Content, Earlier, Entry, FormulaAnswer, Snapshot, Source, Stage,
    TrustedFile,
};
use super::verdict::{Verdict, admit};
use crate::action::FormulaKind;
use crate::action::reason::Reason;
use crate::config::types::ApprovalMode;
use crate::grant::Presence;
use crate::ops::Signature;
use crate::support::ids::{BlobId, CommitId};

pub(crate) const ACTION: &str = r#"
id = "rotate-keys"
formula = "rotate"
context = "keys are a year old — rotate"
secrets = ["API_TOKEN"]
mounts = ["ssh"]
"#;
pub(crate) const POLICY: &str = "[tiers]\nrotate = \"medium\"\ntidy = \"low\"\n";

pub(crate) fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn blob(digit: char) -> BlobId {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What the journal knows of the id: it was taken up with these bytes.
pub(crate) fn earlier(digit: char, stage: Stage) -> Earlier {
    let (since, head) = (Timestamp::UNIX_EPOCH, commit('f'));
    Earlier { blob: blob(digit), since, head, stage, result: None, approved: None }
}

pub(crate) fn good() -> Snapshot {
    Snapshot {
        entry: Entry {
            path: "vault/actions/rotate-keys.toml".to_owned(),
            folder: "vault/actions".to_owned(),
            blob: blob('3'),
            content: Content::File(Arc::from(ACTION.as_bytes())),
            alike: BTreeSet::new(),
        },
        head: commit('f'),
        rewritten: None,
        arrival: Arrival::Commit(Box::new(arrived())),
        policy: trusted("vault/policy.toml", POLICY),
        formula_at_head: formula(commit('f'), "echo newer"),
        formula_at_arrival: formula(commit('a'), "echo approved"),
        secrets: BTreeMap::from([(
            "API_TOKEN".parse().unwrap(),
            Presence::Present { evidence: "API_TOKEN.enc".to_owned() },
        )]),
        backends: BTreeMap::from([("local".to_owned(), Availability::Ready)]),
        earlier: None,
        result: None,
        dependencies: Arc::default(),
        now: at("2026-11-20T12:00:00Z"),
    }
}

pub(crate) fn arrived() -> Arrived {
    Arrived {
        commit: commit('a'),
        parent: Some(commit('b')),
        author: "Alice <alice@example.com>".to_owned(),
        committed: at("2026-11-20T09:30:00Z"),
        signers: trusted("vault/allowed_signers", "alice@example.com ssh-ed25519 AAAA"),
        signature: Some(Signature::Good { principal: "alice@example.com".to_owned(), key: "SHA256:abc".to_owned() }),
        request: Search::NotAsked,
    }
}

pub(crate) fn trusted(path: &str, text: &str) -> TrustedFile {
    TrustedFile {
        path: path.to_owned(),
        bytes: Some(Arc::from(text.as_bytes())),
        evidence: vec![format!("{path} as of bbbbbbbbbb")],
    }
}

pub(crate) fn formula(commit: CommitId, script: &str) -> FormulaAnswer {
    FormulaAnswer::Found(Arc::new(bundle(commit, script)))
}

pub(crate) fn bundle(commit: CommitId, script: &str) -> Bundle {
    Bundle {
        source: Source::Ops { commit },
        kind: FormulaKind::Mechanical,
        path: "formulas/rotate.sh".to_owned(),
        script: Arc::from(script.as_bytes()),
        meta: None,
        context_files: BTreeMap::new(),
    }
}

pub(crate) fn rules() -> Rules {
    Rules {
        secrets: ["API_TOKEN", "OTHER"].map(|name| name.parse().unwrap()).into(),
        mounts: BTreeMap::from([("local".to_owned(), ["ssh", "gpg"].map(|name| name.parse().unwrap()).into())]),
        default_backend: "local".to_owned(),
        allowed_backends: BTreeSet::new(),
        formula_backends: BTreeMap::new(),
        working_directories: BTreeSet::new(),
        approval: Some(ApprovalMode::Signature),
        medium_signers: BTreeSet::new(),
        high_signers: BTreeSet::new(),
        requests: RequestRules::from(&crate::config::types::Approval::default()),
        timeout_minutes: 60,
        local_files: LocalFiles::Refused,
    }
}

impl Snapshot {
    pub(crate) fn with_action(mut self, text: &str) -> Self {
        self.entry.content = Content::File(Arc::from(text.as_bytes()));
        self
    }

    /// One more line in the action.
    pub(crate) fn adding(self, line: &str) -> Self {
        self.with_action(&format!("{ACTION}{line}\n"))
    }

    pub(crate) fn with_policy(mut self, text: &str) -> Self {
        self.policy = trusted("vault/policy.toml", text);
        self
    }

    /// `.meta.toml` of the formula, at the head and where the action arrived.
    pub(crate) fn with_meta(mut self, text: &str) -> Self {
        let with = |commit, script| {
            let meta = Some(("formulas/rotate.meta.toml".to_owned(), Arc::from(text.as_bytes())));
            FormulaAnswer::Found(Arc::new(Bundle { meta, ..bundle(commit, script) }))
        };
        self.formula_at_head = with(commit('f'), "echo newer");
        self.formula_at_arrival = with(commit('a'), "echo approved");
        self
    }

    pub(crate) fn with_signature(mut self, signature: Option<Signature>) -> Self {
        self.arrival = Arrival::Commit(Box::new(Arrived { signature, ..arrived() }));
        self
    }
}

/// The check of one rule.
pub(crate) fn check(snapshot: &Snapshot, rules: &Rules, number: u8) -> Check {
    admit(snapshot, rules).checks.into_iter().find(|check| check.number == number).unwrap()
}

/// What a rule decided, as the reason code or `pass`.
pub(crate) fn outcome(snapshot: &Snapshot, rules: &Rules, number: u8) -> String {
    super::explain::judgement_words(&check(snapshot, rules, number).judgement)
}

/// The reason of a rejection that leads to a result.
pub(crate) fn rejection(snapshot: &Snapshot, rules: &Rules) -> Option<Reason> {
    match admit(snapshot, rules).verdict {
        Verdict::Rejected { reason, .. } => Some(reason),
        _ => None,
    }
}
