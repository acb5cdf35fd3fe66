//! Which dates of a policy are believed.
//!
//! A policy that is wrong can be followed by one that is right only as long as its agents still ask for it and still
//! take it. One date could end both: a schedule that begins in the year 9999, or a revision that no later one is above.

use crate::formats::nds::{Nds, Trigger, TriggerKind};
use crate::time::{DAY_MS, SECOND_MS, Timestamp};

/// A policy may speak of so much to come (and a run of once of so much that is over): a year and a day, the longest
/// period of a schedule.
pub const AWAY_MAX_MS: i64 = 366 * DAY_MS;

/// How the revision of a policy stands to the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// It comes after it.
    Newer,
    /// It is the same.
    Equal,
    /// It comes before it.
    Older,
    /// It stands for a day too far ahead: nothing could follow it.
    Unbelievable,
}

/// How revision `met` stands to `held`.
///
/// Revisions are the seconds of the day they were made on, or one more than the last. One that stands for more than a year
/// ahead of `present` is not taken; one that is held all the same, from a time when nobody looked, is followed by any that
/// can be believed, because otherwise it would be the last.
pub fn revision(held: u64, met: u64, present: Timestamp) -> Revision {
    if met == held {
        Revision::Equal
    } else if !is_believable(met, present) {
        Revision::Unbelievable
    } else if met > held || !is_believable(held, present) {
        Revision::Newer
    } else {
        Revision::Older
    }
}

fn is_believable(revision: u64, present: Timestamp) -> bool {
    let latest = present.plus_ms(AWAY_MAX_MS).0.div_euclid(SECOND_MS);
    i64::try_from(revision).is_ok_and(|revision| revision <= latest)
}

/// Whether a schedule will run anything within a year from `present`. `Now` runs once and is no sign of it. One that runs
/// nothing would silence every agent that takes it.
pub fn begins_in_time(schedule: &Nds, present: Timestamp) -> bool {
    let mut lasting = schedule.events.iter().flat_map(|event| &event.triggers).filter(|it| it.kind != TriggerKind::Now);
    lasting.any(|trigger| is_near(trigger, present))
}

fn is_near(trigger: &Trigger, present: Timestamp) -> bool {
    let Some(start) = trigger.start else { return true };
    let is_over = trigger.kind == TriggerKind::Once && present.ms_since(start) > AWAY_MAX_MS;
    start.ms_since(present) <= AWAY_MAX_MS && !is_over
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: Timestamp = Timestamp(20_000 * DAY_MS);

    #[test]
    fn a_revision_of_next_year_is_taken_and_one_of_the_year_after_locks_nobody() {
        let of = |day: i64| (day * DAY_MS / SECOND_MS) as u64;
        for (held, met, wanted) in [
            (of(20_000), of(20_001), Revision::Newer),
            (of(20_000), of(20_000), Revision::Equal),
            (of(20_000), of(20_366), Revision::Newer),
            (of(20_000), of(20_367), Revision::Unbelievable),
            (of(20_000), u64::MAX, Revision::Unbelievable),
            (of(20_000), of(19_999), Revision::Older),
            (of(20_366), of(20_000), Revision::Older),
            // Small numbers made by hand.
            (0, 1, Revision::Newer),
            (7, 6, Revision::Older),
            // What came to be in force before anybody looked.
            (u64::MAX, of(20_000), Revision::Newer),
            (u64::MAX, u64::MAX, Revision::Equal),
            (u64::MAX, of(20_367), Revision::Unbelievable),
        ] {
            assert_eq!(revision(held, met, PRESENT), wanted, "{met} after {held}");
        }
    }

    fn schedule(triggers: &[(&str, &str)]) -> Nds {
        let trigger = |(kind, date): &(&str, &str)| match date.is_empty() {
            true => format!("<Trigger TYPE='{kind}' TYPE_PARAM='1'/>"),
            false => format!("<Trigger TYPE='{kind}' TYPE_PARAM='1' DATESTART='{date}' TIMESTART='000000'/>"),
        };
        let triggers: String = triggers.iter().map(trigger).collect();
        let text = format!(
            "<Schedule SCHEDSCHEMA='60' NAME='s' TIMEDATESTAMP='20250314T000000Z'><Event NAME='e' \
             ID='{{11111111-0000-4000-8000-000000000002}}'><LogicalCommand COMPONENT='PolicyClient' ACTION='Apply'/>\
             {triggers}</Event></Schedule>"
        );
        Nds::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_schedule_that_begins_in_the_far_future_or_was_over_long_ago_does_not_begin_in_time() {
        // The present is 2024-10-04.
        for (triggers, wanted) in [
            (&[("Daily", "20200101")][..], true),
            (&[("Daily", "19700101")], true),
            (&[("Daily", "20251005")], true),
            (&[("Daily", "20251006")], false),
            (&[("Daily", "99991229")], false),
            (&[("Daily", "99991229"), ("Weekly", "99991229"), ("Monthly", "99991229")], false),
            (&[("Daily", "99991229"), ("Weekly", "20240101")], true),
            (&[("Once", "20231005")], true),
            (&[("Once", "20220101")], false),
            (&[("Daily", "99991229"), ("Now", "20240101")], false),
            (&[("Now", "20240101")], false),
            (&[("OnStartup", "")], true),
            (&[("OnStartup", "99991229")], false),
            (&[], false),
        ] {
            assert_eq!(begins_in_time(&schedule(triggers), PRESENT), wanted, "{triggers:?}");
        }
    }
}
