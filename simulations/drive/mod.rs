//! What keeps the time of a simulated world.

pub mod actors;
pub mod calendar;
pub mod regions;
pub mod wheel;

use crate::world::Stage;

/// What is left of a world at the end of its scenario.
pub struct Closed {
    /// What was true and what was measured.
    pub stage: Stage,
    /// Hash of what happened: equal for every driver.
    pub digest: u64,
    /// Packages at agents and in spools.
    pub waiting: (u64, u64),
    /// Timers that fired, requests and answers that arrived, effects that ended.
    pub events: u64,
}

#[cfg(test)]
mod tests;
