//! One thing that goes wrong: at a stated moment, or at a random one of each period.
//!
//! Whom a random one strikes, and when, is a pure function of (seed, fault, node, period): not of what happened before.
//! Source: simulation reference, section 1, the three modelling rules, and section 5, the list of faults.

use muster::config::{ConfigError, Document, nearest};
use muster::rng::mix;
use muster::time::{DAY_MS, HOUR_MS, SECOND_MS};
use serde::Deserialize;
use toml::Spanned;

use super::parts::{Agents, Range, share};

/// What happens to a node while the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It is off. What it had synced is there when it is back.
    Outage,
    /// Its process is killed and started again at the end: as an outage, but short.
    Crash,
    /// What it sends upward never arrives.
    CutRequests,
    /// The answers to what it sends upward never arrive.
    CutAnswers,
    /// Its disk is full: uploads are answered 507.
    DiskFull,
    /// Its disk takes a hundred times as long.
    DiskSlow,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 6] = [
        FaultKind::Outage,
        FaultKind::Crash,
        FaultKind::CutRequests,
        FaultKind::CutAnswers,
        FaultKind::DiskFull,
        FaultKind::DiskSlow,
    ];

    /// Its name in scenarios and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Outage => "outage",
            FaultKind::Crash => "crash",
            FaultKind::CutRequests => "cut-requests",
            FaultKind::CutAnswers => "cut-answers",
            FaultKind::DiskFull => "disk-full",
            FaultKind::DiskSlow => "disk-slow",
        }
    }
}

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
    /// How long, in seconds.
    pub for_secs: Range,
    /// Part of the targets that it strikes in a period.
    pub share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFile {
    kind: Spanned<String>,
    of: Spanned<String>,
    at_secs: Option<Spanned<i64>>,
    every_secs: Option<Spanned<i64>>,
    for_secs: Spanned<Range>,
    share: Option<Spanned<f64>>,
}

const TARGETS: [&str; 7] = ["server", "middle", "leaf", "agent", "laptop", "leaf 0", "middle 0"];

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
        let number = |prefix: &str| written.of.get_ref().strip_prefix(prefix).and_then(|rest| rest.trim().parse().ok());
        let of = match written.of.get_ref().as_str() {
            "server" => Target::Server,
            "middle" => Target::Middle,
            "leaf" => Target::Leaf,
            "agent" => Target::Agent,
            "laptop" => Target::Laptop,
            _ => match (number("leaf "), number("middle ")) {
                (Some(leaf), _) => Target::OneLeaf(leaf),
                (None, Some(middle)) => Target::OneMiddle(middle),
                (None, None) => {
                    let problem =
                        format!("is no node, write one of {}", TARGETS.map(|name| format!("`{name}`")).join(", "));
                    return Err(file.error_at(&written.of, problem));
                }
            },
        };
        let when = match (&written.at_secs, &written.every_secs) {
            (Some(at), None) if *at.get_ref() >= 0 => When::At(at.get_ref() * SECOND_MS),
            (None, Some(every)) if (60..=366 * DAY_MS / SECOND_MS).contains(every.get_ref()) => {
                When::Every(every.get_ref() * SECOND_MS)
            }
            (Some(at), None) => return Err(file.error_at(at, "is before the start, write seconds after it")),
            (None, Some(every)) => return Err(file.error_at(every, "is no period, write 60 to 31622400 seconds")),
            (Some(_), Some(every)) => return Err(file.error_at(every, "stands beside `at_secs`, write one of them")),
            (None, None) => {
                return Err(file.error(Some(fault.span()), "never strikes, write `at_secs` or `every_secs`"));
            }
        };
        let [low, high] = written.for_secs.get_ref().0;
        if low < 1 || high < low || matches!(when, When::Every(every) if high * SECOND_MS > every) {
            return Err(
                file.error_at(&written.for_secs, "is no duration, write seconds as [least, most] within the period")
            );
        }
        if let Some((part, problem)) =
            written.share.as_ref().and_then(|part| Some((part, share(*part.get_ref(), "share")?)))
        {
            return Err(file.error_at(part, problem));
        }
        if kind == FaultKind::DiskFull && matches!(of, Target::Agent | Target::Laptop) {
            return Err(file.error_at(&written.of, "is no node that takes uploads, write `leaf`, `middle` or `server`"));
        }
        let share = written.share.as_ref().map_or(1.0, |part| *part.get_ref());
        Ok(Fault { kind, of, when, for_secs: *written.for_secs.get_ref(), share })
    }

    /// The nights of laptops, when the fleet has any.
    pub(super) fn nights(fleet: &Agents) -> Option<Fault> {
        let [least, most] = fleet.off_hours.0.map(|hours| hours * HOUR_MS / SECOND_MS);
        let (kind, of, when) = (FaultKind::Outage, Target::Laptop, When::Every(DAY_MS));
        (fleet.laptops > 0.0).then_some(Fault { kind, of, when, for_secs: Range([least, most]), share: 1.0 })
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
        let draw = |what: u64| mix(mix(seed, 0xFA17), mix(mix(place as u64, u64::from(node)), mix(period, what)));
        // 53 bits, as many as a float has.
        if (draw(0) >> 11) as f64 / (1u64 << 53) as f64 >= self.share {
            return None;
        }
        let lasts = self.for_secs.pick(draw(1)) * SECOND_MS;
        match self.when {
            When::At(at) => (period == 0).then_some((at, at + lasts)),
            When::Every(every) => {
                let from = Range([0, (every - lasts).max(0)]).pick(draw(2)) + every * period as i64;
                Some((from, from + lasts))
            }
        }
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
        let fault = read("kind = 'crash'\nof = 'middle 2'\nat_secs = 60\nfor_secs = [5, 5]").unwrap();
        assert_eq!(fault.of, Target::OneMiddle(2));
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
