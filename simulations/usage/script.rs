//! What programs start when and live how long, and what a meter has to tell of it.
//!
//! | program | starts |
//! | --- | --- |
//! | the first four, in turn | one after the other with a pause; two that overlap |
//! | all others but the last | one |
//! | the last | one, shorter than a sample: a meter may miss it |

use std::time::Duration;

use muster::rng::RngStream;

/// Programs of a script.
pub const PROGRAMS: usize = 8;
/// Samples that a process lives: at the usual minute 2 to 8 minutes.
const LIVES: (u32, u32) = (2, 8);

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Number of its program.
    pub program: usize,
    /// When, since the script began.
    pub at: Duration,
    /// For how long.
    pub life: Duration,
}

/// What a program did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Runs: processes that overlap are one.
    pub runs: u64,
    /// Time during which at least one ran.
    pub time: Duration,
}

/// The program that is shorter than a sample.
pub fn is_short(program: usize) -> bool {
    program + 1 == PROGRAMS
}

/// A script for a meter that samples every `sample`; starts in order.
pub fn draw(sample: Duration, rng: &mut RngStream) -> Vec<Start> {
    let mut between = |least: Duration, most: Duration| {
        let width = most.saturating_sub(least).as_millis() as i64;
        least + Duration::from_millis(rng.below(width + 1).unsigned_abs())
    };
    let (shortest, longest) = (sample * LIVES.0, sample * LIVES.1);
    let mut starts = Vec::new();
    for program in 0..PROGRAMS {
        // Anywhere between two samples.
        let at = between(Duration::ZERO, sample);
        let mut start = |at, life| starts.push(Start { program, at, life });
        if is_short(program) {
            start(at, sample / 2);
        } else if program >= 4 {
            start(at, between(shortest, longest));
        } else if program % 2 == 0 {
            let (first, second) = (between(shortest, longest / 2), between(shortest, longest / 2));
            start(at, first);
            // A pause of more than two samples, so that one of them shows it.
            start(at + first + sample * 5 / 2, second);
        } else {
            // They overlap for two samples at least.
            let first = between(longest / 2, longest);
            let second = at + between(sample / 4, first / 2);
            start(at, first);
            start(second, between(shortest, longest));
        }
    }
    starts.sort_by_key(|start| start.at);
    starts
}

/// What processes that ran from and until these moments come to.
pub fn used(lives: &[(Duration, Duration)]) -> Use {
    let mut lives = lives.to_vec();
    lives.sort();
    let (mut used, mut until) = (Use::default(), Duration::ZERO);
    for (from, to) in lives {
        used.runs += u64::from(used.runs == 0 || from > until);
        used.time += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_script_starts_twelve_processes_of_two_to_eight_minutes_and_a_short_one() {
        for seed in 0..200 {
            let starts = draw(MINUTE, &mut RngStream::new(seed, 0, 0));
            assert_eq!(starts.len(), 12);
            assert!(starts.is_sorted_by_key(|start| start.at));
            for program in 0..PROGRAMS {
                let of = starts.iter().filter(|start| start.program == program);
                let lives: Vec<_> = of.clone().map(|start| (start.at, start.at + start.life)).collect();
                let used = used(&lives);
                let runs = if program < 4 && program % 2 == 0 { 2 } else { 1 };
                assert_eq!(used.runs, runs, "{seed}: {program}");
                let in_bounds = |start: &Start| (2 * MINUTE..=8 * MINUTE).contains(&start.life);
                assert_eq!(of.clone().all(in_bounds), !is_short(program), "{seed}: {program}");
                if let [first, second] = lives[..] {
                    let overlap = first.1.min(second.1).saturating_sub(second.0);
                    let pause = second.0.saturating_sub(first.1);
                    assert!(overlap >= 2 * MINUTE || pause > 2 * MINUTE, "{seed}: {program}");
                }
            }
        }
    }

    #[test]
    fn time_of_processes_that_overlap_counts_once() {
        let at = |secs| Duration::from_secs(secs);
        let lives = [(at(50), at(90)), (at(0), at(60)), (at(10), at(20)), (at(200), at(230))];
        assert_eq!(used(&lives), Use { runs: 2, time: at(120) });
        assert_eq!(used(&[]), Use::default());
    }
}
