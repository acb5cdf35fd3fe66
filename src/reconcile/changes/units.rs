//! Units of a licence in two runs, side by side.

use std::cmp::Ordering;

use super::{Counted, UnitChange, UnitKind};
use crate::model::decimal::Decimal;
use crate::model::reconciliation::Unit;

/// A unit by its kind and id.
type Named<'u> = (UnitKind, &'u str, &'u Unit);

/// Takes the first unit off a sorted list. A device may stand there twice, as a host and as one that counts without
/// inventory: its rows are added up.
fn next<'u>(list: &mut &[Named<'u>]) -> Option<Counted> {
    let (&(kind, id, first), rest) = list.split_first()?;
    *list = rest;
    let mut counted = Counted {
        raw: first.raw,
        consumed: first.consumed,
        reason: first.reason.as_str(),
        exemption: first.reason.exemption(),
    };
    while let Some((&(other_kind, other_id, more), rest)) = list.split_first()
        && (other_kind, other_id) == (kind, id)
    {
        *list = rest;
        counted.raw += more.raw;
        counted.consumed += more.consumed;
    }
    Some(counted)
}

/// Units that came, went or count differently, ascending. Their causes are not known yet.
pub fn differences<'u>(before: &[Named<'u>], after: &[Named<'u>]) -> Vec<UnitChange> {
    let (mut before, mut after) = (before, after);
    let mut changes = Vec::new();
    loop {
        let key = |list: &[Named<'u>]| list.first().map(|&(kind, id, _)| (kind, id));
        let order = match (before.first(), after.first()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => (was.0, was.1).cmp(&(is.0, is.1)),
        };
        let key = if order.is_gt() { key(after) } else { key(before) };
        let was = if order.is_le() { next(&mut before) } else { None };
        let is = if order.is_ge() { next(&mut after) } else { None };
        let told = |counted: &Option<Counted>| counted.map(|counted| (counted.raw, counted.consumed));
        if told(&was) == told(&is) {
            continue;
        }
        let consumed = |counted: &Option<Counted>| counted.map_or(Decimal::ZERO, |counted| counted.consumed);
        let difference = consumed(&is) - consumed(&was);
        // Both lists cannot be empty here.
        let Some((unit, id)) = key else { return changes };
        changes.push(UnitChange { unit, id: id.to_owned(), before: was, after: is, difference, causes: Vec::new() });
    }
}
