//! One thing that goes wrong: at a stated moment, or at a random one of each period.
//!
//! Whom a random one strikes, and when, is a pure function of (seed, fault, node, period): not of what happened before.
//! Source: simulation reference, section 1, the three modelling rules, and section 5, the list of faults.

use std::fmt;
use std::str::FromStr;

use muster::config::{ConfigError, Document, nearest};
use muster::rng::mix;
use muster::time::{DAY_MS, HOUR_MS, SECOND_MS};
use serde::Deserialize;
use toml::Spanned;

use super::kind::FaultKind;
use super::parts::{Agents, Range, share};

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The server.
    Server,
    /// Every middle beacon, each by its own draw.
    Middle,
    /// Every leaf beacon.
    Leaf,
    /// Every agent.
    Agent,
    /// Every agent that is switched off at night; see `Agents::laptops`.
    Laptop,
    /// One leaf, counted from 0.
    OneLeaf(u32),
    /// One middle beacon, counted from 0.
    OneMiddle(u32),
    /// One agent, counted from 0.
    OneAgent(u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Server => f.write_str("server"),
            Target::Middle => f.write_str("middle"),
            Target::Leaf => f.write_str("leaf"),
            Target::Agent => f.write_str("agent"),
            Target::Laptop => f.write_str("laptop"),
            Target::OneLeaf(number) => write!(f, "leaf {number}"),
            Target::OneMiddle(number) => write!(f, "middle {number}"),
            Target::OneAgent(number) => write!(f, "agent {number}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Target, String> {
        let one = |text: &str| {
            let (level, number) = text.split_once(' ')?;
            let number = number.trim().parse().ok()?;
            match level {
                "leaf" => Some(Target::OneLeaf(number)),
                "middle" => Some(Target::OneMiddle(number)),
                "agent" => Some(Target::OneAgent(number)),
                _ => None,
            }
        };
        match text {
            "server" => Ok(Target::Server),
            "middle" => Ok(Target::Middle),
            "leaf" => Ok(Target::Leaf),
            "agent" => Ok(Target::Agent),
            "laptop" => Ok(Target::Laptop),
            _ => one(text).ok_or_else(|| {
                let names = TARGETS.map(|name| format!("`{name}`")).join(", ");
                format!("is no node, write one of {names}")
            }),
        }
    }
}

/// When it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once, so many milliseconds after the start.
    At(i64),
    /// At a random moment of each period of so many milliseconds.
    Every(i64),
}

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Whom.
    pub of: Target,
    /// When.
    pub when: When,
    /// How long, in milliseconds.
    pub for_ms: Range,
    /// Part of the targets that it strikes in a period.
    pub share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFile {
    kind: Spanned<String>,
    of: Spanned<String>,
    at_secs: Option<Spanned<f64>>,
    every_secs: Option<Spanned<i64>>,
    for_secs: Spanned<Lasts>,
    share: Option<Spanned<f64>>,
}

impl FaultFile {
    /// Whom it strikes, as written.
    pub(super) fn of(&self) -> &Spanned<String> {
        &self.of
    }
}

/// Seconds as [least, most], or as one number.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write seconds as a number or as [least, most]")]
enum Lasts {
    Exactly(f64),
    Between([f64; 2]),
}

/// Whole milliseconds; `None` for what is none of a run's moments.
fn ms(secs: f64) -> Option<i64> {
    let most = 10_000.0 * DAY_MS as f64;
    let ms = (secs * SECOND_MS as f64).round();
    (0.0..=most).contains(&ms).then_some(ms as i64)
}

impl Lasts {
    fn range(self) -> Option<Range> {
        let [low, high] = match self {
            Lasts::Exactly(secs) => [secs, secs],
            Lasts::Between(secs) => secs,
        };
        Some(Range([ms(low)?, ms(high)?]))
    }
}

const TARGETS: [&str; 8] = ["server", "middle", "leaf", "agent", "laptop", "leaf 0", "middle 0", "agent 0"];

impl Fault {
    pub(super) fn read(file: &Document<'_>, fault: &Spanned<FaultFile>) -> Result<Fault, ConfigError> {
        let written = fault.get_ref();
        let kind =
            FaultKind::ALL.into_iter().find(|kind| kind.as_str() == written.kind.get_ref()).ok_or_else(|| {
                let names = FaultKind::ALL.map(FaultKind::as_str);
                let advice = match nearest(written.kind.get_ref(), names) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("write one of {}", names.join(", ")),
                };
                file.error_at(&written.kind, format!("no fault is called `{}`, {advice}", written.kind.get_ref()))
            })?;
        let of = written.of.get_ref().parse().map_err(|problem: String| file.error_at(&written.of, problem))?;
        let when = match (&written.at_secs, &written.every_secs) {
            (Some(at), None) => match ms(*at.get_ref()) {
                Some(ms) => When::At(ms),
                None => return Err(file.error_at(at, "is no moment of a run, write seconds after its start")),
            },
            (None, Some(every)) if (60..=366 * DAY_MS / SECOND_MS).contains(every.get_ref()) => {
                When::Every(every.get_ref() * SECOND_MS)
            }
            (None, Some(every)) => return Err(file.error_at(every, "is no period, write 60 to 31622400 seconds")),
            (Some(_), Some(every)) => return Err(file.error_at(every, "stands beside `at_secs`, write one of them")),
            (None, None) => {
                return Err(file.error(Some(fault.span()), "never strikes, write `at_secs` or `every_secs`"));
            }
        };
        let lasts = written.for_secs.get_ref().range().filter(|Range([low, high])| match when {
            When::At(_) => *low >= 1 && low <= high,
            // What is drawn lasts whole seconds.
            When::Every(every) => {
                *low >= SECOND_MS && low <= high && *high <= every && low % SECOND_MS + high % SECOND_MS == 0
            }
        });
        let Some(for_ms) = lasts else {
            let problem = "is no duration, write seconds as [least, most] within the period";
            return Err(file.error_at(&written.for_secs, problem));
        };
        if let Some((part, problem)) =
            written.share.as_ref().and_then(|part| Some((part, share(*part.get_ref(), "share")?)))
        {
            return Err(file.error_at(part, problem));
        }
        if let Some(problem) = kind.problem(of) {
            return Err(file.error_at(&written.of, problem));
        }
        let share = written.share.as_ref().map_or(1.0, |part| *part.get_ref());
        Ok(Fault { kind, of, when, for_ms, share })
    }

    /// The nights of laptops, when the fleet has any.
    pub(super) fn nights(fleet: &Agents) -> Option<Fault> {
        let for_ms = Range(fleet.off_hours.0.map(|hours| hours * HOUR_MS));
        let (kind, of, when) = (FaultKind::Outage, Target::Laptop, When::Every(DAY_MS));
        (fleet.laptops > 0.0).then_some(Fault { kind, of, when, for_ms, share: 1.0 })
    }

    /// Length of its periods.
    pub fn period_ms(&self) -> Option<i64> {
        match self.when {
            When::At(_) => None,
            When::Every(ms) => Some(ms),
        }
    }

    /// When it strikes node `node` in period `period`: from and to, in milliseconds after the start. `place` is the fault's
    /// place in the scenario.
    pub fn window(&self, seed: u64, place: usize, node: u32, period: u64) -> Option<(i64, i64)> {
        let of =
            |node: u32, what: u64| mix(mix(seed, 0xFA17), mix(mix(place as u64, u64::from(node)), mix(period, what)));
        // 53 bits, as many as a float has.
        if (of(node, 0) >> 11) as f64 / (1u64 << 53) as f64 >= self.share {
            return None;
        }
        let Range([low, high]) = self.for_ms;
        // Neighbours lose their connections within one and the same window.
        let is_common = self.kind == FaultKind::Swizzle && !self.is_of_one();
        let whose = if is_common { u32::MAX } else { node };
        let (from, to) = match self.when {
            When::At(at) => (period == 0).then(|| (at, at + self.for_ms.pick(of(whose, 1))))?,
            When::Every(every) => {
                let lasts = Range([low / SECOND_MS, high / SECOND_MS]).pick(of(whose, 1)) * SECOND_MS;
                let from = Range([0, (every - lasts).max(0)]).pick(of(whose, 2)) + every * period as i64;
                (from, from + lasts)
            }
        };
        if !is_common {
            return Some((from, to));
        }
        let third = Range([0, (to - from) / 3]);
        Some((from + third.pick(of(node, 3)), (to - third.pick(of(node, 4))).max(from + 1)))
    }

    /// Whether it names its only node.
    fn is_of_one(&self) -> bool {
        matches!(self.of, Target::OneLeaf(_) | Target::OneMiddle(_) | Target::OneAgent(_) | Target::Server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Fault, String> {
        let text = format!("[[fault]]\n{text}");
        let scenario = super::super::Scenario::read(&Document { text: &text, file: "s.toml" }, Default::default());
        scenario.map(|scenario| scenario.faults[0]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_random_fault_lies_within_its_period_and_is_the_same_each_time() {
        let fault =
            read("kind = 'outage'\nof = 'leaf'\nevery_secs = 86400\nfor_secs = [3600, 7200]\nshare = 0.5").unwrap();
        let struck: Vec<(i64, i64)> = (0..1_000).filter_map(|node| fault.window(7, 0, node, 3)).collect();
        assert!((400..600).contains(&struck.len()), "{}", struck.len());
        for (from, to) in struck {
            assert!((3 * DAY_MS..4 * DAY_MS).contains(&from) && to <= 4 * DAY_MS);
            assert!((3_600_000..=7_200_000).contains(&(to - from)));
        }
        assert_eq!(fault.window(7, 0, 5, 3), fault.window(7, 0, 5, 3));
        assert_ne!(fault.window(7, 0, 5, 3), fault.window(8, 0, 5, 3));
    }

    #[test]
    fn a_stated_fault_strikes_once() {
        let fault = read("kind = 'crash'\nof = 'middle 0'\nat_secs = 60\nfor_secs = [5, 5]").unwrap();
        assert_eq!(fault.of, Target::OneMiddle(0));
        assert_eq!((fault.window(1, 0, 9, 0), fault.window(1, 0, 9, 1)), (Some((60_000, 65_000)), None));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, part) in [
            (
                "kind = 'outrage'\nof = 'leaf'\nat_secs = 1\nfor_secs = [1, 1]",
                "s.toml:2: `fault[1].kind`: no fault is called `outrage`, did you mean `outage`?",
            ),
            (
                "kind = 'outage'\nof = 'moon'\nat_secs = 1\nfor_secs = [1, 1]",
                "s.toml:3: `fault[1].of`: is no node, write one of `server`,",
            ),
            ("kind = 'outage'\nof = 'leaf'\nfor_secs = [1, 1]", "never strikes, write `at_secs` or `every_secs`"),
            (
                "kind = 'outage'\nof = 'leaf'\nat_secs = 1\nevery_secs = 60\nfor_secs = [1, 1]",
                "s.toml:5: `fault[1].every_secs`: stands beside `at_secs`",
            ),
            (
                "kind = 'outage'\nof = 'leaf'\nevery_secs = 60\nfor_secs = [5, 61]",
                "s.toml:5: `fault[1].for_secs`: is no duration",
            ),
            ("kind = 'disk-full'\nof = 'agent'\nevery_secs = 60\nfor_secs = [5, 6]", "is no node that takes uploads"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
