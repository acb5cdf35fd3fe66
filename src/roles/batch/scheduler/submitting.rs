//! How tasks come in, are taken back and are committed.

use super::*;

impl SchedulerCore {
    pub(super) fn submit(&mut self, now: Timestamp, ask: Ask, new: NewTask, out: &mut impl Sink<SchedulerIntent>) {
        let NewTask { task, scope, parameters, not_before, origin, login } = new.clone();
        let mut submission = TaskSubmission {
            guid: Guid::NIL,
            task,
            scope,
            parameters,
            submitted: now,
            not_before,
            origin,
            login,
            duplicate_of: None,
        };
        let identity = submission.identity();
        if let Some(first) = self.submitting.get_mut(&identity) {
            // Whether it is a duplicate hangs on whether the first one is stored.
            first.behind.push((ask, new));
            return;
        }
        let number = self.next;
        self.next = number.next();
        submission.guid = Guid::numbered(self.rng.bits(), number.0);
        let guid = submission.guid;
        let may_start = not_before.map_or(now, |at| at.max(now));
        if let Some(of) =
            self.waits_by(identity, may_start).and_then(|number| self.tasks.get(&number)).map(|of| of.guid)
        {
            submission.duplicate_of = Some(of);
            let run = TaskRun { finished: Some(now), ..TaskRun::new(Status::Duplicate) };
            let writes =
                vec![TaskWrite::Submission(number, Box::new(submission)), TaskWrite::Run(number, Box::new(run))];
            out.intend(SchedulerIntent::Log(LogLine::Duplicate(task, guid, of)));
            let then = Then::Answer(vec![(ask, SchedulerAnswer::Duplicate { guid, of })]);
            self.commit_once(then, writes, out);
            return;
        }
        let live = LiveTask::of(number, submission.clone(), None, now);
        if let Some(task) = live {
            self.submitting.insert(identity, Submitting { ask, task, behind: Vec::new() });
            let writes = vec![TaskWrite::Submission(number, Box::new(submission))];
            self.commit_once(Then::Enter(identity), writes, out);
        }
    }

    /// Commits what is answered as not stored when the log does not take it.
    pub(super) fn commit_once(&mut self, then: Then, writes: Vec<TaskWrite>, out: &mut impl Sink<SchedulerIntent>) {
        let intent = out.intend(SchedulerIntent::Commit(writes));
        self.committing.insert(intent, Committing { then, writes: None });
    }

    /// Commits what has happened: until the log takes it.
    pub(super) fn commit(&mut self, then: Then, writes: Vec<TaskWrite>, out: &mut impl Sink<SchedulerIntent>) {
        let intent = out.intend(SchedulerIntent::Commit(writes.clone()));
        self.committing.insert(intent, Committing { then, writes: Some(writes) });
    }

    pub(super) fn committed(
        &mut self,
        now: Timestamp,
        intent: IntentNumber,
        is_durable: bool,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let Some(committing) = self.committing.remove(&intent) else { return };
        if !is_durable && committing.writes.is_some() {
            self.again.push((now.plus_ms(COMMIT_AGAIN_MS), committing));
            return;
        }
        match committing.then {
            Then::Enter(identity) => {
                let Some(Submitting { ask, task, behind }) = self.submitting.remove(&identity) else { return };
                let answer = match is_durable {
                    true => {
                        out.intend(SchedulerIntent::Log(LogLine::Submitted(task.task, task.guid)));
                        SchedulerAnswer::Submitted(task.number, task.guid)
                    }
                    false => SchedulerAnswer::NotStored,
                };
                out.intend(SchedulerIntent::Answer(ask, answer));
                if is_durable {
                    self.enter(task);
                }
                for (ask, new) in behind {
                    self.submit(now, ask, new, out);
                }
            }
            Then::Answer(answers) => answer_all(answers, is_durable, out),
            Then::Cancelled(number, answers) => {
                self.tasks.remove(&number);
                answer_all(answers, is_durable, out);
            }
            Then::Send(numbers) => {
                for number in &numbers {
                    if let (Some(sent), Some(known)) = (self.sent.get_mut(number), self.tasks.get(number)) {
                        sent.is_durable = true;
                        out.intend(SchedulerIntent::Log(LogLine::Sent(known.task, known.guid)));
                    }
                }
                self.dispatch(&numbers, out);
            }
            Then::Ended(number, status, ask) => {
                self.tasks.remove(&number);
                self.queue.end(number);
                for waiter in self.awaiting.remove(&number).unwrap_or_default() {
                    out.intend(SchedulerIntent::Answer(waiter, SchedulerAnswer::Ended(status)));
                }
                if let Some(ask) = ask {
                    out.intend(SchedulerIntent::Answer(ask, SchedulerAnswer::Noted));
                }
            }
        }
    }

    /// The task of this identity that waits and may start no later than `at`: one that was put off does not stand for another
    /// that is wanted before.
    fn waits_by(&self, identity: u128, at: Timestamp) -> Option<TaskNumber> {
        let number = self.waiting.get(&identity).copied()?;
        self.queue.since(number).filter(|since| *since <= at).map(|_| number)
    }

    /// The task was sent, or taken back: of those that were put off the first one stands in its place.
    pub(super) fn waits_no_more(&mut self, identity: u128, number: TaskNumber) {
        let is_first = self.waiting.get(&identity) == Some(&number);
        if is_first {
            self.waiting.remove(&identity);
        }
        let Some(others) = self.put_off.get_mut(&identity) else { return };
        others.retain(|other| *other != number);
        let next = others.iter().copied().min_by_key(|other| (self.queue.since(*other), *other)).filter(|_| is_first);
        if let Some(next) = next {
            others.retain(|other| *other != next);
            self.waiting.insert(identity, next);
        }
        if others.is_empty() {
            self.put_off.remove(&identity);
        }
    }

    /// A task is durable and waits, or was sent by an earlier life.
    pub(super) fn enter(&mut self, task: LiveTask) {
        let LiveTask { number, guid, task, scope, identity, since, run } = task;
        match run {
            None => {
                self.queue.submit(number, task, &scope, since);
                self.counts[task.index()] += 1;
                // Of several the one that may start first stands for all: the others were put off.
                let put_off = match self.waits_by(identity, since) {
                    Some(_) => Some(number),
                    None => self.waiting.insert(identity, number),
                };
                if let Some(number) = put_off {
                    self.put_off.entry(identity).or_default().push(number);
                }
            }
            Some(run) => {
                self.queue.has_started(number, task, &scope, since);
                let to = run.processor.clone();
                self.sent.insert(number, Sent { run: *run, is_durable: true, to, missing: 0 });
            }
        }
        self.tasks.insert(number, Known { guid, task, identity });
    }

    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        ask: Ask,
        guid: Guid,
        who: &str,
        out: &mut impl Sink<SchedulerIntent>,
    ) {
        let number = TaskNumber(guid.number());
        let known = self.tasks.get(&number).filter(|known| known.guid == guid).cloned();
        let Some(known) = known.filter(|_| self.queue.cancel(number, now)) else {
            let sent = self.sent.get(&number).filter(|_| self.tasks.get(&number).is_some_and(|it| it.guid == guid));
            let answer = sent.map_or(SchedulerAnswer::Gone, |sent| SchedulerAnswer::NotCancelled(sent.run.status));
            out.intend(SchedulerIntent::Answer(ask, answer));
            return;
        };
        self.counts[known.task.index()] -= 1;
        self.waits_no_more(known.identity, number);
        let mut run = moved(TaskRun::new(Status::Submitted), TaskEvent::Cancel);
        run.finished = Some(now);
        run.output = who.into();
        out.intend(SchedulerIntent::Log(LogLine::Ended(guid, who.into())));
        let mut answers = vec![(ask, SchedulerAnswer::Cancelled)];
        let waiters = self.awaiting.remove(&number).unwrap_or_default();
        answers.extend(waiters.into_iter().map(|ask| (ask, SchedulerAnswer::Ended(Status::Error))));
        self.commit(Then::Cancelled(number, answers), vec![TaskWrite::Run(number, Box::new(run))], out);
    }

    pub(super) fn pause(&mut self, ask: Ask, is_paused: bool, out: &mut impl Sink<SchedulerIntent>) {
        self.state = BatchState { is_paused, next: self.next, ..self.state };
        let text = if is_paused { "Sending of tasks paused" } else { "Sending of tasks goes on" };
        out.intend(SchedulerIntent::Log(LogLine::Note(text.into())));
        let then = Then::Answer(vec![(ask, SchedulerAnswer::Paused(is_paused))]);
        self.commit(then, vec![TaskWrite::State(self.state)], out);
    }

    pub(super) fn forget(&mut self, ask: Ask, numbers: Vec<TaskNumber>, out: &mut impl Sink<SchedulerIntent>) {
        let ended: Vec<TaskNumber> = numbers.into_iter().filter(|number| !self.tasks.contains_key(number)).collect();
        let answer = SchedulerAnswer::Forgotten(ended.len() as u64);
        self.state.next = self.next;
        let state = TaskWrite::State(self.state);
        let writes = std::iter::once(state).chain(ended.into_iter().map(TaskWrite::Forget)).collect();
        self.commit_once(Then::Answer(vec![(ask, answer)]), writes, out);
    }
}

fn answer_all(answers: Vec<(Ask, SchedulerAnswer)>, is_durable: bool, out: &mut impl Sink<SchedulerIntent>) {
    for (ask, answer) in answers {
        let answer = if is_durable { answer } else { SchedulerAnswer::NotStored };
        out.intend(SchedulerIntent::Answer(ask, answer));
    }
}
