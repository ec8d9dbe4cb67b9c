//! Low: any commit on the primary branch will do; who can push there is decided by the remote.

use super::{Approval, How, RULE};
use crate::admission::check::Check;
use crate::admission::snapshot::Arrived;

pub(super) fn judge(arrived: &Arrived) -> (Check, Option<Approval>) {
    let (by, commit) = (vec![arrived.author.clone()], Some(arrived.commit.clone()));
    let approval = Approval { how: How::Branch, by, commit, merged: None };
    (RULE.pass("low: it stands on the primary branch"), Some(approval))
}
