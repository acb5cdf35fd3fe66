//! Which batch task may start: those that wait, those that run, and what keeps the ones from starting beside the others.
//!
//! The rule is that of the reference (section 11.5): walk what waits, oldest first; start each that conflicts neither with
//! a task that runs nor with an older *barrier*, a task that has waited for longer than the starvation limit. Walking a
//! million tasks whenever one ends would cost a second, so [`TaskQueue`] keeps, for each band and scope, one line of tasks
//! that are kept back by the same things, looks only at the first of a line, and looks again only when the one task it was
//! found to wait for is gone. A pass in which nothing can start looks at nothing.

mod occupied;
mod queue;

pub use queue::{Rule, TaskQueue, Why};
