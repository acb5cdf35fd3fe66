//! The command `muster-sim`.
fn main() {}
