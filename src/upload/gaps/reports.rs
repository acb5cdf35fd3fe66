//! What agents tell of acknowledged packages, on its way up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::formats::marks::{Mark, marks_text, read_marks};
use crate::id::Guid;

/// Most reports that wait at one node, one of each agent; beyond, the oldest goes. Its agent tells again.
pub const REPORTS_MAX: usize = 100_000;

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
}

impl GapReport {
    /// The report of `agent`, and how many of its parts do not read or cannot be: nothing is acknowledged that was not
    /// published. `None` when it tells of no acknowledged package.
    pub fn heard(agent: Guid, beacon: Guid, published: &str, acked: &str) -> (Option<GapReport>, usize) {
        let ((published, bad), (mut acked, bad_acked)) = (read_marks(published), read_marks(acked));
        let before = acked.len();
        acked.retain(|mark| {
            let same = |other: &&Mark| other.stream == mark.stream && other.epoch == mark.epoch;
            published.iter().filter(same).all(|published| mark.last <= published.last)
        });
        let bad = bad + bad_acked + before - acked.len();
        let texts = || (marks_text(&published).into(), marks_text(&acked).into());
        let report = (!acked.is_empty()).then(texts);
        (report.map(|(published, acked)| GapReport { agent, beacon, published, acked }), bad)
    }

    /// The same, when a node below has passed it on: judged as if it were heard here.
    pub fn passed_on(&self) -> (Option<GapReport>, usize) {
        GapReport::heard(self.agent, self.beacon, &self.published, &self.acked)
    }

    /// What nodes took.
    pub fn acked(&self) -> Vec<Mark> {
        read_marks(&self.acked).0
    }

    /// About how many bytes it takes on its way.
    fn bytes(&self) -> usize {
        160 + self.published.len() + self.acked.len()
    }
}

/// The newest report of each agent, until the next node has it.
#[derive(Clone, Debug, Default)]
pub struct GapReports {
    by_agent: BTreeMap<Guid, (u64, GapReport)>,
    by_number: BTreeMap<u64, Guid>,
    next: u64,
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
        if let Some((before, _)) = self.by_agent.insert(agent, (number, report)) {
            self.by_number.remove(&before);
        }
        self.by_number.insert(number, agent);
        if self.by_agent.len() > REPORTS_MAX
            && let Some((_, oldest)) = self.by_number.pop_first()
        {
            self.by_agent.remove(&oldest);
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
            if let Some(agent) = self.by_number.remove(number) {
                self.by_agent.remove(&agent);
            }
        }
    }
}
