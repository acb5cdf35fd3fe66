//! Runs and times: what one sample of the processes adds to what was counted before.
//!
//! Processes of one user and one application that overlap are one run: a browser with twenty children was started
//! once. A run goes on as long as one of the processes that a sample shows was there in the sample before; when none
//! was, it is a new run. Time counts once, however many processes there are:
//!
//! | between two samples | counts |
//! | --- | --- |
//! | one process was there in both | the whole time between |
//! | a process is new and younger than that time | its age |
//! | the last process ended | half of what is left, so the error is at most half a sample |
//!
//! A process that lives only between two samples is never seen. When the time between is no sample's (the machine
//! slept, the agent was down, the machine started anew), only the age of a process younger than one sample counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::report::Dropped;
use crate::model::usage::{Application, Attribution, ProcessSample, USER_CHARS_MAX, Usage};
use crate::rng::mix;
use crate::time::{SECOND_MS, Timestamp};

/// Live processes that are kept. Beyond them new ones are dropped.
pub const PROCESSES_MAX: usize = 4_096;
/// Pairs of user and application within one week, the longest period.
pub const PAIRS_MAX: usize = 2_000;
/// Users within one week.
pub const USERS_MAX: usize = 200;

/// How much time lies between this sample and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elapsed {
    /// What counts for a process that was there all the time; 0 over a gap.
    pub(super) counted_ms: u64,
    /// A new process that is not older than this began since.
    pub(super) fresh_ms: u64,
}

/// How a new process finds its application.
pub(super) struct Naming<'a> {
    pub(super) programs: &'a dyn Attribution,
    /// Whether an executable without installation data is named after its file.
    pub(super) unattributed: bool,
}

/// What was counted and what is running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// By number and start.
    live: BTreeMap<(u32, u64), Live>,
    pairs: BTreeMap<u32, Pair>,
    /// Processes without a pair are asked for again at the next sample.
    ask_again: bool,
    dropped: Dropped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Live {
    /// `None` when it is not metered.
    pair: Option<u32>,
    /// Executable and user, mixed: both may change under one number and start, and then it is another program.
    program: u64,
    #[serde(skip)]
    is_seen: bool,
}

/// One user and one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    user: Box<str>,
    application: Arc<Application>,
    session: Sums,
    week: Sums,
    was_active: bool,
    #[serde(skip)]
    sighting: Sighting,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    runs: u64,
    run_ms: u64,
    active_ms: u64,
    last_used: Option<Timestamp>,
}

/// The period that sums are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Session,
    Week,
}

/// What a sample shows of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sighting {
    /// A process that the sample before showed too.
    goes_on: bool,
    /// A process that it did not show.
    is_new: bool,
    /// How long the oldest of those that began since has been running.
    fresh_ms: u64,
    /// A process that only the sample before showed.
    has_ended: bool,
    is_active: bool,
}

impl Tally {
    /// Counts one sample. `within` gives, for each span, the moment of the sample as that period has it and the
    /// period's length, which no sum passes. One pass over the processes; nothing is allocated for a known one.
    pub(super) fn count(
        &mut self,
        processes: &[ProcessSample],
        elapsed: Elapsed,
        naming: &Naming<'_>,
        within: impl Fn(Span) -> (Timestamp, u64),
    ) {
        self.recognise(processes);
        self.admit(processes, elapsed, naming);
        for pair in self.pairs.values_mut() {
            let sighting = std::mem::take(&mut pair.sighting);
            let (run_ms, active_ms) = sighting.times(elapsed.counted_ms, pair.was_active);
            let is_running = sighting.goes_on || sighting.is_new;
            for (span, sums) in [(Span::Session, &mut pair.session), (Span::Week, &mut pair.week)] {
                let (at, length_ms) = within(span);
                sums.runs = sums.runs.saturating_add(u64::from(sighting.is_new && !sighting.goes_on));
                sums.run_ms = sums.run_ms.saturating_add(run_ms).min(length_ms);
                sums.active_ms = sums.active_ms.saturating_add(active_ms).min(sums.run_ms);
                if is_running || run_ms > 0 {
                    sums.last_used = sums.last_used.max(Some(at));
                }
            }
            pair.was_active = sighting.is_active;
        }
    }

    /// Finds the known processes in the sample and lets those go that are not in it.
    fn recognise(&mut self, processes: &[ProcessSample]) {
        for process in processes {
            let Some(live) = self.live.get_mut(&(process.pid, process.start)) else { continue };
            if live.program != program(process) {
                continue;
            }
            live.is_seen = true;
            if let Some(pair) = live.pair.and_then(|pair| self.pairs.get_mut(&pair)) {
                pair.sighting.goes_on = true;
                pair.sighting.is_active |= process.is_active;
            }
        }
        let Tally { live, pairs, .. } = self;
        live.retain(|_, process| {
            let is_seen = std::mem::take(&mut process.is_seen);
            if !is_seen && let Some(pair) = process.pair.and_then(|pair| pairs.get_mut(&pair)) {
                pair.sighting.has_ended = true;
            }
            is_seen
        });
    }

    /// Takes up the processes that are new, and asks again for those that had no place.
    fn admit(&mut self, processes: &[ProcessSample], elapsed: Elapsed, naming: &Naming<'_>) {
        let ask_again = std::mem::take(&mut self.ask_again);
        let mut over = 0;
        for process in processes {
            let key = (process.pid, process.start);
            match self.live.get(&key) {
                Some(known) if known.pair.is_some() || !ask_again => continue,
                None if self.live.len() >= PROCESSES_MAX => {
                    over += 1;
                    continue;
                }
                _ => {}
            }
            let pair = self.pair(process, naming);
            self.live.insert(key, Live { pair, program: program(process), is_seen: false });
            let Some(pair) = pair.and_then(|pair| self.pairs.get_mut(&pair)) else { continue };
            let sighting = &mut pair.sighting;
            sighting.is_new = true;
            sighting.is_active |= process.is_active;
            if process.age_ms <= elapsed.fresh_ms {
                sighting.fresh_ms = sighting.fresh_ms.max(process.age_ms);
            }
        }
        self.dropped.processes = self.dropped.processes.max(over);
    }

    /// The pair of a new process; `None` when it has no application or there is no room.
    fn pair(&mut self, process: &ProcessSample, naming: &Naming<'_>) -> Option<u32> {
        let application = match naming.programs.application(&process.path) {
            Some(application) => Application::clone(&application),
            None if naming.unattributed => Application::of_file(&process.path),
            None => return None,
        };
        let application = application.bounded();
        let user = match process.user.char_indices().nth(USER_CHARS_MAX) {
            Some((end, _)) => &process.user[..end],
            None => &process.user,
        };
        let mut is_known_user = false;
        for (number, pair) in &self.pairs {
            if *pair.user == *user {
                is_known_user = true;
                if *pair.application == application {
                    return Some(*number);
                }
            }
        }
        if !is_known_user && self.users() >= USERS_MAX {
            self.dropped.users = self.dropped.users.saturating_add(1);
            return None;
        }
        let number = self.pairs.last_key_value().map_or(Some(0), |(last, _)| last.checked_add(1));
        let Some(number) = number.filter(|_| self.pairs.len() < PAIRS_MAX) else {
            self.dropped.pairs = self.dropped.pairs.saturating_add(1);
            return None;
        };
        let application = Arc::new(application);
        let pair = Pair {
            user: user.into(),
            application,
            session: Sums::default(),
            week: Sums::default(),
            was_active: false,
            sighting: Sighting::default(),
        };
        self.pairs.insert(number, pair);
        Some(number)
    }

    fn users(&self) -> usize {
        self.pairs.values().map(|pair| &pair.user).collect::<BTreeSet<_>>().len()
    }

    /// Asks at the next sample for the application of every process that has none.
    pub(super) fn ask_again(&mut self) {
        self.ask_again = true;
    }

    /// Meters no process any more that no installation data names.
    pub(super) fn forget_unattributed(&mut self) {
        let is_attributed = |pair: &Pair| !pair.application.evidence.is_empty();
        let pairs = &self.pairs;
        for live in self.live.values_mut() {
            live.pair = live.pair.filter(|pair| pairs.get(pair).is_some_and(is_attributed));
        }
    }

    /// Takes what was counted in `span`, by user and application, and begins it anew. What runs goes on.
    pub(super) fn take(&mut self, span: Span) -> BTreeMap<(Box<str>, Arc<Application>), Usage> {
        let mut taken = BTreeMap::new();
        for pair in self.pairs.values_mut() {
            let sums = std::mem::take(match span {
                Span::Session => &mut pair.session,
                Span::Week => &mut pair.week,
            });
            if sums != Sums::default() {
                taken.insert((pair.user.clone(), pair.application.clone()), sums.usage());
            }
        }
        let running: BTreeSet<u32> = self.live.values().filter_map(|live| live.pair).collect();
        let is_idle = |pair: &Pair| pair.session == Sums::default() && pair.week == Sums::default();
        self.pairs.retain(|number, pair| running.contains(number) || !is_idle(pair));
        // Who found no room may find some now.
        self.ask_again = true;
        taken
    }

    /// Takes what had no room since the last call.
    pub(super) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets which processes run.
    pub(super) fn forget_processes(&mut self) {
        self.live.clear();
    }

    /// What was read from a disk, held to the bounds.
    pub(super) fn checked(mut self) -> Tally {
        while self.pairs.len() > PAIRS_MAX {
            self.pairs.pop_last();
        }
        while self.live.len() > PROCESSES_MAX {
            self.live.pop_last();
        }
        let pairs = &self.pairs;
        self.live.values_mut().for_each(|live| live.pair = live.pair.filter(|pair| pairs.contains_key(pair)));
        self
    }
}

impl Sighting {
    /// Milliseconds that it ran and was active since the sample before; the second is never more than the first.
    fn times(self, counted_ms: u64, was_active: bool) -> (u64, u64) {
        let active = |is_active: bool, ms: u64| if is_active { ms } else { 0 };
        if self.goes_on {
            return (counted_ms, active(self.is_active, counted_ms));
        }
        // When it ended is not known: in the middle, as far as anyone can tell.
        let ended_ms = if self.has_ended { counted_ms.saturating_sub(self.fresh_ms) / 2 } else { 0 };
        let active_ms = active(self.is_active, self.fresh_ms).saturating_add(active(was_active, ended_ms));
        (self.fresh_ms.saturating_add(ended_ms), active_ms)
    }
}

impl Sums {
    fn usage(&self) -> Usage {
        let secs = |ms: u64| ms / SECOND_MS as u64;
        Usage {
            runs: self.runs,
            run_secs: secs(self.run_ms),
            active_secs: secs(self.active_ms),
            last_used: self.last_used,
        }
    }
}

/// Executable and user of a process in one number, the same in every life of the agent.
fn program(process: &ProcessSample) -> u64 {
    let text = |seed: u64, text: &str| {
        text.as_bytes().chunks(8).fold(mix(seed, text.len() as u64), |hash, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix(hash, u64::from_le_bytes(word))
        })
    };
    text(text(0, &process.path), &process.user)
}
