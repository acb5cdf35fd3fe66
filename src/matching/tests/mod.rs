//! Tests that need more than one file of this folder: the standard Matchers, both phases, and the laws they obey,
//! compared with an oracle that knows nothing of this code.

mod explain_record;
pub(crate) mod fixture;
mod held;
mod laws;
mod oracle;
mod phase1;
mod phase2;
mod standard;
mod update;
