//! What the tests of this module draw at random.

use proptest::prelude::*;

use crate::formats::nds::{Repeat, Trigger, TriggerKind};
use crate::time::Timestamp;

/// Seconds of all sizes, so that short and long, equal and odd ones meet.
fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![
        1..120u32,
        1..100_000u32,
        1..40 * 86_400u32,
        proptest::sample::select(vec![3_600, 43_200, 86_400, 7 * 86_400, 366 * 86_400]),
    ]
}

/// Triggers that a clock makes due, with starts of the years 1970 to 2070.
pub(super) fn any_timed() -> impl Strategy<Value = Trigger> {
    let kind = prop_oneof![
        Just(TriggerKind::Once),
        (1..=3u32).prop_map(|every_days| TriggerKind::Daily { every_days }),
        (1..=366u32).prop_map(|every_days| TriggerKind::Daily { every_days }),
        (1..=127u8).prop_map(|days| TriggerKind::Weekly { days }),
        (0..=28u8).prop_map(|day| TriggerKind::Monthly { day }),
    ];
    // Not less than 20 minutes, so that the slow walk ends.
    let repeat = proptest::option::of((seconds().prop_map(|secs| secs.max(1_200)), seconds()));
    let window = prop_oneof![Just(0), seconds()];
    (kind, 0..3_155_760_000i64, repeat, window).prop_map(|(kind, start, repeat, window_secs)| Trigger {
        kind,
        start: Some(Timestamp(start * 1_000)),
        repeat: repeat.map(|(every_secs, for_secs)| Repeat { every_secs, for_secs }),
        window_secs,
    })
}
