//! What programs start when and live how long, and what a meter has to tell of it.
//!
//! | program | starts |
//! | --- | --- |
//! | the first four, in turn | one after the other with a pause; two that overlap |
//! | the next two, of one package | one each, at one time |
//! | the family | one, with two children of its own program, which go on for a while when it has ended |
//! | the last | one, shorter than a sample: a meter may miss it |
//!
//! Whatever the script starts is one run, since its parent is the drill, another program; it lasts until the last of its
//! processes has ended.

use std::time::Duration;

use muster::rng::RngStream;

/// Programs of a script.
pub const PROGRAMS: usize = 8;
/// The two programs of one package.
pub const PAIR: [usize; 2] = [4, 5];
/// The program that starts children of its own.
pub const FAMILY: usize = 6;
/// Samples that a process lives: at the usual minute 2 to 8 minutes.
const LIVES: (u32, u32) = (2, 8);

/// One process, or a parent with its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Number of its program.
    pub program: usize,
    /// When, since the script began.
    pub at: Duration,
    /// For how long.
    pub life: Duration,
    /// When a parent ends before its children, since the script began.
    pub orphans_at: Option<Duration>,
}

/// What a program did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Starts.
    pub runs: u64,
    /// How long they lasted, together.
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
        let mut start = |at, life| starts.push(Start { program, at, life, orphans_at: None });
        if is_short(program) {
            start(at, sample / 2);
        } else if program == FAMILY {
            // A sample shows them together, and a later one the children alone.
            let life = between(longest / 2, longest);
            starts.push(Start { program, at, life, orphans_at: Some(at + life / 2) });
        } else if program >= PAIR[0] {
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

/// What runs from and until these moments come to.
pub fn used(lives: &[(Duration, Duration)]) -> Use {
    let time = lives.iter().map(|(from, to)| to.saturating_sub(*from)).sum();
    Use { runs: lives.len() as u64, time }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_script_starts_eleven_runs_of_two_to_eight_minutes_and_a_short_one() {
        for seed in 0..200 {
            let starts = draw(MINUTE, &mut RngStream::new(seed, 0, 0));
            assert_eq!(starts.len(), 12);
            assert!(starts.is_sorted_by_key(|start| start.at));
            for program in 0..PROGRAMS {
                let of = starts.iter().filter(|start| start.program == program);
                let lives: Vec<_> = of.clone().map(|start| (start.at, start.at + start.life)).collect();
                assert_eq!(lives.len(), if program < 4 { 2 } else { 1 }, "{seed}: {program}");
                let in_bounds = |start: &Start| (2 * MINUTE..=8 * MINUTE).contains(&start.life);
                assert_eq!(of.clone().all(in_bounds), !is_short(program), "{seed}: {program}");
                if let [first, second] = lives[..] {
                    let overlap = first.1.min(second.1).saturating_sub(second.0);
                    let pause = second.0.saturating_sub(first.1);
                    assert!(overlap >= 2 * MINUTE || pause > 2 * MINUTE, "{seed}: {program}");
                    assert_eq!(overlap.is_zero(), program % 2 == 0, "{seed}: {program}");
                }
                for start in of {
                    assert_eq!(start.orphans_at.is_some(), program == FAMILY, "{seed}: {program}");
                    let is_seen =
                        |at: Duration| at >= start.at + 2 * MINUTE && at + 2 * MINUTE <= start.at + start.life;
                    assert!(start.orphans_at.is_none_or(is_seen), "{seed}: {program}");
                }
            }
        }
    }

    #[test]
    fn each_start_is_a_run_whose_time_counts_whatever_else_runs() {
        let at = |secs| Duration::from_secs(secs);
        let lives = [(at(50), at(90)), (at(0), at(60)), (at(200), at(230))];
        assert_eq!(used(&lives), Use { runs: 3, time: at(130) });
        assert_eq!(used(&[]), Use::default());
    }
}
