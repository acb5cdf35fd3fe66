//! What a licence did not take of the applications that it covers, and why.
//!
//! Source: reconcile-files reference, section 5.3.

use std::collections::BTreeMap;

use super::engine::Reconciled;
use crate::model::estate::Number;
use crate::model::reconciliation::{Answer, Reason};

/// Installations that a licence did not take for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub installations: u64,
    /// The first of them: device, application.
    pub first: Vec<(Number, Number)>,
}

/// What `licence` did not take, by reason; of each reason the first `first_max`, ascending by application and device. Cost: one
/// look at each installation of what it covers.
pub fn refusals(found: &Reconciled<'_>, licence: Number, first_max: usize) -> Vec<Refusal> {
    let context = found.context();
    let mut by_reason: BTreeMap<Reason, Refusal> = BTreeMap::new();
    for link in context.links.covered(licence) {
        let (verdicts, codes) = found.verdicts(link.application);
        let reasons: Vec<Option<Reason>> = verdicts
            .iter()
            .map(|verdict| match verdict.answer(licence) {
                Answer::Rejected(reason) => Some(reason),
                Answer::Consumed(_) | Answer::NotAssessed => None,
            })
            .collect();
        let devices = context.estate.installations.of_application(link.application);
        for (&device, &code) in devices.iter().zip(codes) {
            let Some(reason) = reasons[code as usize] else { continue };
            let refusal =
                by_reason.entry(reason).or_insert_with(|| Refusal { reason, installations: 0, first: Vec::new() });
            refusal.installations += 1;
            if refusal.first.len() < first_max {
                refusal.first.push((device, link.application));
            }
        }
    }
    by_reason.into_values().collect()
}
