//! What came of one run.

use serde_json::{Map, Value, json};

use crate::drive::Closed;
use crate::report::ledger;

/// See the module's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Everything random came from it.
    pub seed: u64,
    /// Hash of what happened.
    pub digest: u64,
    /// How often invariants were broken.
    pub violations: u64,
    /// Each broken invariant with the first time.
    pub broken: Vec<(&'static str, String)>,
    /// Every probe with its hits.
    pub probes: Vec<(&'static str, u64)>,
    ledger: Value,
}

impl Outcome {
    /// Of a run that has come to its end.
    pub fn of(seed: u64, closed: &Closed) -> Outcome {
        let checks = &closed.stage.book.checks;
        Outcome {
            seed,
            digest: closed.digest,
            violations: checks.violations(),
            broken: checks.broken().map(|(id, first)| (id, first.to_owned())).collect(),
            probes: closed.stage.record.probes().collect(),
            ledger: ledger(&closed.stage, closed.waiting),
        }
    }

    /// As one line.
    pub fn to_json(&self) -> Value {
        let broken = self.broken.iter().map(|(id, first)| json!({ "id": id, "first": first }));
        json!({
            "seed": self.seed,
            "digest": format!("{:016x}", self.digest),
            "violations": self.violations,
            "broken": broken.collect::<Vec<Value>>(),
            "ledger": self.ledger,
            "probes": probes_json(&self.probes),
        })
    }

    /// What is broken, in one line.
    pub fn what(&self) -> String {
        self.broken.iter().map(|(id, first)| format!("{id}: {first}")).collect::<Vec<String>>().join("; ")
    }
}

/// Probes by their names.
pub fn probes_json(probes: &[(&'static str, u64)]) -> Map<String, Value> {
    probes.iter().map(|(name, hits)| ((*name).to_owned(), Value::from(*hits))).collect()
}
