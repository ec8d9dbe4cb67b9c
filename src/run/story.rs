//! The steps of a run in words: one line for each, for the log of the dispatcher while they are taken and for `dispatch show`
//! afterwards. Pure but for [`tell`].

use super::step::{Finish, Step, StopCause};
use crate::action::result::ApprovalRef;
use crate::backend::{End, Ended};
use crate::grant::Fate;
use crate::support::ids::RunId;
use crate::support::text::one_line;

/// Says in the log of this process what has been recorded, in the [`words`] for it.
pub fn tell(run: &RunId, words: &str) {
    tracing::info!(%run, "{}", one_line(words));
}

/// What the step is about. No secret is in a step, so none is in its words.
pub fn words(step: &Step) -> String {
    match step {
        Step::See { request, asked_by } => {
            let asked =
                asked_by.as_ref().map(|who| format!("another attempt, asked for by {who}: ")).unwrap_or_default();
            format!("{asked}picked up {} ({}) at {}", request.path, request.blob.short(), request.head.short())
        }
        Step::Recover { backend, .. } => format!("found on {backend}, which the journal did not know of"),
        Step::Amend { request } => format!("its file changed to {}: it is judged anew", request.blob.short()),
        Step::Hold { reason, message, .. } => format!("waits: {message} ({reason})"),
        Step::Admit { admitted } => {
            let (formula, source) = (&admitted.formula.name, &admitted.formula.source);
            let approval = ApprovalRef::from(&admitted.approval);
            let by = approval.by.join(", ");
            format!("admitted: {}, by {} of {by}; formula {formula} from {source}", admitted.tier, approval.how)
        }
        Step::Reject { reason, message, .. } => format!("refused: {message} ({reason})"),
        Step::Grant { record, slot, .. } if record.policies.is_empty() => format!("takes slot {slot}, without secrets"),
        Step::Grant { record, slot, .. } => format!("takes slot {slot} with {}", record.policies.join(", ")),
        Step::Launch { backend, .. } => format!("launching on {backend}"),
        Step::Start { .. } => "begins".to_owned(),
        Step::Deposit { allocation } => format!("placed as {allocation}, to which its grant is handed over"),
        Step::Return { proof } => format!("back in the queue: {proof}"),
        Step::Stop { cause, by } => stop(*cause, by.as_deref()),
        Step::Finish { how, wrapping: Some(Fate::Gone) } => {
            format!("{}; the wrapping of its grant is gone before its time", finish(how))
        }
        Step::Finish { how, .. } => finish(how),
        Step::Settle { path, .. } => format!("its result is recorded, for {path}"),
        Step::Publish { commit, kept_aside: None } => format!("its result is published in {}", commit.short()),
        Step::Publish { kept_aside: Some(path), .. } => {
            format!("another result stands in the ops repo; its own is kept in {path}")
        }
        Step::Revoke {} => "its grant is taken back".to_owned(),
    }
}

fn stop(cause: StopCause, by: Option<&str>) -> String {
    match cause {
        StopCause::Operator => format!("to stop, as {} asked", by.unwrap_or("a person")),
        StopCause::Timeout => "to stop: its time is over".to_owned(),
        StopCause::Removed => "to stop: its file was removed".to_owned(),
    }
}

fn finish(how: &Finish) -> String {
    match how {
        Finish::Ended(ended) => self::ended(ended),
        Finish::NotStarted { reason, message } => format!("never began: {message} ({reason})"),
        Finish::Lost { reason, message } => format!("lost: {message} ({reason})"),
    }
}

fn ended(ended: &Ended) -> String {
    let words = match ended.how {
        End::Exited(code) => format!("ended with exit code {code}"),
        End::Signalled(signal) => format!("ended by signal {signal}"),
        End::OutOfMemory => "ended by the kernel for its memory".to_owned(),
        End::NotStarted => "never began".to_owned(),
        End::Killed => "ended from outside".to_owned(),
        End::Unknown => "over, and how cannot be learned".to_owned(),
    };
    ended.detail.as_ref().map_or(words.clone(), |detail| format!("{words}: {detail}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::action::reason::Reason;
    use crate::backend::Placement;

    #[test]
    fn an_end_is_told_with_its_exit_code_or_its_signal() {
        let told = |how| {
            let (placement, at) = (Placement::default(), Timestamp::UNIX_EPOCH);
            let how = Finish::Ended(Ended { how, at, placement, detail: None, reason: None, restarted: false });
            words(&Step::Finish { how, wrapping: None })
        };
        assert_eq!(told(End::Exited(3)), "ended with exit code 3");
        assert_eq!(told(End::Signalled(9)), "ended by signal 9");
    }

    #[test]
    fn a_refusal_and_a_stop_are_told_with_their_reason_and_who_asked() {
        let blob = "a".repeat(40).parse().unwrap();
        let message = "there is no formula `x`".to_owned();
        let refused = Step::Reject { blob, reason: Reason::FormulaNotFound, message };
        assert_eq!(words(&refused), "refused: there is no formula `x` (formula_not_found)");
        let stop = Step::Stop { cause: StopCause::Operator, by: Some("alice".to_owned()) };
        assert_eq!(words(&stop), "to stop, as alice asked");
    }
}
