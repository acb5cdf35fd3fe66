//! Rights that nobody uses while others are over-used, and why.

use std::collections::{BTreeMap, BTreeSet};

use super::Idle;
use super::measure::Measure;
use crate::model::estate::Number;
use crate::model::reconciliation::{Answer, Reason};
use crate::reconcile::engine::Reconciled;

/// For each over-used licence, application and other licence with room for it what that one said.
pub fn idle(found: &Reconciled<'_>, plain: &Measure) -> Vec<Idle> {
    let (context, mut all) = (found.context(), Vec::new());
    let name = |licence: Number| context.licensing.ids.name(licence).to_owned();
    for over in plain.over_used() {
        let applications: BTreeSet<Number> = found.taken_by(over).iter().map(|row| row.application).collect();
        for application in applications {
            let (verdicts, codes) = found.verdicts(application);
            let mut counts = vec![0_u64; verdicts.len()];
            codes.iter().for_each(|&code| counts[code as usize] += 1);
            let of_licence = || {
                verdicts.iter().zip(&counts).filter(|(verdict, count)| {
                    **count > 0 && verdict.outcome.taken().is_some_and(|taken| taken.licence == over)
                })
            };
            for candidate in context.links.candidates(application) {
                let licence = candidate.licence;
                let Some(available) = plain.room(licence).filter(|_| licence != over) else { continue };
                let mut answers: BTreeMap<Option<Reason>, u64> = BTreeMap::new();
                for (verdict, count) in of_licence() {
                    let answer = match verdict.answer(licence) {
                        Answer::Rejected(reason) => Some(reason),
                        Answer::Consumed(_) | Answer::NotAssessed => None,
                    };
                    *answers.entry(answer).or_default() += count;
                }
                all.push(Idle {
                    license: name(licence),
                    available,
                    at_risk: name(over),
                    application: context.estate.application_ids.name(application).to_owned(),
                    installations: answers.values().sum(),
                    answers: answers.into_iter().collect(),
                });
            }
        }
    }
    all
}
