//! Tests of the order as a whole: what the reference shows, and the laws that hold for every list.

mod algorithms;
mod fixture;
mod laws;
mod priorities;

pub(super) use fixture::{list, settings};
