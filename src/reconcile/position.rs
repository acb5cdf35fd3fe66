//! A licence compared with its consumption.
//!
//! Source: reconcile-files reference, section 7.

use crate::model::day::Day;
use crate::model::licence::{Licence, Quantity};
use crate::model::position::{Consumption, Position, Status};

/// The position of `licence` on the day `as_of`.
pub fn position(licence: &Licence, used: &Consumption, as_of: Day) -> Position {
    let entitled = licence.entitled(as_of);
    let consumed = used.consumed;
    let (status, reason) = status(licence, entitled, consumed, as_of);
    let limit = match entitled {
        Quantity::Limited(total) => Some(total),
        Quantity::Unlimited => None,
    };
    Position {
        licence: licence.id.clone(),
        entitled,
        consumed,
        available: limit.map(|total| difference(total, consumed)),
        savings: difference(used.raw, consumed),
        true_up_due: limit.filter(|_| licence.true_up.is_some()).map(|total| consumed.saturating_sub(total)),
        status,
        reason,
    }
}

/// The first status that applies, and why.
fn status(licence: &Licence, entitled: Quantity, consumed: u64, as_of: Day) -> (Status, String) {
    let may_true_up = licence.true_up.as_ref().is_some_and(|true_up| true_up.until.is_none_or(|last| as_of <= last));
    let is_in_force = licence.entitlements.iter().any(|entitlement| entitlement.in_force(as_of));
    let expired = licence.entitlements.iter().filter(|one| !one.retired && one.has_expired(as_of));
    let last_expiry = expired.filter_map(|entitlement| entitlement.expiry).max();
    // Before plain over-use, which it is too, because renewing is what mends it.
    if let Some(last) = last_expiry
        && !is_in_force
        && consumed > 0
    {
        return (Status::AtRisk, format!("{consumed} in use, and the last entitlement ended on {last}: renew it"));
    }
    match entitled {
        Quantity::Limited(total) if consumed > total => {
            let over = consumed - total;
            if may_true_up {
                (Status::Compliant, format!("{over} more in use than owned, due at the true-up"))
            } else {
                (Status::AtRisk, format!("{over} more in use than owned: buy, or take off devices"))
            }
        }
        Quantity::Limited(total) => (Status::Compliant, format!("{consumed} of {total} in use")),
        Quantity::Unlimited => (Status::Compliant, format!("{consumed} in use of any number")),
    }
}

/// `a - b`, at most as far from 0 as an `i64` goes.
fn difference(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a >= b { size } else { -size }
}
