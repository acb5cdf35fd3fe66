//! Batch tasks of a server: the scheduler that takes and sends them, the processor that executes them.
//!
//! ```text
//! DATA/facts/...                  tasks, and how far each has come: see `muster::model::task`
//! DATA/logs/batch-scheduler.log   the documented lines: sent for processing, received status update
//! DATA/logs/batch-processor.log   what is executed
//! ```
//!
//! Both are actors with a core each (`muster::roles::batch`) and know each other by messages alone, so that processors on
//! other hosts can come later. The scheduler is the only writer of tasks' facts, and writes them beside the turns of the
//! books: thousands are submitted in a second, and the log makes a group of them durable with one sync.

mod log_file;
mod recovery;

mod scheduler;

mod processor;
mod tasks;

mod start;

pub use log_file::LogFile;
pub use processor::{BatchProcessor, ProcessorWorld, processor_id};
pub use scheduler::{
    AskScheduler, BatchOverview, BatchScheduler, RefuseTask, SchedulerWorld, StopTasks, WhyTask, WhyTold,
    submit_and_wait,
};
pub use start::{scheduler_world, start_processor};
pub use tasks::{TaskDoers, Worked};
