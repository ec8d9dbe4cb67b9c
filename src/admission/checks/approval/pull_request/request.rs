//! Which request, that it is merged into the primary branch of this repository, and that it brought these very bytes.

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::action::reason::Reason;
use crate::admission::request::{Brought, Nothing, Ownership, Request};
use crate::admission::rules::RequestRules;
use crate::admission::snapshot::Arrived;
use crate::forge::PullNumber;
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

/// Whether it is the request that brought these bytes to this branch.
pub(super) fn holds(request: &Request) -> Result<(), Finding> {
    let number = request.number;
    if !request.merge.merged {
        let words = format!("the forge maps the commit to pull request {number}, and does not call that merged");
        return Err(Finding::Open { words, until: None });
    }
    if request.base != request.primary {
        let words = format!("pull request {number} went to {}", branch(&request.base));
        return Err(refuse(Reason::NoPullRequest, words));
    }
    let brought = &request.brought;
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
            "pull request {number} was closed and opened again, and merged without a commit of its own: {path} may have              come to the primary branch in between"
        )),
    }
}

fn branch((name, repository): &(String, crate::forge::RepositoryId)) -> String {
    format!("{name} of repository {repository}")
}

/// What was looked at, whether it holds or not.
pub(super) fn words(request: &Request) -> Vec<String> {
    let Request { number, merge, head, .. } = request;
    let someone = |user: &Option<crate::forge::User>| user.as_ref().map_or("nobody".to_owned(), ToString::to_string);
    let at = merge.at.map_or(String::new(), |at| format!(" at {}", rfc3339_seconds(at)));
    let mut words = request.passed_over.clone();
    words.push(format!(
        "pull request {number} by {} into {}, merged as {} by {}{at}",
        someone(&request.author),
        branch(&request.base),
        merge.commit.short(),
        someone(&merge.by)
    ));
    words.push(match &request.brought.fork {
        Some((fork, None)) => format!(
            "its reviewed head is {}; where it forked off, in {}, there was no {}",
            head.short(),
            fork.short(),
            request.brought.path
        ),
        Some((fork, Some(blob))) => format!(
            "its reviewed head is {}; where it forked off, in {}, {} was {}",
            head.short(),
            fork.short(),
            request.brought.path,
            blob.short()
        ),
        None => format!("its reviewed head is {}", head.short()),
    });
    words
}
