//! Words of entitlement documents for what is counted, as types of licences.
//!
//! Only words that mean one type and nothing else are known. A count of cores is none of them: every type that counts
//! cores has minimums or points of its own, and which of them was agreed stands in the contract.
//!
//! Source: reconcile reference, section 3; decision 085.

use std::collections::BTreeMap;

use crate::model::licensing::Metric;

/// Words beside the names of the types.
const SYNONYMS: [(&str, Metric); 17] = [
    ("install", Metric::DEVICE),
    ("installation", Metric::DEVICE),
    ("computer", Metric::DEVICE),
    ("machine", Metric::DEVICE),
    ("workstation", Metric::DEVICE),
    ("concurrent", Metric::CONCURRENT_USER),
    ("socket", Metric::PROCESSOR),
    ("named user plus", Metric::ORACLE_NAMED_USER_PLUS),
    ("nup", Metric::ORACLE_NAMED_USER_PLUS),
    ("processor value unit", Metric::PROCESSOR_VALUE_UNIT),
    ("pvu", Metric::PROCESSOR_VALUE_UNIT),
    ("resource value unit", Metric::RESOURCE_VALUE_UNIT),
    ("rvu", Metric::RESOURCE_VALUE_UNIT),
    ("virtual processor core", Metric::VIRTUAL_PROCESSOR_CORE),
    ("vpc", Metric::VIRTUAL_PROCESSOR_CORE),
    ("device cal", Metric::DEVICE_CAL),
    ("user cal", Metric::USER_CAL),
];

/// Types by the words for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricWords(BTreeMap<String, Metric>);

/// A word as it is compared: its letters and digits in lower case.
fn folded(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Default for MetricWords {
    /// The names of the types and some words beside them.
    fn default() -> MetricWords {
        let mut words = MetricWords(BTreeMap::new());
        (1..).map_while(Metric::new).for_each(|metric| words.set(metric.as_str(), metric));
        SYNONYMS.into_iter().for_each(|(word, metric)| words.set(word, metric));
        words
    }
}

impl MetricWords {
    /// Gives a word its type, in place of the one it has.
    pub fn set(&mut self, word: &str, metric: Metric) {
        self.0.insert(folded(word), metric);
    }

    /// The type of a word; `None`: nobody knows. Case, blanks and hyphens do not count, nor does `per` before it or a
    /// plural's `s`.
    pub fn find(&self, word: &str) -> Option<Metric> {
        let word = folded(word);
        let known = |word: &str| self.0.get(word).or_else(|| self.0.get(word.strip_suffix('s')?)).copied();
        known(&word).or_else(|| known(word.strip_prefix("per")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_one_type_are_known_in_all_their_spellings() {
        let words = MetricWords::default();
        for (word, number) in [
            ("Enterprise", 1),
            ("device", 2),
            ("Devices", 2),
            ("per-device", 2),
            ("Installations", 2),
            ("node_locked", 3),
            ("User", 4),
            ("concurrent users", 5),
            ("concurrent", 5),
            ("site", 12),
            ("NamedUser", 13),
            ("Core Points", 15),
            ("Oracle Processor", 16),
            ("Named User Plus", 17),
            ("PVU", 25),
            ("per processor", 30),
            ("sockets", 30),
            ("VPCs", 43),
            ("IBM VPC", 43),
        ] {
            assert_eq!(words.find(word).map(Metric::number), Some(number), "{word}");
        }
    }

    #[test]
    fn words_that_may_mean_several_types_are_not_guessed() {
        let words = MetricWords::default();
        for word in ["", "s", "per", "core", "cores", "CPU", "server", "floating", "seat", "CAL", "instance", "2"] {
            assert_eq!(words.find(word), None, "{word}");
        }
    }

    #[test]
    fn the_operators_word_goes_before_ours() {
        let mut words = MetricWords::default();
        words.set("Seat", Metric::NAMED_USER);
        words.set("device", Metric::NODE_LOCKED);
        assert_eq!((words.find("seats"), words.find("Device")), (Some(Metric::NAMED_USER), Some(Metric::NODE_LOCKED)));
    }
}
