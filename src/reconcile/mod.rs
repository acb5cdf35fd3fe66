//! The licence position: evidence is recognised as applications, installations are offered to licences, use is compared
//! with rights.
//!
//! ```text
//! evidence --Recogniser--> installations --assign--> who takes what --count--> positions --> tables, sentences
//! ```
//!
//! A pure function of estate, rules, licences and day. The order of its inputs changes nothing: recognition looks at one
//! piece of evidence at a time, everything is numbered in the order of its ids, and what a hash table holds is never
//! walked.
//!
//! Source: reconcile-files reference; sections are given at the items below.

pub mod recognition;

mod consumption;
pub mod engine;
pub mod evidence;
pub mod minutes;
pub mod output;
pub mod refusals;
pub mod sentences;

pub mod changes;
pub mod savings;
pub mod what_if;

pub use recognition::{Recognised, Recogniser, RecogniserError};
