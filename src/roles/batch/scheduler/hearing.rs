//! What processors say.

use super::*;

impl SchedulerCore {
    pub(super) fn heartbeat(
        &mut self,
        now: Timestamp,
        ask: Ask,
        id: ProcessorId,
        holds: &[Guid],
        slots: usize,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        if !self.hear(now, &id, out) {
            out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Unwanted));
            return;
        }
        if let Some(processor) = self.processors.iter_mut().find(|processor| processor.id == id) {
            processor.slots = slots;
        }
        let holds: BTreeSet<Guid> = holds.iter().copied().collect();
        let (mut lost, mut send) = (Vec::new(), Vec::new());
        for (number, sent) in &mut self.sent {
            let Some(known) = self.tasks.get(number) else { continue };
            let is_held = holds.contains(&known.guid);
            match sent.run.status {
                Status::Processing if sent.run.processor.as_ref() == Some(&id) => {
                    sent.missing = if is_held { 0 } else { sent.missing + 1 };
                    if sent.missing >= self.settings.lost_after.max(1) {
                        lost.push(*number);
                    }
                }
                Status::Queued if sent.to.is_none() || (sent.to.as_ref() == Some(&id) && !is_held) => {
                    send.push(*number);
                }
                _ => {}
            }
        }
        let beats = self.settings.lost_after;
        for number in lost {
            self.lost(now, number, &format!("lost: the processor has not named it in {beats} heartbeats"), out);
        }
        self.dispatch(&send, out);
        let is_wanted = |guid: &Guid| {
            let number = TaskNumber(guid.number());
            let is_it = self.tasks.get(&number).is_some_and(|known| known.guid == *guid);
            is_it && self.sent.get(&number).is_some_and(|sent| sent.to.as_ref() == Some(&id))
        };
        let unwanted = holds.iter().filter(|guid| !is_wanted(guid)).copied().collect();
        out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Heard(unwanted)));
    }

    /// A life of a processor speaks: an earlier life of the same processor is over. Whether it is not over itself.
    pub(super) fn hear(&mut self, now: Timestamp, id: &ProcessorId, out: &mut impl Sink<SchedulerIntent>) -> bool {
        let is_earlier = |other: &ProcessorId| other.is_life_of_same(id) && other.instance < id.instance;
        match self.processors.iter_mut().find(|processor| processor.id.is_life_of_same(id)) {
            Some(processor) if processor.id == *id => processor.heard = now,
            Some(processor) if !is_earlier(&processor.id) => return false,
            Some(processor) => *processor = Processor { id: id.clone(), heard: now, slots: 0 },
            None => {
                self.processors.push(Processor { id: id.clone(), heard: now, slots: 0 });
                self.processors.sort_by(|one, other| one.id.cmp(&other.id));
            }
        }
        // Also what lives before the last one executed: a scheduler that was away has not heard of them.
        self.lose(now, is_earlier, "lost: its processor was started anew", out);
        true
    }

    pub(super) fn update(
        &mut self,
        now: Timestamp,
        ask: Ask,
        id: ProcessorId,
        guid: Guid,
        update: TaskUpdate,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let lives = self.hear(now, &id, out);
        let number = TaskNumber(guid.number());
        let is_known = lives && self.tasks.get(&number).is_some_and(|known| known.guid == guid);
        let is_ending = is_known && self.queue.has_begun(number) && !self.sent.contains_key(&number);
        let sent = self.sent.get_mut(&number).filter(|sent| is_known && sent.to.as_ref() == Some(&id));
        let Some(sent) = sent else {
            // One whose end is being committed is asked for again, until that is durable.
            let answer = if is_ending { SchedulerAnswer::NotStored } else { SchedulerAnswer::Unwanted };
            out.intend(SchedulerIntent::Answer(ask, answer));
            return;
        };
        let host = id.host.clone();
        let told = |status, out: &mut _| {
            Sink::intend(out, SchedulerIntent::Log(LogLine::Update(guid, status, host.clone())));
        };
        match (sent.run.status, update) {
            (Status::Queued, TaskUpdate::Accepted) => {
                let run = TaskRun { started: Some(now), processor: Some(id), ..sent.run.clone() };
                sent.run = moved(run, TaskEvent::Accept);
                let writes = vec![TaskWrite::Run(number, Box::new(sent.run.clone()))];
                told(Status::Processing, out);
                self.commit(Then::Answer(vec![(ask, SchedulerAnswer::Noted)]), writes, out);
            }
            (Status::Queued, TaskUpdate::Refused(why)) => {
                told(Status::Error, out);
                self.end(now, number, TaskEvent::Refuse, Outcome { return_code: 1, output: why }, Some(ask), out);
            }
            (Status::Processing, TaskUpdate::Progress(percent)) => {
                sent.run.progress = percent.min(100);
                out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Noted));
            }
            (Status::Processing, TaskUpdate::Ended(outcome)) => {
                let event = if outcome.return_code == 0 { TaskEvent::Succeed } else { TaskEvent::Fail };
                told(Status::Processing.next(event).unwrap_or(Status::Error), out);
                self.end(now, number, event, outcome, Some(ask), out);
            }
            // Said again, because the first answer was lost: its commit goes before this one, which changes nothing.
            (Status::Processing, TaskUpdate::Accepted) => {
                let writes = vec![TaskWrite::Run(number, Box::new(sent.run.clone()))];
                self.commit(Then::Answer(vec![(ask, SchedulerAnswer::Noted)]), writes, out);
            }
            (_, _) => _ = out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Unwanted)),
        }
    }
}
