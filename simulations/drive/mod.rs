//! What keeps the time of a simulated world.

pub mod calendar;
mod wheel;
