//! What was found on devices: installers and files by their texts, each distinct one stored once.
//!
//! Source: reconcile-files reference, sections 2 (`evidence.csv`) and 4.

use hashbrown::HashMap;

use super::Number;
use crate::model::recognition::EvidenceKind;

/// The texts of one piece of evidence, as written: name, version, publisher, type, company, description, size, path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceText {
    /// Where it comes from.
    pub kind: EvidenceKind,
    /// The texts in the order above.
    pub texts: [Box<str>; 8],
}

/// A piece of evidence on a device: device, number of its texts.
pub type Found = (Number, Number);

/// All evidence.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Distinct texts, in the order in which they came.
    pub texts: Vec<EvidenceText>,
    /// What was found where; ascending and each once after [`Evidence::sort`].
    pub found: Vec<Found>,
    numbers: HashMap<EvidenceText, Number>,
}

impl Evidence {
    /// Adds a piece of evidence on `device`.
    pub fn add(&mut self, device: Number, text: EvidenceText) {
        let number = match self.numbers.get(&text) {
            Some(&number) => number,
            None => {
                let number = self.texts.len() as Number;
                self.texts.push(text.clone());
                self.numbers.insert(text, number);
                number
            }
        };
        self.found.push((device, number));
    }

    /// To be called after the last piece.
    pub fn sort(&mut self) {
        self.numbers = HashMap::new();
        self.found.sort_unstable();
        self.found.dedup();
    }
}
