//! Puts the scheduler and the processor of a server together.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use muster::config::tasks::TasksConfig;
use muster::roles::batch::{ProcessorSettings, SchedulerSettings};

use super::log_file::LogFile;
use super::processor::{BatchProcessor, ProcessorWorld, processor_id};
use super::scheduler::SchedulerWorld;
use super::tasks::TaskDoers;
use crate::clock::SharedClock;
use crate::node::Logs;
use crate::supervision::{Supervised, supervise};

/// What the scheduler of a server with these tasks needs.
pub fn scheduler_world(tasks: &TasksConfig, logs: &Logs, clock: &SharedClock, data: &Path) -> SchedulerWorld {
    SchedulerWorld {
        facts: logs.fact_index.clone(),
        writer: logs.facts.clone(),
        clock: clock.clone(),
        settings: Arc::new(SchedulerSettings {
            constraints: tasks.constraints.clone(),
            starvation_ms: tasks.starvation_ms,
            silence_ms: tasks.silence_ms,
            lost_after: tasks.lost_after,
        }),
        seed: (logs.node, logs.incarnation),
        log: Arc::new(Mutex::new(LogFile::new(data, "batch-scheduler"))),
        overview: Arc::default(),
    }
}

/// Starts a server's own processor. `instance` is the greatest one that an earlier life of it left a task to.
pub fn start_processor(
    tasks: &TasksConfig,
    doers: TaskDoers,
    data: &Path,
    instance: u64,
    give_up: Rc<dyn Fn(&str)>,
) -> Supervised<BatchProcessor> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (slots, heartbeat_ms) = (tasks.slots.unwrap_or(2 * cores), tasks.heartbeat_ms);
    let (node, next) = (doers.logs.node, Cell::new(instance + 1));
    let world = ProcessorWorld {
        scheduler: doers.scheduler.clone(),
        facts: doers.books.facts.clone(),
        clock: doers.clock.clone(),
        settings: ProcessorSettings { heartbeat_ms, ..ProcessorSettings::new(processor_id(node, 0), slots) },
        log: Arc::new(Mutex::new(LogFile::new(data, "batch-processor"))),
        doers,
    };
    let begin = move |watch| {
        let mut world = world.clone();
        world.settings.id = processor_id(node, next.replace(next.get() + 1));
        BatchProcessor::begin(world, watch)
    };
    supervise("batch processor", begin, give_up)
}
