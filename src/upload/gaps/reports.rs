//! What agents tell of acknowledged packages, on its way up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::abandoned::Abandoned;
use crate::formats::marks::{Mark, Told, marks_text, read_marks};
use crate::id::Guid;

/// Most reports that wait at one node, one of each agent; beyond, the oldest goes. Its agent tells again.
pub const REPORTS_MAX: usize = 100_000;

/// Most bytes of them together, about.
pub const REPORTS_BYTES_MAX: usize = 24 << 20;

/// What one agent told at its last policy question. It speaks of the agent's own packages only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapReport {
    /// The agent: unproven, as long as nodes have no identities.
    pub agent: Guid,
    /// The node that heard it first.
    pub beacon: Guid,
    /// The last number it used of each stream, as `formats::marks`.
    pub published: Box<str>,
    /// What nodes took of it, as `formats::marks`.
    pub acked: Box<str>,
    /// What it gave up because no node will take it, as `formats::marks`.
    #[serde(default)]
    pub refused: Box<str>,
    /// What a later report took the place of, as `formats::marks`.
    #[serde(default)]
    pub superseded: Box<str>,
}

impl GapReport {
    /// The report of `agent`, and how many of its parts do not read or cannot be: nothing is acknowledged or given up that
    /// was not published. `None` when it tells of neither.
    pub fn heard(agent: Guid, beacon: Guid, told: &Told) -> (Option<GapReport>, usize) {
        let (published, mut bad) = read_marks(&told.published);
        let mut possible = |text: &str| -> Box<str> {
            let (mut marks, wrong) = read_marks(text);
            let before = marks.len();
            marks.retain(|mark| {
                let same = |other: &&Mark| other.stream == mark.stream && other.epoch == mark.epoch;
                published.iter().filter(same).all(|published| mark.last <= published.last)
            });
            bad += wrong + before - marks.len();
            marks_text(&marks).into()
        };
        let (acked, refused, superseded) = (possible(&told.acked), possible(&told.refused), possible(&told.superseded));
        let is_any = ![&acked, &refused, &superseded].into_iter().all(|text| text.is_empty());
        let published = marks_text(&published).into();
        (is_any.then_some(GapReport { agent, beacon, published, acked, refused, superseded }), bad)
    }

    /// The same, when a node below has passed it on: judged as if it were heard here.
    pub fn passed_on(&self) -> (Option<GapReport>, usize) {
        let told = Told {
            published: self.published.to_string(),
            acked: self.acked.to_string(),
            refused: self.refused.to_string(),
            superseded: self.superseded.to_string(),
        };
        GapReport::heard(self.agent, self.beacon, &told)
    }

    /// Adds what it gave up to `known`.
    pub fn abandon(&self, known: &mut Abandoned) {
        read_marks(&self.refused).0.into_iter().for_each(|mark| known.refuse(mark));
        read_marks(&self.superseded).0.into_iter().for_each(|mark| known.supersede(mark));
    }

    /// What nodes took.
    pub fn acked(&self) -> Vec<Mark> {
        read_marks(&self.acked).0
    }

    /// About how many bytes it takes on its way.
    fn bytes(&self) -> usize {
        200 + self.published.len() + self.acked.len() + self.refused.len() + self.superseded.len()
    }
}

/// The newest report of each agent, until the next node has it.
#[derive(Clone, Debug, Default)]
pub struct GapReports {
    by_agent: BTreeMap<Guid, (u64, GapReport)>,
    by_number: BTreeMap<u64, Guid>,
    next: u64,
    bytes: usize,
}

impl GapReports {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_agent.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.by_agent.is_empty()
    }

    /// Takes a report in the place of the last one of its agent.
    pub fn take(&mut self, report: GapReport) {
        let (number, agent) = (self.next, report.agent);
        self.next += 1;
        self.bytes += report.bytes();
        if let Some((before, old)) = self.by_agent.insert(agent, (number, report)) {
            self.by_number.remove(&before);
            self.bytes -= old.bytes();
        }
        self.by_number.insert(number, agent);
        while self.by_agent.len() > REPORTS_MAX || self.bytes > REPORTS_BYTES_MAX {
            let Some((oldest, _)) = self.by_number.first_key_value() else { break };
            self.passed(&[*oldest]);
        }
    }

    /// Those that wait longest, of about `bytes_max` together, at least one, each with its number here.
    pub fn page(&self, bytes_max: usize) -> (Vec<u64>, Vec<GapReport>) {
        let (mut numbers, mut page, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (number, agent) in &self.by_number {
            let Some((_, report)) = self.by_agent.get(agent) else { continue };
            bytes += report.bytes();
            if bytes > bytes_max && !page.is_empty() {
                break;
            }
            numbers.push(*number);
            page.push(report.clone());
        }
        (numbers, page)
    }

    /// The next node has these. What their agents told since stays.
    pub fn passed(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some((_, report)) = self.by_number.remove(number).and_then(|agent| self.by_agent.remove(&agent)) {
                self.bytes -= report.bytes();
            }
        }
    }
}
