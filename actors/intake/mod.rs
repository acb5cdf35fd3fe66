//! The upload listener of beacon and server: takes a body, checks its head, name, size, digest and first bytes, has it
//! synced, and only then gives the receipt.
//!
//! ```text
//! connection -> limits -> head -> rates -> body (streamed, timed, hashed) -> log writer -> fdatasync -> 200 receipt
//! ```
//!
//! Content is not looked at here: what is bad inside ends in quarantine at the server. The handler awaits the writer's
//! answer itself; no actor's mailbox stands between body and sync. Source: delivery contract, sections 3, 5 and 7.

mod answer;
mod arrival;
mod body;
mod gate;
mod listener;
mod patience;
mod upload;

pub use answer::refuse;
pub use arrival::{PackagesArrived, hint};
pub use gate::{Gate, IntakeLimits, IntakeTimes};
pub use listener::{ListenError, Listener, Routes, bind, serve};
pub use upload::{Arrived, Intake, Whose, routes};

#[cfg(test)]
mod tests;
