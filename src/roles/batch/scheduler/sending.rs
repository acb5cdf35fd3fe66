//! How tasks are sent for processing, and how they end.

use super::*;

impl SchedulerCore {
    /// Tasks that all processors execute at once.
    pub(super) fn slots(&self) -> usize {
        self.processors.iter().map(|processor| processor.slots).fold(0, usize::saturating_add)
    }

    /// One pass.
    pub(super) fn assess(&mut self, now: Timestamp, out: &mut impl Sink<SchedulerIntent>) {
        if self.state.is_paused {
            self.queue.grow_old(now);
            return;
        }
        // No more than are executed at once: a task that nothing excludes waits here, where it is seen to wait, and one that
        // is kept back by others waits for few of them.
        let started = self.queue.assess(now, self.slots());
        for part in started.chunks(COMMIT_TASKS) {
            let mut writes = Vec::with_capacity(part.len());
            for number in part {
                let Some(known) = self.tasks.get(number) else { continue };
                self.counts[known.task.index()] -= 1;
                let identity = known.identity;
                self.waits_no_more(identity, *number);
                let run = moved(TaskRun { queued: Some(now), ..TaskRun::new(Status::Submitted) }, TaskEvent::Dispatch);
                writes.push(TaskWrite::Run(*number, Box::new(run.clone())));
                self.sent.insert(*number, Sent { run, is_durable: false, to: None, missing: 0 });
            }
            self.commit(Then::Send(part.to_vec()), writes, out);
        }
    }

    /// Sends those of these that are Queued to the processor that has the fewest.
    pub(super) fn dispatch(&mut self, numbers: &[TaskNumber], out: &mut impl Sink<SchedulerIntent>) {
        let mut held: Vec<usize> = vec![0; self.processors.len()];
        // One is chosen without counting what may be thousands.
        for sent in self.sent.values().filter(|_| self.processors.len() > 1) {
            let place = self.processors.iter().position(|processor| Some(&processor.id) == sent.to.as_ref());
            if let Some(place) = place {
                held[place] += 1;
            }
        }
        let mut parts: Vec<Vec<Dispatch>> = vec![Vec::new(); self.processors.len()];
        for number in numbers {
            let (Some(sent), Some(known)) = (self.sent.get_mut(number), self.tasks.get(number)) else { continue };
            if sent.run.status != Status::Queued || !sent.is_durable {
                continue;
            }
            // One that an earlier life has heard of takes nothing until it says how much.
            let able = (0..held.len()).filter(|place| self.processors[*place].slots > 0);
            let Some(place) = able.min_by_key(|place| held[*place]) else { return };
            held[place] += 1;
            sent.to = Some(self.processors[place].id.clone());
            parts[place].push(Dispatch { number: *number, guid: known.guid, task: known.task });
        }
        for (processor, part) in self.processors.iter().zip(parts) {
            if !part.is_empty() {
                out.intend(SchedulerIntent::Dispatch(processor.id.clone(), part));
            }
        }
    }

    /// A task that was sent ends by `event`. What it kept back goes on when that is durable: else a crash could leave two
    /// that exclude each other.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        event: TaskEvent,
        outcome: Outcome,
        ask: Option<Ask>,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let Some(Sent { run, .. }) = self.sent.remove(&number) else { return };
        let output: String = outcome.output.chars().take(OUTPUT_CHARS_MAX).collect();
        let mut run = moved(run, event);
        run.finished = Some(now);
        run.return_code = Some(outcome.return_code);
        run.output = output.into();
        run.progress = if run.status == Status::Success { 100 } else { run.progress };
        let status = run.status;
        self.commit(Then::Ended(number, status, ask), vec![TaskWrite::Run(number, Box::new(run))], out);
    }

    /// Ends what a processor was executing; what it has not begun is sent again.
    pub(super) fn lose(
        &mut self,
        now: Timestamp,
        which: impl Fn(&ProcessorId) -> bool,
        why: &str,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let mut lost = Vec::new();
        for (number, sent) in &mut self.sent {
            if sent.run.status == Status::Processing && sent.run.processor.as_ref().is_some_and(&which) {
                lost.push(*number);
            } else if sent.to.as_ref().is_some_and(&which) {
                sent.to = None;
            }
        }
        for number in lost {
            self.lost(now, number, why, out);
        }
    }

    pub(super) fn lost(&mut self, now: Timestamp, number: TaskNumber, why: &str, out: &mut impl Sink<SchedulerIntent>) {
        if let Some(known) = self.tasks.get(&number) {
            out.intend(SchedulerIntent::Log(LogLine::Ended(known.guid, why.into())));
        }
        self.end(now, number, TaskEvent::Lose, Outcome { return_code: 1, output: why.into() }, None, out);
    }
}
