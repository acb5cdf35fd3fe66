//! The line that a measurement prints.

use serde_json::{Value, json};

use super::floor::Floor;
use super::load::Outcome;
use crate::figures::{median, round, thousandths};

/// One run.
struct Run {
    outcome: Outcome,
    floors: Vec<Floor>,
}

/// All runs.
#[derive(Default)]
pub struct Report {
    runs: Vec<Run>,
}

impl Run {
    fn acks_per_s(&self) -> f64 {
        self.outcome.verified as f64 / self.outcome.seconds
    }

    /// The best of what was measured before and after: a floor that is too low would flatter the node.
    fn floor(&self, of: fn(&Floor) -> f64) -> Option<f64> {
        self.floors.iter().map(of).max_by(f64::total_cmp)
    }

    fn ratio(&self, of: fn(&Floor) -> f64) -> Option<f64> {
        self.floor(of).map(|floor| self.acks_per_s() / floor)
    }

    fn json(&self) -> Value {
        json!({
            "acks_per_s": round(self.acks_per_s()),
            "p50_ms": self.outcome.p50_ms,
            "p99_ms": self.outcome.p99_ms,
            "errors": self.outcome.errors,
            "client_cpu": self.outcome.client_cpu.map(thousandths),
            "floor_f1_per_s": self.floors.iter().map(|floor| round(floor.f1_per_s)).collect::<Vec<_>>(),
            "floor_f64_per_s": self.floors.iter().map(|floor| round(floor.f64_per_s)).collect::<Vec<_>>(),
            "ratio_f1": self.ratio(|floor| floor.f1_per_s).map(thousandths),
            "ratio_f64": self.ratio(|floor| floor.f64_per_s).map(thousandths),
        })
    }
}

impl Report {
    /// One more run, with the floors around it.
    pub fn add(&mut self, outcome: Outcome, floors: Vec<Floor>) {
        self.runs.push(Run { outcome, floors });
    }

    /// The whole as one line of JSON: medians over the runs, sums of counts, and each run.
    pub fn line(&self) -> String {
        let all = |of: &dyn Fn(&Run) -> Option<f64>| median(self.runs.iter().filter_map(of).collect());
        let errors: u64 = self.runs.iter().flat_map(|run| run.outcome.errors.values()).sum();
        let verified: u64 = self.runs.iter().map(|run| run.outcome.verified).sum();
        json!({
            "acks_per_s": all(&|run| Some(run.acks_per_s())).map(round),
            "p50_ms": all(&|run| Some(run.outcome.p50_ms)),
            "p99_ms": all(&|run| Some(run.outcome.p99_ms)),
            "receipts_verified": verified,
            "errors": errors,
            "floor_f1_per_s": all(&|run| run.floor(|floor| floor.f1_per_s)).map(round),
            "floor_f64_per_s": all(&|run| run.floor(|floor| floor.f64_per_s)).map(round),
            "ratio_f1": all(&|run| run.ratio(|floor| floor.f1_per_s)).map(thousandths),
            "ratio_f64": all(&|run| run.ratio(|floor| floor.f64_per_s)).map(thousandths),
            "floor_of": "the better of before and after each run",
            "runs": self.runs.iter().map(Run::json).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// Why the measurement is none, if so.
    pub fn broken(&self) -> Option<String> {
        let false_receipts: u64 = self.runs.iter().filter_map(|run| run.outcome.errors.get("receipt")).sum();
        if false_receipts > 0 {
            return Some(format!("{false_receipts} answers were 200 without a receipt for the bytes that were sent"));
        }
        let silent = self.runs.iter().any(|run| run.outcome.verified == 0);
        silent.then(|| "no upload got a receipt in at least one run: see `errors` of each".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verified: u64) -> Outcome {
        Outcome { verified, seconds: 2.0, p50_ms: 1.0, p99_ms: 9.0, ..Outcome::default() }
    }

    #[test]
    fn figures_are_medians_and_floors_are_the_better_ones() {
        let mut report = Report::default();
        let floor = |f1_per_s, f64_per_s| Floor { f1_per_s, f64_per_s };
        report.add(outcome(200), vec![floor(10.0, 50.0), floor(20.0, 40.0)]);
        report.add(outcome(400), vec![floor(20.0, 50.0), floor(10.0, 200.0)]);
        report.add(outcome(600), vec![floor(5.0, 50.0), floor(4.0, 40.0)]);
        let line: Value = serde_json::from_str(&report.line()).unwrap();
        assert_eq!(line["acks_per_s"], 200.0);
        assert_eq!(line["receipts_verified"], 1_200);
        assert_eq!((&line["floor_f1_per_s"], &line["floor_f64_per_s"]), (&json!(20.0), &json!(50.0)));
        assert_eq!((&line["ratio_f1"], &line["ratio_f64"]), (&json!(10.0), &json!(2.0)));
        assert_eq!(report.broken(), None);
    }

    #[test]
    fn without_floors_there_are_no_ratios() {
        let mut report = Report::default();
        report.add(outcome(2), Vec::new());
        let line: Value = serde_json::from_str(&report.line()).unwrap();
        assert_eq!((&line["floor_f1_per_s"], &line["ratio_f64"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_false_receipt_and_a_silent_run_are_no_measurement() {
        let mut report = Report::default();
        report.add(outcome(1), Vec::new());
        report.add(outcome(0), Vec::new());
        assert!(report.broken().unwrap().contains("no upload"));
        let mut bad = outcome(5);
        bad.errors.insert("receipt".into(), 2);
        report.add(bad, Vec::new());
        assert!(report.broken().unwrap().starts_with("2 answers"));
    }
}
