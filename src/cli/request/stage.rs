//! Where a request stands, from what the forge and the ops repo say of it. Pure.

use std::collections::BTreeMap;

use crate::action::result::{ActionResult, ResultState};
use crate::cli::error::Kind;
use crate::forge::{PullRequest, Review, ReviewState, User};
use crate::support::text::one_line;

/// What was seen in one look.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) request: PullRequest,
    pub(super) reviews: Vec<Review>,
    /// What `dispatch/run` says on the merge commit.
    pub(super) run: Option<String>,
    pub(super) result: Option<ActionResult>,
    pub(super) word: Word,
}

/// Whether the dispatcher vouches for the result that stands. Whoever can have something merged can put one there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It does: by its journal, or by the status that its user told.
    Given,
    /// Not yet.
    Awaited,
    /// It does not.
    Missing,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Closed, and not merged.
    GivenUp,
    /// It has a result.
    Result(ResultState),
    /// A result stands, and nobody says that a run made it.
    Unvouched,
}

impl Sight {
    /// Everything that has happened so far, one line each, oldest first. A line never changes once it is there.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("opened {} {}", self.request.number, one_line(&self.request.html_url))];
        lines.extend(self.opinions());
        if self.request.merged {
            let commit =
                self.request.merge_commit_sha.as_ref().map_or_else(String::new, |sha| format!(" as {}", sha.short()));
            lines.push(format!("merged by {}{commit}", name(self.request.merged_by.as_ref())));
        } else if self.request.state != "open" {
            lines.push("closed without a merge".to_owned());
        }
        lines.extend(self.run.as_deref().map(|run| one_line(run).into_owned()));
        lines.extend(self.result.as_ref().and_then(|result| result_line(result, self.word)));
        lines
    }

    /// The last word of each reviewer that is no mere comment.
    fn opinions(&self) -> Vec<String> {
        let mut last: BTreeMap<i64, (i64, String)> = BTreeMap::new();
        for review in self.reviews.iter().filter(|review| !review.dismissed) {
            let Some(user) = &review.user else { continue };
            let words = match review.state {
                ReviewState::Approved => format!("approved by {}", name(Some(user))),
                ReviewState::RequestChanges => format!("changes requested by {}", name(Some(user))),
                _ => continue,
            };
            last.insert(user.id.0, (review.id, words));
        }
        let mut words: Vec<(i64, String)> = last.into_values().collect();
        words.sort_unstable();
        words.into_iter().map(|(_, words)| words).collect()
    }

    pub(super) fn end(&self) -> Option<End> {
        match &self.result {
            Some(result) if self.word == Word::Given => Some(End::Result(result.state)),
            Some(_) => (self.word == Word::Missing).then_some(End::Unvouched),
            None if self.request.state != "open" && !self.request.merged => Some(End::GivenUp),
            None => None,
        }
    }
}

/// What is to be said of a result, once it is known whose it is.
fn result_line(result: &ActionResult, word: Word) -> Option<String> {
    let state = result.state.word();
    match word {
        Word::Awaited => None,
        Word::Missing => Some(format!(
            "a result stands in the ops repo that says \"{state}\", and no dispatcher vouches for it: `dispatch show` on its machine says whose it is"
        )),
        Word::Given if result.message.is_empty() => Some(state.to_owned()),
        Word::Given => Some(format!("{state}: {}", one_line(&result.message))),
    }
}

fn name(user: Option<&User>) -> String {
    user.map_or_else(|| "somebody".to_owned(), |user| one_line(&user.login).into_owned())
}

impl End {
    /// `None`: all is well.
    pub(super) fn failure(&self) -> Option<Kind> {
        match self {
            Self::GivenUp => Some(Kind::Rejected),
            Self::Unvouched => Some(Kind::Failed),
            Self::Result(state) => Kind::of(*state),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sight(state: &str, merged: bool, reviews: serde_json::Value) -> Sight {
        let request = json!({
            "number": 3, "user": null, "state": state, "merged": merged, "html_url": "http://f/o/r/pulls/3",
            "merge_commit_sha": merged.then(|| "a".repeat(40)), "merged_by": merged.then(|| json!({ "id": 2, "login": "bob" })),
            "base": { "ref": "main", "repo_id": 1 }, "head": { "ref": "x", "repo_id": 1 },
        });
        let (request, reviews) = (serde_json::from_value(request).unwrap(), serde_json::from_value(reviews).unwrap());
        Sight { request, reviews, run: None, result: None, word: Word::Awaited }
    }

    #[test]
    fn the_last_word_of_each_reviewer_is_told() {
        let reviews = json!([
            { "id": 1, "user": { "id": 7, "login": "ann" }, "state": "REQUEST_CHANGES" },
            { "id": 2, "user": { "id": 8, "login": "eve" }, "state": "APPROVED", "dismissed": true },
            { "id": 3, "user": { "id": 7, "login": "ann" }, "state": "APPROVED" },
            { "id": 4, "user": { "id": 7, "login": "ann" }, "state": "COMMENT" },
        ]);
        let sight = sight("closed", true, reviews);
        let expected = ["opened #3 http://f/o/r/pulls/3", "approved by ann", "merged by bob as aaaaaaaaaaaa"];
        assert_eq!(sight.lines().iter().map(|line| line.trim_end()).collect::<Vec<_>>().len(), expected.len());
        assert_eq!(sight.lines()[..2], expected[..2]);
        assert!(sight.lines()[2].starts_with("merged by bob as aaaa"), "{:?}", sight.lines());
        assert_eq!(sight.end(), None, "its result is still to come");
    }

    #[test]
    fn a_result_is_believed_only_with_the_dispatchers_word() {
        let result = json!({
            "id": "a", "exit_code": 0, "timestamp": "2026-01-01T00:00:00Z", "logs": "", "schema": 1, "state": "succeeded",
            "reason": "succeeded", "message": "", "exit": 0, "action_blob": "", "policies": [], "attempt": 1,
            "queued_at": null, "started_at": null, "finished_at": null, "dispatcher": { "version": "", "host": "" },
        });
        let mut sight = sight("closed", true, json!([]));
        sight.result = Some(serde_json::from_value(result).unwrap());
        assert_eq!(sight.end(), None, "it is waited for");
        assert!(!sight.lines().concat().contains("succeeded"));
        sight.word = Word::Missing;
        assert_eq!(sight.end(), Some(End::Unvouched));
        assert_eq!(End::Unvouched.failure(), Some(Kind::Failed));
        assert!(sight.lines().concat().contains("no dispatcher vouches for it"));
        sight.word = Word::Given;
        assert_eq!(sight.end(), Some(End::Result(ResultState::Succeeded)));
    }

    #[test]
    fn a_request_that_was_given_up_is_over_and_rejected() {
        let sight = sight("closed", false, json!([]));
        assert_eq!(sight.end(), Some(End::GivenUp));
        assert_eq!(End::GivenUp.failure(), Some(Kind::Rejected));
    }
}
