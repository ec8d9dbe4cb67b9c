//! Which branch a request went to when it was reviewed. A request can be sent to another branch after its approval: what was approved
//! for a branch on which nothing runs was not approved to run.

use crate::forge::{Happening, PullRequest};

const REVIEW: &str = "review";
const RETARGETED: &str = "change_target_branch";
const MERGED: &str = "merge_pull";

/// The branch that `request` went to when the review of that number was given. The review and the merge must both stand in what
/// happened: then nothing between them is missing, however the forge cuts a long list.
pub(super) fn target_at(happenings: &[Happening], review: i64, request: &PullRequest) -> Result<String, String> {
    let of = |kind: &'static str| happenings.iter().filter(move |one| one.kind == kind);
    let given = of(REVIEW).find(|one| one.review_id == review).map(|one| one.id);
    let (Some(given), Some(merged)) = (given, of(MERGED).map(|one| one.id).max()) else {
        let number = request.number;
        return Err(format!(
            "what the forge tells of pull request {number} does not hold its review {review} and its merge"
        ));
    };
    let next = of(RETARGETED).filter(|one| one.id > given && one.id < merged).min_by_key(|one| one.id);
    Ok(next.map_or_else(|| request.base.reference.clone(), |one| one.old_ref.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> PullRequest {
        let side = json!({ "ref": "main", "repo_id": 1 });
        serde_json::from_value(json!({ "number": 7, "state": "closed", "base": side, "head": side })).unwrap()
    }

    fn target(happenings: &[(&str, i64, &str)]) -> Result<String, String> {
        let numbered = happenings.iter().zip(10..);
        let all: Vec<Happening> = numbered
            .map(|((kind, review_id, old_ref), id)| {
                let (kind, old_ref) = ((*kind).to_owned(), (*old_ref).to_owned());
                Happening { id, kind, user: None, review_id: *review_id, old_ref }
            })
            .collect();
        target_at(&all, 3, &request())
    }

    #[test]
    fn it_is_what_the_request_was_sent_away_from_next() {
        let (review, merge) = (("review", 3, ""), ("merge_pull", 0, ""));
        let from = |branch| ("change_target_branch", 0, branch);
        assert_eq!(target(&[review, ("comment", 0, ""), merge]).unwrap(), "main");
        assert_eq!(target(&[from("side"), review, merge]).unwrap(), "main");
        assert_eq!(target(&[review, from("side"), from("other"), merge]).unwrap(), "side");
        assert_eq!(target(&[review, from("main"), from("side"), merge]).unwrap(), "main");
    }

    #[test]
    fn a_list_without_the_review_or_the_merge_says_nothing() {
        assert!(target(&[("review", 2, ""), ("merge_pull", 0, "")]).is_err());
        assert!(target(&[("review", 3, ""), ("change_target_branch", 0, "side")]).is_err());
    }
}
