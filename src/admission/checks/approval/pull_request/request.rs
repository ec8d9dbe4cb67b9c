//! Which request, that it is merged into the primary branch of this repository, and that it brought these very bytes: the sub-rules
//! a, b and c, each with its own evidence.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Part};
use crate::action::reason::Reason;
use crate::admission::request::{Brought, Nothing, Ownership, Request};
use crate::admission::rules::RequestRules;
use crate::admission::snapshot::Arrived;
use crate::forge::{PullNumber, User};
use crate::support::clock::rfc3339_seconds;

const AGAIN: &str = "file it under a new id, in a pull request of its own";

fn refuse(reason: Reason, words: String) -> Finding {
    Finding::Refused { reason, words, help: Some(AGAIN.to_owned()) }
}

/// No request was found: that is so for a moment after each merge, so it decides only after a time.
pub(super) fn nothing(nothing: &Nothing, arrived: &Arrived, now: Timestamp, rules: &RequestRules) -> Finding {
    let commit = arrived.commit.short();
    let wait = SignedDuration::try_from(rules.wait).unwrap_or(SignedDuration::MAX);
    match nothing.since.checked_add(wait) {
        Ok(end) if now < end => Finding::Open {
            words: format!(
                "the forge names no pull request for {commit} yet; without one by {} it is rejected",
                rfc3339_seconds(end)
            ),
            until: Some(end),
        },
        _ => refuse(
            Reason::NoPullRequest,
            format!("{commit} came to the primary branch without a pull request that was merged into it"),
        ),
    }
}

/// Which request it is.
pub(super) fn found(request: &Request) -> Part {
    let mut evidence = request.passed_over.clone();
    evidence.push(format!("pull request {} by {}", request.number, someone(request.author.as_ref())));
    Part { label: "5a request", evidence, finding: Ok(()) }
}

/// Whether it is merged into the primary branch.
pub(super) fn merged(request: &Request) -> Part {
    let Request { number, merge, .. } = request;
    let at = merge.at.map_or(String::new(), |at| format!(" at {}", rfc3339_seconds(at)));
    let (into, by) = (branch(&request.base), someone(merge.by.as_ref()));
    let evidence = vec![format!("merged into {into} as {} by {by}{at}", merge.commit.short())];
    let finding = if !merge.merged {
        let words = format!("the forge maps the commit to pull request {number}, and does not call that merged");
        Err(Finding::Open { words, until: None })
    } else if request.base != request.primary {
        Err(refuse(Reason::NoPullRequest, format!("pull request {number} went to {into}")))
    } else {
        Ok(())
    };
    Part { label: "5b merge", evidence, finding }
}

/// Whether it brought these bytes to this branch.
pub(super) fn brought(request: &Request) -> Part {
    let Request { head, brought, .. } = request;
    let head = head.short();
    let evidence = match &brought.fork {
        Some((fork, None)) => format!(
            "its reviewed head is {head}; where it forked off, in {}, there was no {}",
            fork.short(),
            brought.path
        ),
        Some((fork, Some(blob))) => format!(
            "its reviewed head is {head}; where it forked off, in {}, {} was {}",
            fork.short(),
            brought.path,
            blob.short()
        ),
        None => format!("its reviewed head is {head}"),
    };
    Part { label: "5c bytes", evidence: vec![evidence], finding: brought_by(request) }
}

fn brought_by(request: &Request) -> Result<(), Finding> {
    let (number, brought) = (request.number, &request.brought);
    let not_its_own = |words: String| Err(refuse(Reason::BytesNotOfRequest, words));
    if request.bundle.get(&brought.path) != Some(&brought.blob) {
        return not_its_own(format!(
            "{} holds other bytes in {}, the merge of {number}, than on the primary branch",
            brought.path,
            request.merge.commit.short()
        ));
    }
    its_own(brought, number).or_else(not_its_own)?;
    match &brought.fork {
        None => not_its_own(format!("pull request {number} and the primary branch have no history in common")),
        Some((fork, blob)) if *blob == brought.blob => not_its_own(format!(
            "{} held these bytes already in {}, where pull request {number} forked off",
            brought.path,
            fork.short()
        )),
        Some(_) => Ok(()),
    }
}

/// Whether the request's own commits, or its merge, brought the bytes; where not, why.
fn its_own(brought: &Brought, number: PullNumber) -> Result<(), String> {
    let path = &brought.path;
    if let Some(head) = &brought.seen_before {
        let head = head.short();
        return Err(format!(
            "{path} was seen on the primary branch in {head}, before pull request {number} was merged into it"
        ));
    }
    match brought.own {
        Ownership::Request => Ok(()),
        Ownership::Elsewhere => Err(format!(
            "{path} stood on the primary branch before pull request {number} was merged: its branch took it over from there"
        )),
        Ownership::Untold => Err(format!(
            "pull request {number} was closed and opened again, and merged without a commit of its own: {path} may have \
             come to the primary branch in between"
        )),
    }
}

fn branch((name, repository): &(String, crate::forge::RepositoryId)) -> String {
    format!("{name} of repository {repository}")
}

fn someone(user: Option<&User>) -> String {
    user.map_or("nobody".to_owned(), ToString::to_string)
}
