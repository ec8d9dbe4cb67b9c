//! Low: any commit on the primary branch will do; who can push there is decided by the remote.

use super::{Approval, How, RULE};
use crate::admission::check::Check;
use crate::admission::snapshot::Arrived;

pub(super) fn judge(arrived: &Arrived) -> (Check, Option<Approval>) {
    let approval =
        Approval { how: How::Branch, by: vec![arrived.author.clone()], commit: Some(arrived.commit.clone()) };
    (RULE.pass("low: it stands on the primary branch"), Some(approval))
}
