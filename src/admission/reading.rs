//! What the files in a snapshot say: the action, the policy that counts for it, its tier, and its formula. Parsed once, read by
//! every check.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::listed;
use super::snapshot::{Arrival, Bundle, Content, Entry, FormulaAnswer, Snapshot, TrustedFile};
use crate::action::diagnostic::Diagnostics;
use crate::action::policy::{Claimant, LowerClaim};
use crate::action::reason::Reason;
use crate::action::{Action, AgentFormula, FormulaKind, FormulaMeta, Policy, Tier, effective_tier, parse_action};

/// What the files say, each for itself: an unreadable policy does not hide what is wrong with the action.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) action: Result<Action, Refusal>,
    pub(super) policy: Result<Policy, Refusal>,
    /// `None` where the action or the policy does not parse.
    pub(super) tier: Option<TierFound>,
    pub(super) formula: Result<Formula, Refusal>,
}

/// Why a file is refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) diagnostics: Option<Box<Diagnostics>>,
}

/// The tier that counts, and why.
#[derive(Debug)]
pub(super) struct TierFound {
    pub(super) tier: Tier,
    /// Whose word it is.
    pub(super) source: String,
    /// Claims that were ignored.
    pub(super) notes: Vec<String>,
}

/// The formula that will run.
#[derive(Debug)]
pub(super) struct Formula {
    pub(super) bundle: Arc<Bundle>,
    pub(super) meta: FormulaMeta,
    pub(super) params: BTreeMap<String, String>,
}

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), help: None, diagnostics: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong inside a file; `reason` where the file is not the action itself, which has one for each finding.
    fn of(diagnostics: Diagnostics, reason: Option<Reason>) -> Self {
        let reason = reason.unwrap_or(diagnostics.first().reason);
        let message = format!("{}:\n{}", diagnostics.source().path(), diagnostics.summary());
        let help = diagnostics.first().help.clone();
        Self { reason, message, help, diagnostics: Some(Box::new(diagnostics)) }
    }
}

impl Reading {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let action = read_action(&snapshot.entry);
        let policy = read_policy(&snapshot.policy);
        let tier = match (&action, &policy) {
            (Ok(action), Ok(policy)) => Some(find_tier(action, policy, snapshot)),
            _ => None,
        };
        let formula = match &action {
            Ok(action) => read_formula(action, formula_answer(tier.as_ref(), snapshot)),
            Err(refusal) => Err(refusal.clone()),
        };
        Self { action, policy, tier, formula }
    }

    /// How many approvals the policy asks for.
    pub(super) fn approvals(&self, tier: Tier) -> u32 {
        self.policy.as_ref().map_or(u32::MAX, |policy| policy.approvals(tier))
    }
}

/// Parses the action; looks at its place and kind first, since those need no byte of it.
pub(super) fn read_action(entry: &Entry) -> Result<Action, Refusal> {
    let Some(stem) = entry.stem() else {
        return Err(Refusal::new(
            Reason::NestedEntry,
            format!("{} stands deeper than one level below {}", entry.path, entry.folder),
        )
        .help("move it up, directly into the folder of actions"));
    };
    let kind = |what: &str| {
        Err(Refusal::new(Reason::NotAPlainFile, format!("{} is {what}", entry.path)).help("commit a plain file"))
    };
    match &entry.content {
        Content::Symlink => kind("a symbolic link"),
        Content::Submodule => kind("a submodule"),
        _ if !entry.alike.is_empty() && entry.id().is_none() => {
            let words = format!("`{stem}` differs only by case from {}", listed(&entry.alike));
            Err(Refusal::new(Reason::IdCaseCollision, words).help("choose another name, in lower case"))
        }
        Content::TooLarge { size } => {
            Err(Refusal::new(Reason::FileTooLarge, format!("{} has {size} bytes", entry.path)))
        }
        Content::File(bytes) => parse_action(stem, &entry.path, bytes).map_err(|wrong| Refusal::of(wrong, None)),
    }
}

/// A repository without a policy has one all the same: every formula is high.
pub(super) fn read_policy(file: &TrustedFile) -> Result<Policy, Refusal> {
    match &file.bytes {
        None => Ok(Policy::default()),
        Some(bytes) => Policy::parse(&file.path, bytes).map_err(|wrong| {
            Refusal::of(wrong, Some(Reason::PolicyInvalid))
                .help("mend vault/policy.toml in a commit of its own, then file a new action on top of it")
        }),
    }
}

/// The policy's tier, raised by whoever raises it. The formula's word is that of the version that will run. Where only the one
/// at the head raises the tier, the version that was approved runs instead, and the higher of their words counts: a choice that
/// depends on the tier cannot lower it.
fn find_tier(action: &Action, policy: &Policy, snapshot: &Snapshot) -> TierFound {
    let by_policy = policy.tier(&action.formula);
    let (bare, _) = effective_tier(by_policy, None, action.blast_radius);
    let theirs = claimed_tier(formula_at_approval(snapshot));
    let formula = match claimed_tier(&snapshot.formula_at_head) {
        _ if bare > Tier::Low => theirs,
        Some(raised) if raised > Tier::Low => Some(raised).max(theirs),
        low => low,
    };
    let (tier, ignored) = effective_tier(by_policy, formula, action.blast_radius);
    let source = match (tier == by_policy, formula == Some(tier)) {
        (true, _) if policy.tiers.contains_key(&action.formula) => format!("{} names it so", snapshot.policy.path),
        (true, _) => format!("{} does not name formula `{}`", snapshot.policy.path, action.formula),
        (false, true) => format!("raised by the formula from {by_policy}"),
        (false, false) => format!("raised by the action from {by_policy}"),
    };
    TierFound { tier, source, notes: ignored.map(ignored_words).into_iter().collect() }
}

/// The tier by the policy and the action alone; high where either cannot be read.
pub(super) fn bare_tier(action: Option<&Action>, policy: &TrustedFile) -> Tier {
    match (action, read_policy(policy)) {
        (Some(action), Ok(policy)) => effective_tier(policy.tier(&action.formula), None, action.blast_radius).0,
        _ => Tier::High,
    }
}

fn ignored_words(claim: LowerClaim) -> String {
    let who = match claim.by {
        Claimant::Action => "the action",
        Claimant::Formula => "the formula",
    };
    format!("{who} claims {}, which is lower and was ignored", claim.tier)
}

/// The tier that a formula claims for itself.
pub(super) fn claimed_tier(answer: &FormulaAnswer) -> Option<Tier> {
    match answer {
        FormulaAnswer::Found(bundle) => read_meta(bundle).ok()?.blast_radius,
        FormulaAnswer::NotFound { .. }
        | FormulaAnswer::Unfit { .. }
        | FormulaAnswer::Unavailable { .. }
        | FormulaAnswer::NotAsked => None,
    }
}

/// Which version runs: above low the one that was approved together with the action, otherwise the one at the head.
fn formula_answer<'a>(tier: Option<&TierFound>, snapshot: &'a Snapshot) -> &'a FormulaAnswer {
    match tier.map(|found| found.tier) {
        Some(Tier::Low) => &snapshot.formula_at_head,
        Some(Tier::Medium | Tier::High) | None => formula_at_approval(snapshot),
    }
}

/// The version that stands beside the action where it was approved; a file of this machine has only the head.
fn formula_at_approval(snapshot: &Snapshot) -> &FormulaAnswer {
    match &snapshot.arrival {
        Arrival::LocalFile => &snapshot.formula_at_head,
        Arrival::Commit(_) | Arrival::Unknown { .. } => &snapshot.formula_at_arrival,
    }
}

fn read_formula(action: &Action, answer: &FormulaAnswer) -> Result<Formula, Refusal> {
    let bundle = match answer {
        FormulaAnswer::Found(bundle) => Arc::clone(bundle),
        FormulaAnswer::NotFound { looked_in } => {
            let words = format!("no formula `{}` in {}", action.formula, looked_in.join(", "));
            let help = format!("add formulas/{}.sh in or before the commit that brings the action", action.formula);
            return Err(Refusal::new(Reason::FormulaNotFound, words).help(help));
        }
        FormulaAnswer::Unfit { detail } => return Err(Refusal::new(Reason::FormulaInvalid, detail.clone())),
        FormulaAnswer::Unavailable { detail } => {
            return Err(Refusal::new(Reason::EvidenceUnavailable, detail.clone()));
        }
        FormulaAnswer::NotAsked => {
            return Err(Refusal::new(Reason::EvidenceUnavailable, "the formula was not looked for"));
        }
    };
    let meta = read_meta(&bundle)?;
    if bundle.kind == FormulaKind::Agent {
        let words = format!("{} is a prompt for an agent CLI", bundle.path);
        return Err(Refusal::new(Reason::FormulaUnsupported, words).help("use a formula that is a script (`.sh`)"));
    }
    let params = meta.resolve_params(&action.params).map_err(|wrong| misfit(&wrong))?;
    Ok(Formula { bundle, meta, params })
}

/// What the formula allows: its metadata, and for a prompt also what stands in the prompt's own file.
fn read_meta(bundle: &Bundle) -> Result<FormulaMeta, Refusal> {
    let invalid = |wrong| Refusal::of(wrong, Some(Reason::FormulaInvalid));
    let beside = match &bundle.meta {
        Some((path, bytes)) => FormulaMeta::parse(path, bytes).map_err(invalid)?,
        None => FormulaMeta::default(),
    };
    match bundle.kind {
        FormulaKind::Mechanical => Ok(beside),
        FormulaKind::Agent => Ok(AgentFormula::parse(&bundle.path, &bundle.script).map_err(invalid)?.meta.and(beside)),
    }
}

fn misfit(wrong: &[(Reason, String)]) -> Refusal {
    let reason = wrong.first().map_or(Reason::ParamInvalid, |(reason, _)| *reason);
    let words: Vec<&str> = wrong.iter().map(|(_, words)| words.as_str()).collect();
    Refusal::new(reason, words.join("; "))
}
