//! Whose approval counts, for which bytes, and how many there are.
//!
//! Each person's last word counts, and only that. For it to be an approval, its commit must be of the request and hold, byte for
//! byte, what will run; the person must be on the config's list by name and number, and have had no part in writing it.
//!
//! A review that was seen to count and is gone from the forge counts as it was seen: whoever may delete reviews there must not
//! be able to stop what waits for its time. What its reviewer said since then, or a dismissal, counts as it stands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Finding;
use crate::action::Tier;
use crate::action::reason::Reason;
use crate::admission::checks::approval::{Given, Merged, Word};
use crate::admission::request::{ByHand, Difference, People, Request, Reviewed, Standing};
use crate::admission::rules::{HeadRule, MergedBy, Rules};
use crate::config::types::Approver;
use crate::forge::{ReviewState, User, UserId};
use crate::support::clock::rfc3339_seconds;
use crate::support::ids::CommitId;

/// What an approval must fulfil.
#[derive(Debug, Clone, Copy)]
pub(in crate::admission) struct Terms<'a> {
    pub(in crate::admission) tier: Tier,
    approvers: &'a [Approver],
    needed: u32,
    head: HeadRule,
    merged_by: MergedBy,
}

impl<'a> Terms<'a> {
    /// For a tier; `by_policy` is how many the policy asks for.
    pub(in crate::admission) fn of(tier: Tier, rules: &'a Rules, by_policy: u32) -> Self {
        let requests = &rules.requests;
        let approvers = requests.approvers(tier);
        Self {
            tier,
            approvers: &approvers.who,
            needed: by_policy.max(approvers.needed),
            head: requests.head,
            merged_by: requests.merged_by,
        }
    }

    /// Whether approvals that were seen earlier are enough: of people who are still on the list.
    pub(in crate::admission) fn satisfied_by<'g>(&self, given: impl IntoIterator<Item = &'g Given>) -> bool {
        let counts = |given: &&Given| {
            self.still_lists(given) && (given.word == Word::Review || self.merged_by == MergedBy::Counts)
        };
        u32::try_from(given.into_iter().filter(counts).count()).is_ok_and(|count| count >= self.needed)
    }

    /// Whether this was said of the very `head` of the request, where the config asks for that.
    pub(super) fn at_head(&self, given: &Given, head: &CommitId) -> bool {
        self.head == HeadRule::SameBytes || given.word == Word::Merge || given.commit == *head
    }

    /// Whether who gave this is on the list, by name and number.
    fn still_lists(&self, given: &Given) -> bool {
        let by_number = self.approvers.iter().find(|approver| approver.id == given.id);
        by_number.is_some_and(|approver| approver.login.eq_ignore_ascii_case(&given.login))
    }

    fn listed(&self, user: &User) -> Listed {
        let same_name = |approver: &&Approver| approver.login.eq_ignore_ascii_case(&user.login);
        let by_number = self.approvers.iter().find(|approver| UserId(approver.id) == user.id);
        match (by_number, self.approvers.iter().find(same_name)) {
            (Some(approver), _) if same_name(&approver) => Listed::Yes,
            (Some(approver), _) => Listed::Renamed { from: approver.login.clone() },
            (None, Some(approver)) => Listed::Taken { pinned: approver.id },
            (None, None) => Listed::No,
        }
    }
}

/// Whether somebody is on the list.
enum Listed {
    Yes,
    No,
    /// The number is, under another name.
    Renamed {
        from: String,
    },
    /// The name is, with another number.
    Taken {
        pinned: i64,
    },
}

/// What was counted.
pub(super) struct Counted {
    pub(super) outcome: Result<Vec<Given>, Finding>,
    /// What is to be said of each review.
    pub(super) reviews: Vec<String>,
    /// And of the merger.
    pub(super) merger: String,
}

/// Why an approval does not count.
struct Discounted {
    reason: Reason,
    words: String,
}

/// `seen`: the request as it was when its approvals counted, where they did.
pub(super) fn count(request: &Request, terms: &Terms<'_>, seen: Option<&Merged>) -> Counted {
    let mut said = Vec::new();
    let mut given: BTreeMap<UserId, Given> = BTreeMap::new();
    let mut discounted = Vec::new();
    for (user, last) in last_words(&request.reviews) {
        match approved(last, user, request, terms) {
            Ok(one) => {
                said.push(review_words(last, user, "counts"));
                given.insert(user.id, one);
            }
            Err(why) => {
                said.push(review_words(last, user, &format!("does not count: {}", why.words)));
                discounted.push(why);
            }
        }
    }
    said.extend(request.reviews.iter().filter(|review| somebody(review).is_none()).map(nobody_words));
    for gone in seen.into_iter().flat_map(|seen| deleted_since(seen, request, terms)) {
        said.push(format!(
            "{} (user {}) approved {}{}: counts as it was seen; the review was deleted since",
            gone.login,
            gone.id,
            gone.commit.short(),
            on(gone.at)
        ));
        given.insert(UserId(gone.id), gone.clone());
    }
    let (merger_words, merger) = merger(request, terms);
    if let Some(one) = merger {
        given.entry(UserId(one.id)).or_insert(one);
    }
    let given: Vec<Given> = given.into_values().collect();
    let enough = u32::try_from(given.len()).unwrap_or(u32::MAX) >= terms.needed;
    let outcome = if enough { Ok(given) } else { Err(missing(request, terms, &given, &discounted)) };
    Counted { outcome, reviews: said, merger: merger_words }
}

/// The approvals that were `seen` to count and that the forge does not have any more, of people who are still on the list and have not
/// spoken since.
fn deleted_since<'a>(
    seen: &'a Merged,
    request: &'a Request,
    terms: &'a Terms<'_>,
) -> impl Iterator<Item = &'a Given> + 'a {
    let stands = |given: &Given| request.reviews.iter().any(|review| Some(review.id) == given.review);
    let spoke_since = |given: &Given| {
        let words = request.reviews.iter().filter(|review| decides(review.state));
        let mut theirs = words.filter(|review| somebody(review).is_some_and(|user| user.id == UserId(given.id)));
        theirs.any(|review| given.review.is_none_or(|number| review.id >= number))
    };
    let had_a_part = |given: &Given| {
        let id = UserId(given.id);
        let People { users, pushers, .. } = &request.people;
        request.author.as_ref().is_some_and(|author| author.id == id) || users.contains(&id) || pushers.contains(&id)
    };
    seen.given.iter().filter(move |given| {
        let counts = given.word == Word::Review && terms.at_head(given, &request.head) && terms.still_lists(given);
        counts && !stands(given) && !spoke_since(given) && !had_a_part(given)
    })
}

/// Whether a review says yes or no. What is not known is no approval, and hides an earlier one.
fn decides(state: ReviewState) -> bool {
    match state {
        ReviewState::Approved | ReviewState::RequestChanges | ReviewState::Unknown => true,
        ReviewState::Comment | ReviewState::Pending | ReviewState::RequestReview => false,
    }
}

/// Who gave a review; deleted users share one number and are nobody.
fn somebody(review: &Reviewed) -> Option<&User> {
    review.user.as_ref().filter(|user| user.id.is_somebody())
}

/// Each person's last review that says yes or no, in the order of their numbers.
fn last_words(reviews: &[Reviewed]) -> Vec<(&User, &Reviewed)> {
    let mut last: BTreeMap<UserId, (&User, &Reviewed)> = BTreeMap::new();
    for review in reviews {
        let Some(user) = somebody(review).filter(|_| decides(review.state)) else { continue };
        let newer = last.get(&user.id).is_none_or(|(_, known)| known.id < review.id);
        if newer {
            last.insert(user.id, (user, review));
        }
    }
    last.into_values().collect()
}

fn approved(review: &Reviewed, user: &User, request: &Request, terms: &Terms<'_>) -> Result<Given, Discounted> {
    let no = |reason, words: String| Err(Discounted { reason, words });
    match terms.listed(user) {
        Listed::Yes => {}
        Listed::No => return no(Reason::ApproverNotAllowed, format!("{} may not approve {}", user.login, terms.tier)),
        Listed::Renamed { from } => {
            let words = format!("ALARM: user {} is called {} now, and {from} in the config", user.id, user.login);
            return no(Reason::ApproverChanged, words);
        }
        Listed::Taken { pinned } => {
            let words =
                format!("ALARM: {} is user {} now; the config means user {pinned} by that name", user.login, user.id);
            return no(Reason::ApproverChanged, words);
        }
    }
    if review.state != ReviewState::Approved || review.dismissed {
        let words = if review.dismissed { "it was dismissed" } else { "it asks for changes" };
        return no(Reason::ApprovalWithdrawn, words.to_owned());
    }
    if let Some(part) = part_in(user, request) {
        return no(Reason::ApprovalByAuthor, format!("{} {part}", user.login));
    }
    let Some((commit, standing)) = &review.commit else {
        return no(Reason::ApprovalElsewhere, "it names no commit".to_owned());
    };
    of_these_bytes(commit, standing, request, terms.head)?;
    // Into another branch it would have had no effect: that is not what is asked for here.
    if let Some(other) = review.target.as_ref().filter(|target| **target != request.primary.0) {
        let words = format!("approved at {}, when the pull request went to {other}", commit.short());
        return no(Reason::ApprovalForOtherBranch, words);
    }
    Ok(Given {
        login: user.login.clone(),
        id: user.id.0,
        commit: commit.clone(),
        at: review.at,
        word: Word::Review,
        review: Some(review.id),
    })
}

/// What somebody had to do with writing a request.
fn part_in(user: &User, request: &Request) -> Option<&'static str> {
    let is_author = request.author.as_ref().is_some_and(|author| author.id == user.id);
    let mail = user.email.to_lowercase();
    match () {
        () if is_author => Some("opened the pull request"),
        () if request.people.users.contains(&user.id) => Some("wrote or committed a part of it"),
        () if request.people.pushers.contains(&user.id) => Some("pushed to its branch, or sent it to another one"),
        () if !mail.is_empty() && request.people.emails.contains(&mail) => {
            Some("wrote or committed a part of it, by the e-mail in its commits")
        }
        () => None,
    }
}

fn of_these_bytes(commit: &CommitId, standing: &Standing, request: &Request, rule: HeadRule) -> Result<(), Discounted> {
    let (differs, earlier) = match standing {
        Standing::NotOfRequest => {
            let words = format!("{} is no commit of pull request {}", commit.short(), request.number);
            return Err(Discounted { reason: Reason::ApprovalElsewhere, words });
        }
        Standing::Head { differs } => (differs, false),
        Standing::Earlier { differs } => (differs, true),
    };
    let outdated = |words| Err(Discounted { reason: Reason::ApprovalOutdated, words });
    if let Some(difference) = differs.first() {
        return outdated(difference_words(commit, difference));
    }
    if earlier && rule == HeadRule::Exact {
        let (approved, head) = (commit.short(), request.head.short());
        return outdated(format!("approved at {approved}; `approval.exact_head` asks for {head}"));
    }
    Ok(())
}

fn difference_words(commit: &CommitId, difference: &Difference) -> String {
    let Difference { path, changed_in } = difference;
    match changed_in {
        Some(change) => format!("approved at {}, but {path} changed in {}", commit.short(), change.short()),
        None => {
            format!("approved at {}, but {path} was merged with other bytes than that commit holds", commit.short())
        }
    }
}

/// The merger as an approver, where the config wants that: what is to be said of it, and the approval where it counts.
fn merger(request: &Request, terms: &Terms<'_>) -> (String, Option<Given>) {
    let no = |why: &str| (format!("the merge does not count as an approval: {why}"), None);
    if terms.merged_by == MergedBy::DoesNotCount {
        return no("`approval.merged_by_counts` is not set");
    }
    let Some(user) = request.merge.by.as_ref().filter(|user| user.id.is_somebody()) else {
        return no("the forge does not say who merged");
    };
    if request.merge.by_hand == ByHand::Possible {
        return no("requests may be marked as merged by hand here, and then the forge takes the merger from an e-mail");
    }
    if !matches!(terms.listed(user), Listed::Yes) {
        return no(&format!("{user} is not on the list"));
    }
    if let Some(part) = part_in(user, request) {
        return no(&format!("{} {part}", user.login));
    }
    let (commit, at) = (request.merge.commit.clone(), request.merge.at);
    let given = Given { login: user.login.clone(), id: user.id.0, commit, at, word: Word::Merge, review: None };
    (format!("{user} merged it, which counts as an approval"), Some(given))
}

fn missing(request: &Request, terms: &Terms<'_>, given: &[Given], discounted: &[Discounted]) -> Finding {
    let short = terms.needed.saturating_sub(u32::try_from(given.len()).unwrap_or(u32::MAX));
    let have: BTreeSet<i64> = given.iter().map(|given| given.id).collect();
    let others: Vec<&str> = terms
        .approvers
        .iter()
        .filter(|approver| !have.contains(&approver.id))
        .map(|approver| approver.login.as_str())
        .collect();
    let noun = if short == 1 { "approval" } else { "approvals" };
    let who = if others.is_empty() {
        format!("and the config names nobody who could ([approval.{}] approvers)", terms.tier)
    } else {
        format!("by one of: {}", others.join(", "))
    };
    let mut words = format!("pull request {} needs {short} more {noun} {who}", request.number);
    for why in discounted {
        words.push_str("; ");
        words.push_str(&why.words);
    }
    let reason = discounted.iter().map(|why| why.reason).min_by_key(|reason| telling(*reason));
    let help = Some("file it under a new id; reviews cannot be added after a merge".to_owned());
    Finding::Refused { reason: reason.unwrap_or(Reason::NotEnoughApprovals), words, help }
}

/// Of several reasons, the one that a person has to know first: what looks like an attack before what looks like a slip.
fn telling(reason: Reason) -> u8 {
    match reason {
        Reason::ApproverChanged => 0,
        Reason::ApprovalOutdated => 1,
        Reason::ApprovalElsewhere => 2,
        Reason::ApprovalForOtherBranch => 3,
        Reason::ApprovalByAuthor => 4,
        Reason::ApprovalWithdrawn => 5,
        _ => 6,
    }
}

fn review_words(review: &Reviewed, user: &User, verdict: &str) -> String {
    let commit = review.commit.as_ref().map_or("no commit", |(commit, _)| commit.short());
    let at = on(review.at);
    let said = match review.state {
        ReviewState::Approved => "approved",
        ReviewState::RequestChanges => "asked for changes at",
        _ => "said something that is not known here at",
    };
    let remarks = if review.remarks.is_empty() {
        String::new()
    } else {
        format!(" (the forge calls it {}, which decides nothing)", review.remarks.join(", "))
    };
    format!("{user} {said} {commit}{at}: {verdict}{remarks}")
}

fn on(at: Option<Timestamp>) -> String {
    at.map_or(String::new(), |at| format!(" on {}", rfc3339_seconds(at)))
}

fn nobody_words(review: &Reviewed) -> String {
    let user = review.user.as_ref().map_or("a team".to_owned(), |user| user.login.clone());
    format!("review {} by {user}: does not count: it is nobody's, or a deleted user's", review.id)
}
