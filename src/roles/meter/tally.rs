//! Runs and times: what one sample of the processes adds to what was counted before.
//!
//! A *run* (see `run`) is a process together with its descendants of the same program and user: a process
//! whose parent, when it is first seen, is a live process of the same user and program belongs to its parent's run;
//! every other new process begins one. So a browser with twenty children of its own program was started once, and two
//! shells that each start `sleep` started it twice, one after the other or at one time. A run goes on while any of its
//! processes lives: that of a launcher which starts itself again and ends goes on if one sample showed both.
//!
//! Time counts once for a run, however many processes it has, and no run counts longer in a period than the period. The
//! time of a program is the sum over its runs, so it may pass the period's length when they overlap.
//!
//! | between two samples | counts for the run |
//! | --- | --- |
//! | one process was there in both | the whole time between |
//! | the run is new and its oldest process younger than that time | the age of that |
//! | its last process ended | half, so the error is at most half a sample |
//!
//! A process that lives only between two samples is never seen. When the time between is no sample's (the machine
//! slept, the agent was down, the machine started anew), only the age of a process younger than one sample counts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::report::Dropped;
use super::run::Run;
use crate::model::usage::{Application, Attribution, ProcessSample, USER_CHARS_MAX, Usage};
use crate::rng::mix;
use crate::time::{SECOND_MS, Timestamp};

/// Live processes that are kept. Beyond them new ones are dropped.
pub const PROCESSES_MAX: usize = 4_096;
/// Pairs of user and program within one week, the longest period.
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
    /// Processes without a run are asked for again at the next sample.
    ask_again: bool,
    dropped: Dropped,
    /// What goes on. Versions that knew one run of a pair at a time left none, and numbers of pairs in its place.
    #[serde(default)]
    runs: BTreeMap<u32, Run>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Live {
    /// `None` when it is not metered.
    run: Option<u32>,
    /// Executable and user, mixed: both may change under one number and start, and then it is another program.
    program: u64,
    #[serde(skip)]
    is_seen: bool,
}

/// One user and one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    user: Box<str>,
    application: Arc<Application>,
    session: Sums,
    week: Sums,
    /// Stands where older versions kept it, so that what they left is read; each run has its own.
    was_active: bool,
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

impl Tally {
    /// Counts one sample. `within` gives, for each span, the moment of the sample as that period has it and the
    /// period's length, which no run passes. One pass over the processes; nothing is allocated for a known one.
    pub(super) fn count(
        &mut self,
        processes: &[ProcessSample],
        elapsed: Elapsed,
        naming: &Naming<'_>,
        within: impl Fn(Span) -> (Timestamp, u64),
    ) {
        self.recognise(processes);
        self.admit(processes, elapsed, naming);
        let Tally { runs, pairs, .. } = self;
        runs.retain(|_, run| {
            let Some(pair) = pairs.get_mut(&run.pair) else { return false };
            let added = run.turn(elapsed.counted_ms);
            for (span, sums) in [(Span::Session, &mut pair.session), (Span::Week, &mut pair.week)] {
                let (at, length_ms) = within(span);
                let run_ms = run.fill(span, added.run_ms, length_ms);
                sums.runs = sums.runs.saturating_add(added.is_begun.into());
                sums.run_ms = sums.run_ms.saturating_add(run_ms);
                sums.active_ms = sums.active_ms.saturating_add(added.active_ms.min(run_ms)).min(sums.run_ms);
                if added.is_running || added.run_ms > 0 {
                    sums.last_used = sums.last_used.max(Some(at));
                }
            }
            added.is_running
        });
    }

    /// Finds the known processes in the sample and lets those go that are not in it.
    fn recognise(&mut self, processes: &[ProcessSample]) {
        for process in processes {
            let Some(live) = self.live.get_mut(&(process.pid, process.start)) else { continue };
            if live.program != program(process) {
                continue;
            }
            live.is_seen = true;
            if let Some(run) = live.run.and_then(|run| self.runs.get_mut(&run)) {
                run.see_again(process);
            }
        }
        let Tally { live, runs, .. } = self;
        live.retain(|_, process| {
            let is_seen = std::mem::take(&mut process.is_seen);
            if !is_seen && let Some(run) = process.run.and_then(|run| runs.get_mut(&run)) {
                run.miss();
            }
            is_seen
        });
    }

    /// Takes up the processes that are new, and asks again for those that had no place: parents before their children,
    /// in whatever order the sample has them.
    fn admit(&mut self, processes: &[ProcessSample], elapsed: Elapsed, naming: &Naming<'_>) {
        let ask_again = std::mem::take(&mut self.ask_again);
        let live = &self.live;
        let is_new = |process: &&ProcessSample| match live.get(&(process.pid, process.start)) {
            Some(known) => known.run.is_none() && ask_again,
            None => true,
        };
        let mut new: Vec<&ProcessSample> = processes.iter().filter(is_new).collect();
        // A parent is older, or as old: the kernel tells starts in hundredths of a second.
        new.sort_unstable_by_key(|process| (Reverse(process.age_ms), process.pid, process.start));
        let mut waiting: BTreeMap<u32, u64> = new.iter().map(|process| (process.pid, program(process))).collect();
        let mut over = 0;
        while !new.is_empty() {
            let count = new.len();
            new.retain(|process| {
                let has_waiting_parent =
                    parent(process).is_some_and(|parent| waiting.get(&parent) == Some(&program(process)));
                if !has_waiting_parent {
                    waiting.remove(&process.pid);
                    over += u64::from(!self.take_up(process, elapsed, naming));
                }
                has_waiting_parent
            });
            if new.len() == count {
                // Each is its own ancestor, which no system says of a process.
                waiting.clear();
            }
        }
        self.dropped.processes = self.dropped.processes.max(over);
    }

    /// Takes up one process; whether there was room.
    fn take_up(&mut self, process: &ProcessSample, elapsed: Elapsed, naming: &Naming<'_>) -> bool {
        let key = (process.pid, process.start);
        if self.live.len() >= PROCESSES_MAX && !self.live.contains_key(&key) {
            return false;
        }
        let program = program(process);
        let run = self.run_of_parent(process, program).or_else(|| self.begin_run(process, naming));
        self.live.insert(key, Live { run, program, is_seen: false });
        if let Some(run) = run.and_then(|run| self.runs.get_mut(&run)) {
            run.see_new(process, elapsed.fresh_ms);
        }
        true
    }

    /// The run of the parent when that is a live process of the same program and user.
    fn run_of_parent(&self, process: &ProcessSample, program: u64) -> Option<u32> {
        let parent = parent(process)?;
        let mut of_number = self.live.range((parent, 0)..=(parent, u64::MAX));
        of_number.find(|(_, live)| live.program == program).and_then(|(_, live)| live.run)
    }

    fn begin_run(&mut self, process: &ProcessSample, naming: &Naming<'_>) -> Option<u32> {
        let pair = self.pair(process, naming)?;
        let number = next_number(&self.runs)?;
        self.runs.insert(number, Run::begun(pair));
        Some(number)
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
        let Some(number) = next_number(&self.pairs).filter(|_| self.pairs.len() < PAIRS_MAX) else {
            self.dropped.pairs = self.dropped.pairs.saturating_add(1);
            return None;
        };
        let application = Arc::new(application);
        let pair =
            Pair { user: user.into(), application, session: Sums::default(), week: Sums::default(), was_active: false };
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
        let Tally { pairs, runs, live, .. } = self;
        runs.retain(|_, run| pairs.get(&run.pair).is_some_and(is_attributed));
        live.values_mut().for_each(|live| live.run = live.run.filter(|run| runs.contains_key(run)));
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
        self.runs.values_mut().for_each(|run| run.begin_period(span));
        let running: BTreeSet<u32> = self.runs.values().map(|run| run.pair).collect();
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
        self.runs.clear();
    }

    /// What was read from a disk, held to the bounds.
    pub(super) fn checked(mut self) -> Tally {
        while self.pairs.len() > PAIRS_MAX {
            self.pairs.pop_last();
        }
        while self.live.len() > PROCESSES_MAX {
            self.live.pop_last();
        }
        let Tally { pairs, runs, live, .. } = &mut self;
        if runs.is_empty() {
            let of_pair = |pair: u32| (pair, Run::going_on(pair));
            runs.extend(live.values().filter_map(|live| live.run).map(of_pair));
        }
        runs.retain(|_, run| pairs.contains_key(&run.pair));
        live.values_mut().for_each(|live| live.run = live.run.filter(|run| runs.contains_key(run)));
        self
    }
}

/// A number that nothing in `numbered` has; `None` when all are used up.
fn next_number<T>(numbered: &BTreeMap<u32, T>) -> Option<u32> {
    numbered.last_key_value().map_or(Some(0), |(last, _)| last.checked_add(1))
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

/// Number of the parent, which is never the process itself.
fn parent(process: &ProcessSample) -> Option<u32> {
    Some(process.parent).filter(|parent| ![0, process.pid].contains(parent))
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
