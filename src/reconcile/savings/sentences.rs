//! What could be saved, in words.

use super::{Idle, Moved, Proposal, Saving, Savings, Step};
use crate::model::decimal::Decimal;
use crate::reconcile::sentences::refusal;

/// Devices that are named of one proposal; all are in its value.
const DEVICES_TOLD: usize = 10;

/// All that was found.
pub fn of_savings(savings: &Savings) -> Vec<String> {
    let mut lines = Vec::new();
    if savings.proposals.is_empty() {
        lines.push("no other order and no other allocation saves anything, as far as was looked".to_owned());
    }
    for (number, proposal) in (1..).zip(&savings.proposals) {
        lines.extend(of_proposal(number, proposal));
    }
    if let Some(together) = &savings.together {
        let numbers: Vec<String> = together.proposals.iter().map(|place| (place + 1).to_string()).collect();
        lines.push(format!("{} together: {}", numbers.join(", "), saved(&together.saving)));
        lines.extend(together.licenses.iter().map(of_moved));
    }
    lines.extend(savings.idle.iter().map(of_idle));
    for hint in &savings.hints {
        let (license, setting) = (&hint.license, hint.setting);
        lines.push(format!(
            "hint: with {setting} = {} `{license}` would use {} in place of {}: look whether the contract has this right",
            hint.value, hint.with_it, hint.consumed
        ));
    }
    let left = match savings.untried {
        0 => "every move in view was tried".to_owned(),
        count => format!("{count} more moves in view were not tried"),
    };
    lines.push(format!("{} reconciles; {left}", savings.runs));
    lines
}

fn of_proposal(number: usize, proposal: &Proposal) -> Vec<String> {
    let mut lines = vec![format!("{number}. {}: {}", of_step(&proposal.step), saved(&proposal.saving))];
    lines.extend(proposal.licenses.iter().map(of_moved));
    lines
}

fn of_step(step: &Step) -> String {
    match step {
        Step::Order { application, license, priorities } => {
            let shown = |priority: Option<u64>| priority.map_or("blank".to_owned(), |priority| priority.to_string());
            let cell =
                |one: &super::Priority| format!("`{}` {} -> {}", one.license, shown(one.before), shown(one.after));
            let cells: Vec<String> = priorities.iter().map(cell).collect();
            format!("ask `{license}` first for `{application}` (priority {})", cells.join(", "))
        }
        Step::Allocate { license, from, devices } => {
            let from = from.as_ref().map_or_else(String::new, |from| format!(" in place of `{from}`"));
            let named: Vec<String> = devices.iter().take(DEVICES_TOLD).map(|device| format!("`{device}`")).collect();
            let more = match devices.len().saturating_sub(DEVICES_TOLD) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("allocate {}{more} to `{license}`{from}", named.join(", "))
        }
    }
}

fn saved(saving: &Saving) -> String {
    let mut parts = Vec::new();
    let one_or = |count: u64, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    if saving.rights.is_positive() {
        let rights = if saving.rights == Decimal::ONE { "right" } else { "rights" };
        parts.push(format!("{} {rights} fewer to buy", saving.rights));
    }
    if saving.licenses > 0 {
        parts.push(format!("{} no longer At Risk", one_or(saving.licenses, "licence", "licences")));
    }
    if saving.installations > 0 {
        let installations = one_or(saving.installations, "installation", "installations");
        parts.push(format!("{installations} no longer unlicensed"));
    }
    parts.join(", ")
}

fn of_moved(moved: &Moved) -> String {
    let used = |used: Option<Decimal>| used.map_or("not calculated".to_owned(), |used| used.to_string());
    let [was, is] = moved.consumed.map(used);
    let [status, becomes] = moved.status.map(|status| status.as_str());
    let consumed = if was == is { is } else { format!("{was} -> {is}") };
    let status = if status == becomes { becomes.to_owned() } else { format!("{status} -> {becomes}") };
    format!("  `{}`: {consumed} used, {} owned, {status}", moved.license, moved.total)
}

fn of_idle(idle: &Idle) -> String {
    let answer = |&(reason, count): &(Option<crate::model::reconciliation::Reason>, u64)| {
        let said = reason.map_or("it was not asked", refusal);
        format!("{count} times: {said}")
    };
    let answers: Vec<String> = idle.answers.iter().map(answer).collect();
    format!(
        "`{}` has {} left while `{}` is over-used; both cover `{}`, of which the latter has {}: {}",
        idle.license,
        idle.available,
        idle.at_risk,
        idle.application,
        idle.installations,
        answers.join("; ")
    )
}
