//! The line that a measurement prints.

use serde_json::{Value, json};

use super::load::Outcome;
use crate::figures::{median, round, thousandths};

/// All rounds: the node's, and the peer's if there is one.
#[derive(Default)]
pub struct Report(Vec<(Outcome, Option<Outcome>)>);

fn per_s(outcome: &Outcome) -> f64 {
    outcome.unchanged as f64 / outcome.seconds
}

fn json_of(outcome: &Outcome) -> Value {
    json!({
        "per_s": round(per_s(outcome)),
        "p50_ms": thousandths(outcome.p50_ms),
        "p99_ms": thousandths(outcome.p99_ms),
        "errors": outcome.errors,
        "client_cpu": outcome.client_cpu.map(thousandths),
    })
}

impl Report {
    /// One more round.
    pub fn add(&mut self, node: Outcome, peer: Option<Outcome>) {
        self.0.push((node, peer));
    }

    /// The whole as one line of JSON: medians over the rounds, the sum of errors, and each round.
    pub fn line(&self) -> String {
        let of_node = |of: &dyn Fn(&Outcome) -> f64| median(self.0.iter().map(|(node, _)| of(node)).collect());
        let of_peer = median(self.0.iter().filter_map(|(_, peer)| peer.as_ref().map(per_s)).collect());
        let ratio = of_node(&per_s).zip(of_peer).map(|(node, peer)| node / peer);
        let round_of = |(node, peer): &(Outcome, Option<Outcome>)| json!({ "node": json_of(node), "peer": peer.as_ref().map(json_of) });
        json!({
            "polls_per_s": of_node(&per_s).map(round),
            "p50_ms": of_node(&|node| node.p50_ms).map(thousandths),
            "p99_ms": of_node(&|node| node.p99_ms).map(thousandths),
            "errors": self.outcomes().flat_map(|outcome| outcome.errors.values()).sum::<u64>(),
            "peer_per_s": of_peer.map(round),
            "ratio": ratio.map(thousandths),
            "rounds": self.0.iter().map(round_of).collect::<Vec<_>>(),
        })
        .to_string()
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.0.iter().flat_map(|(node, peer)| std::iter::once(node).chain(peer))
    }

    /// Why the measurement is none, if so.
    pub fn broken(&self) -> Option<String> {
        if self.outcomes().any(|outcome| outcome.unchanged == 0) {
            return Some("nobody answered 304 in at least one round: see `errors` of each".into());
        }
        let changed: u64 = self.outcomes().filter_map(|outcome| outcome.errors.get("200")).sum();
        (changed > 0).then(|| format!("{changed} answers brought a policy: it has changed meanwhile, measure again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(unchanged: u64) -> Outcome {
        Outcome { unchanged, seconds: 2.0, p50_ms: 1.0, p99_ms: 9.0, ..Outcome::default() }
    }

    #[test]
    fn figures_are_medians_and_the_ratio_is_that_of_medians() {
        let mut report = Report::default();
        report.add(outcome(200), Some(outcome(1_000)));
        report.add(outcome(400), Some(outcome(800)));
        report.add(outcome(900), Some(outcome(10)));
        let line: Value = serde_json::from_str(&report.line()).unwrap();
        assert_eq!((&line["polls_per_s"], &line["peer_per_s"]), (&json!(200.0), &json!(400.0)));
        assert_eq!((&line["ratio"], &line["errors"], &line["p99_ms"]), (&json!(0.5), &json!(0), &json!(9.0)));
        assert_eq!(report.broken(), None);
    }

    #[test]
    fn without_a_peer_there_is_no_ratio_and_a_silent_round_is_no_measurement() {
        let mut report = Report::default();
        report.add(outcome(2), None);
        let line: Value = serde_json::from_str(&report.line()).unwrap();
        assert_eq!((&line["ratio"], &line["peer_per_s"]), (&Value::Null, &Value::Null));
        report.add(outcome(0), None);
        assert!(report.broken().unwrap().contains("304"));
        let mut changed = outcome(9);
        changed.errors.insert("200".into(), 3);
        let mut report = Report::default();
        report.add(outcome(2), Some(changed));
        assert!(report.broken().unwrap().starts_with("3 answers"));
    }
}
