//! Decisions about packages on their way: who sent it, may it come in, has it been settled, when is it sent again and
//! where to.

pub mod admission;
pub mod answer;
pub mod backoff;
mod few;
pub mod gaps;
pub mod ledger;
pub mod pace;
pub mod rates;
mod recent;
pub mod retry_after;
pub mod selector;
pub mod spool;
pub mod turns;
