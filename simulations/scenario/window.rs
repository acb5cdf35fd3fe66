//! The faults of one run as a list: which node, from when to when.
//!
//! A scenario draws its faults period by period while it runs. For looking closer, the same windows are written out one by
//! one, and a list of them is a scenario again.

use toml::{Table, Value};

use super::fault::{Fault, Target, When};
use super::kind::FaultKind;
use super::parts::Range;
use muster::time::SECOND_MS;

/// A fault at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What.
    pub kind: FaultKind,
    /// Whom: one node.
    pub node: Target,
    /// From when, in milliseconds after the start.
    pub from_ms: i64,
    /// To when, in milliseconds after the start.
    pub to_ms: i64,
}

impl Window {
    /// As a fault that strikes once.
    pub fn fault(&self) -> Fault {
        let lasts = self.to_ms - self.from_ms;
        Fault { kind: self.kind, of: self.node, when: When::At(self.from_ms), for_ms: Range([lasts; 2]), share: 1.0 }
    }

    /// As an entry `[[fault]]` of a scenario file.
    pub fn entry(&self) -> Table {
        // Seconds where they are whole, as a person writes them.
        let secs = |ms: i64| match ms % SECOND_MS {
            0 => Value::Integer(ms / SECOND_MS),
            _ => Value::Float(ms as f64 / SECOND_MS as f64),
        };
        Table::from_iter([
            ("kind".into(), Value::String(self.kind.as_str().into())),
            ("of".into(), Value::String(self.node.to_string())),
            ("at_secs".into(), secs(self.from_ms)),
            ("for_secs".into(), secs(self.to_ms - self.from_ms)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use muster::config::Document;

    #[test]
    fn a_window_that_is_written_is_read_as_the_same_fault() {
        for (from_ms, to_ms) in
            [(0, 1), (86_399_999, 172_800_001), (60_000, 65_000), (315_359_999_777, 315_360_000_000)]
        {
            let window = Window { kind: FaultKind::CutAnswers, node: Target::OneAgent(17), from_ms, to_ms };
            let file = Table::from_iter([("fault".into(), Value::Array(vec![Value::Table(window.entry())]))]);
            let text = toml::to_string(&file).unwrap();
            let scenario = Scenario::read(&Document { text: &text, file: "s" }, Default::default()).unwrap();
            assert_eq!(scenario.faults, [window.fault()], "{text}");
            assert_eq!(scenario.faults[0].window(9, 0, 7, 0), Some((from_ms, to_ms)));
        }
    }
}
