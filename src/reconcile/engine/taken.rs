//! The installations that a licence took, read back from the verdicts: what its working is made of.

use super::component::Fates;
use super::context::Context;
use crate::model::estate::Number;
use crate::model::licensing::Exemption;
use crate::model::reconciliation::{How, Outcome};

/// An installation that a licence took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TakenRow {
    /// Where it is.
    pub device: Number,
    /// What it is.
    pub application: Number,
    /// Why it needs no right, by allocation, role or user.
    pub exemption: Option<Exemption>,
    /// It is in the figure: not exempt, not of a suite that is taken too, not supplementary.
    pub is_counted: bool,
}

/// Applications of which each of so many licences took an installation.
pub fn taken_applications(fates: &[Fates], licences: usize) -> Vec<Vec<Number>> {
    let mut taken: Vec<Vec<Number>> = vec![Vec::new(); licences];
    for (application, of_application) in (0..).zip(fates) {
        for taker in of_application.table.verdicts().iter().filter_map(|verdict| verdict.outcome.taken()) {
            let of_licence = &mut taken[taker.licence as usize];
            if of_licence.last() != Some(&application) {
                of_licence.push(application);
            }
        }
    }
    taken
}

/// What `licence` took of `applications`, ascending by device, then application. `fates` has those of each application.
pub fn taken_by(context: &Context<'_>, fates: &[Fates], licence: Number, applications: &[Number]) -> Vec<TakenRow> {
    let mut rows = Vec::new();
    for &application in applications {
        let of_application = &fates[application as usize];
        let is_taker = |outcome: Outcome| outcome.taken().filter(|taken| taken.licence == licence);
        let is_supplementary = context.links.role(licence, application).is_some_and(|role| role.is_supplementary());
        let devices = context.estate.installations.of_application(application);
        for (&device, &code) in devices.iter().zip(&of_application.codes) {
            let Some(taken) = is_taker(of_application.table.verdict(code).outcome) else { continue };
            let exemption = taken.exemption.filter(|_| !taken.second_use);
            let in_suite = || match taken.how {
                How::Suite => true,
                How::Allocated => has_suite_in(context, fates, application, device, licence),
                _ => false,
            };
            let is_counted = exemption.is_none() && !is_supplementary && !in_suite();
            rows.push(TakenRow { device, application, exemption, is_counted });
        }
    }
    // Stable: what is sorted already, each application's rows, is merged and not sorted anew.
    rows.sort();
    rows
}

/// Whether a suite of `application` on the same device was taken by the same licence.
fn has_suite_in(context: &Context<'_>, fates: &[Fates], application: Number, device: Number, licence: Number) -> bool {
    context.estate.suites.of(application).any(|suite| {
        let Ok(place) = context.estate.installations.of_application(suite).binary_search(&device) else { return false };
        let fates = &fates[suite as usize];
        let code = fates.codes.get(place);
        let taken = code.and_then(|&code| fates.table.verdict(code).outcome.taken());
        taken.is_some_and(|taken| taken.licence == licence)
    })
}
