//! When an agent does what it does once in a period.

use super::{AgentSettings, CATCH_UP_WINDOW_MS};
use crate::rng::RngStream;
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

/// The agent's own minute of the period, after `now`.
pub(super) fn next_inventory(settings: &AgentSettings, minute: u32, now: Timestamp) -> Timestamp {
    let every = settings.inventory_every_ms.max(MINUTE_MS);
    let offset = i64::from(minute) * MINUTE_MS;
    let at = now.0.div_euclid(every).saturating_mul(every).saturating_add(offset);
    Timestamp(if at > now.0 { at } else { at.saturating_add(every) })
}

/// The catch-up's random moment in the next window that begins after `now`.
pub(super) fn next_in_window(settings: &AgentSettings, now: Timestamp, rng: &mut RngStream) -> Timestamp {
    let from = settings.catch_up_from_ms.rem_euclid(DAY_MS);
    let today = now.0.div_euclid(DAY_MS).saturating_mul(DAY_MS).saturating_add(from);
    let window = if today > now.0 { today } else { today.saturating_add(DAY_MS) };
    Timestamp(window).plus_ms(rng.below(CATCH_UP_WINDOW_MS))
}
