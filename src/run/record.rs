//! A run as the journal knows it: the sum of its steps. Pure: [`Run::after`] is the only way to change one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::{Illegal, Kind, Next, State, next};
use super::step::{Finish, Request, Step, StopCause};
use crate::action::reason::Reason;
use crate::action::result::ActionResult;
use crate::admission::{Admitted, Approval};
use crate::backend::{Handle, Mark};
use crate::grant::{Fate, GrantRecord};
use crate::support::ids::{BlobId, CommitId, LaunchKey, RunId};

/// Why a run waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The stable reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// When to look again at the latest.
    pub until: Option<Timestamp>,
}

/// That a run is to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub cause: StopCause,
    /// Who asked.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The result and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The path in the ops repo.
    pub path: String,
    /// The bytes, UTF-8 JSON.
    pub result: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub state: State,
    /// What was asked for; not known of a run that was recovered from a backend alone.
    pub request: Option<Request>,
    /// Order of arrival.
    pub order: i64,
    /// When these bytes were first seen.
    pub seen_at: Timestamp,
    /// Why it waits, while it does.
    pub held: Option<Held>,
    /// What was proven of its approval while it waited for something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Box<Approval>>,
    /// What was admitted.
    pub admitted: Option<Box<Admitted>>,
    /// Why it was refused.
    pub refusal: Option<Held>,
    /// The slot it holds or held.
    pub slot: Option<u32>,
    /// Its grant, until that is revoked.
    pub grant: Option<GrantRecord>,
    /// The policies that it held, for the result.
    pub policies: Vec<String>,
    /// The backend it was launched on.
    pub backend: Option<String>,
    /// What the backend had before its launch was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// How the backend finds it.
    pub handle: Option<Handle>,
    /// When the launch was known.
    pub started_at: Option<Timestamp>,
    /// That it is to stop.
    pub stop: Option<Stop>,
    /// How it is over.
    pub finish: Option<Finish>,
    /// What had become of the wrapping of its grant by then, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping: Option<Fate>,
    /// When that was known.
    pub finished_at: Option<Timestamp>,
    /// Its result.
    pub outcome: Option<Outcome>,
    /// The commit that holds the result.
    pub published: Option<CommitId>,
    /// Where the result was kept instead, when another one stood in its place.
    pub kept_aside: Option<String>,
}

impl Run {
    /// Its result, once it has one.
    pub fn result(&self) -> Option<ActionResult> {
        serde_json::from_str(&self.outcome.as_ref()?.result).ok()
    }

    /// The first step of a new run.
    ///
    /// # Errors
    /// [`Illegal`] for a step that cannot be a run's first.
    pub fn begin(id: RunId, order: i64, step: &Step, at: Timestamp) -> Result<Self, Illegal> {
        let Next::Move(state) = next(None, step.kind())? else {
            return Err(Illegal { from: State::Seen, kind: step.kind() });
        };
        let mut run = Self {
            id,
            state,
            request: None,
            order,
            seen_at: at,
            held: None,
            approved: None,
            admitted: None,
            refusal: None,
            slot: None,
            grant: None,
            policies: Vec::new(),
            backend: None,
            mark: None,
            handle: None,
            started_at: None,
            stop: None,
            finish: None,
            wrapping: None,
            finished_at: None,
            outcome: None,
            published: None,
            kept_aside: None,
        };
        run.take_in(step, at);
        Ok(run)
    }

    /// The run after `step`; `None` when the step was taken before.
    ///
    /// # Errors
    /// [`Illegal`] when the step may not be taken from where the run stands.
    pub fn after(&self, step: &Step, at: Timestamp) -> Result<Option<Self>, Illegal> {
        match next(Some(self.state), step.kind())? {
            Next::Already => Ok(None),
            Next::Move(_) if matches!(step, Step::Revoke {}) && self.grant.is_none() => Ok(None),
            Next::Move(_) if self.is_deposited(step) => Ok(None),
            // A verdict on bytes that were replaced while they were judged, and a grant for them, say nothing about those that
            // stand there now.
            Next::Move(_) if removed_too_late(step, self.state) => Ok(None),
            Next::Move(_) if judged(step).is_some_and(|blob| !self.asks_for(blob)) => Ok(None),
            Next::Move(state) => {
                let mut run = self.clone();
                run.state = state;
                run.take_in(step, at);
                Ok(Some(run))
            }
        }
    }

    /// The key under which a backend launches it at most once; `None` for one that was recovered from a backend alone.
    pub fn launch_key(&self) -> Option<LaunchKey> {
        let request = self.request.as_ref()?;
        Some(match &request.occasion {
            None => LaunchKey::of_action(self.id.action(), &request.blob, self.id.attempt()),
            Some(occasion) => LaunchKey::of_file(self.id.action(), &request.blob, occasion),
        })
    }

    /// Whether it was found running on a backend by a journal that does not have its beginning.
    pub fn was_found_running(&self) -> bool {
        self.admitted.is_none() && self.handle.is_some()
    }

    /// Whether `step` records a deposit that is recorded, or one of a grant that is not deposited.
    fn is_deposited(&self, step: &Step) -> bool {
        let Step::Deposit { allocation } = step else { return false };
        let deposit = self.grant.as_ref().and_then(|record| record.deposit.as_ref());
        deposit.is_none_or(|deposit| deposit.allocations.contains(allocation))
    }

    fn asks_for(&self, blob: &BlobId) -> bool {
        self.request.as_ref().is_some_and(|request| request.blob == *blob)
    }

    fn take_in(&mut self, step: &Step, at: Timestamp) {
        if !matches!(step.kind(), Kind::Hold | Kind::Revoke) {
            self.held = None;
        }
        match step.clone() {
            Step::See { request, .. } => self.request = Some(request),
            Step::Amend { request } => {
                (self.request, self.seen_at) = (Some(request), at);
                (self.approved, self.admitted) = (None, None);
            }
            Step::Recover { handle, backend } => {
                (self.handle, self.backend, self.started_at) = (Some(handle), Some(backend), Some(at));
            }
            Step::Hold { reason, message, until, approved, .. } => {
                self.held = Some(Held { reason, message, until });
                self.approved = approved.or_else(|| self.approved.take());
            }
            Step::Admit { admitted } => (self.approved, self.admitted) = (None, Some(admitted)),
            Step::Reject { reason, message, .. } => self.refusal = Some(Held { reason, message, until: None }),
            Step::Grant { record, slot, .. } => {
                self.policies.clone_from(&record.policies);
                (self.grant, self.slot) = (Some(record), Some(slot));
            }
            Step::Launch { backend, mark } => (self.backend, self.mark) = (Some(backend), mark),
            Step::Start { handle } => (self.handle, self.started_at) = (Some(handle), Some(at)),
            Step::Deposit { allocation } => {
                let deposit = self.grant.as_mut().and_then(|record| record.deposit.as_mut());
                deposit.map(|deposit| deposit.allocations.insert(allocation));
            }
            Step::Return { .. } => {}
            Step::Stop { cause, by } => {
                self.stop = Some(Stop { cause, by, at });
                if self.state == State::Finished {
                    self.finished_at = Some(at);
                }
            }
            Step::Finish { how, wrapping } => {
                (self.finish, self.wrapping, self.finished_at) = (Some(how), wrapping, Some(at));
            }
            Step::Settle { path, result } => self.outcome = Some(Outcome { path, result }),
            Step::Publish { commit, kept_aside } => self.publish(commit, kept_aside),
            Step::Revoke {} => self.grant = None,
        }
    }

    /// What ran stands in the result and in the event of the admission; the row need not carry its bytes for ever.
    fn publish(&mut self, commit: CommitId, kept_aside: Option<String>) {
        (self.published, self.kept_aside) = (Some(commit), kept_aside);
        if let Some(admitted) = &mut self.admitted {
            admitted.drop_bytes();
        }
    }
}

/// The removal of a file withdraws a run only before its launch; seen before and recorded after, it changes nothing.
fn removed_too_late(step: &Step, from: State) -> bool {
    matches!(step, Step::Stop { cause: StopCause::Removed, .. }) && !from.is_before_launch()
}

/// The bytes that a verdict or a grant is about.
fn judged(step: &Step) -> Option<&BlobId> {
    match step {
        Step::Admit { admitted } => Some(&admitted.blob),
        Step::Reject { blob, .. } | Step::Grant { blob, .. } => Some(blob),
        Step::Hold { blob, .. } => blob.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::DepositRecord;

    fn request(blob: char) -> Request {
        Request {
            path: "vault/actions/a.toml".to_owned(),
            blob: blob.to_string().repeat(40).parse().unwrap(),
            mode: "100644".to_owned(),
            head: "0".repeat(40).parse().unwrap(),
            occasion: None,
        }
    }

    fn admitted_for_b() -> Run {
        let at = Timestamp::UNIX_EPOCH;
        let see = Step::See { request: request('b'), asked_by: None };
        let run = Run::begin("a@1".parse().unwrap(), 1, &see, at).unwrap();
        Run { state: State::Admitted, ..run }
    }

    #[test]
    fn a_grant_for_bytes_that_were_replaced_meanwhile_is_not_taken() {
        let at = Timestamp::UNIX_EPOCH;
        let grant = |blob| Step::Grant { blob: request(blob).blob, record: GrantRecord::default(), slot: 0 };
        let run = admitted_for_b();
        assert_eq!(run.after(&grant('a'), at), Ok(None));
        assert_eq!(run.after(&grant('b'), at).unwrap().unwrap().state, State::Granted);
    }

    #[test]
    fn each_placement_is_recorded_once_with_a_grant_that_is_deposited() {
        let at = Timestamp::UNIX_EPOCH;
        let step = |name: &str| Step::Deposit { allocation: name.to_owned() };
        let [mount, prefix] = ["kv", "handover/"].map(str::to_owned);
        let deposit = Some(DepositRecord { mount, prefix, allocations: std::collections::BTreeSet::new() });
        let grant = |deposit| Some(GrantRecord { deposit, ..GrantRecord::default() });
        let run = Run { state: State::Running, grant: grant(deposit), ..admitted_for_b() };
        let run = run.after(&step("a"), at).unwrap().unwrap();
        assert_eq!(run.after(&step("a"), at), Ok(None));
        let run = run.after(&step("b"), at).unwrap().unwrap();
        let recorded = run.grant.clone().unwrap().deposit.unwrap().allocations;
        assert_eq!((run.state, recorded), (State::Running, ["a", "b"].map(str::to_owned).into()));
        assert_eq!(Run { grant: grant(None), ..run.clone() }.after(&step("c"), at), Ok(None));
        assert!(
            Run { state: State::Cancelling, ..run }.after(&step("c"), at).is_err(),
            "nothing for a run that is to stop"
        );
    }

    #[test]
    fn a_removal_that_is_recorded_after_the_launch_stops_nothing() {
        let removed = Step::Stop { cause: StopCause::Removed, by: None };
        let at = Timestamp::UNIX_EPOCH;
        let run = admitted_for_b();
        for state in [State::Launching, State::Running] {
            assert_eq!(Run { state, ..run.clone() }.after(&removed, at), Ok(None));
        }
        assert_eq!(run.after(&removed, at).unwrap().unwrap().state, State::Finished);
    }

    #[test]
    fn a_verdict_on_bytes_that_were_replaced_meanwhile_changes_nothing() {
        let at = Timestamp::UNIX_EPOCH;
        let see = Step::See { request: request('a'), asked_by: None };
        let run = Run::begin("a@1".parse().unwrap(), 1, &see, at).unwrap();
        let run = run.after(&Step::Amend { request: request('b') }, at).unwrap().unwrap();
        let verdict = |blob| Step::Reject {
            blob: request(blob).blob,
            reason: Reason::SecretAbsent,
            message: "absent".to_owned(),
        };
        assert_eq!(run.after(&verdict('a'), at), Ok(None));
        assert_eq!(run.after(&verdict('b'), at).unwrap().unwrap().state, State::Rejected);
        let hold = |blob| Step::Hold {
            blob: Some(request(blob).blob),
            reason: Reason::NotBefore,
            message: "not yet".to_owned(),
            until: None,
            approved: None,
        };
        assert_eq!(run.after(&hold('a'), at), Ok(None));
        assert!(run.after(&hold('b'), at).unwrap().unwrap().held.is_some());
    }
}
