//! `licenses.csv`: the terms of licences.
//!
//! Source: reconcile-files reference, section 3.

use super::licence_files::Spoiling;
use super::names::Names;
use super::table::{Form, Row};
use crate::id::shorten;
use crate::model::estate::{Number, Slot};
use crate::model::licensing::{Edition, Licensing, Metric, Minimum, MinimumPer, PERIOD_DAYS, Settings};

/// `licenses.csv`.
pub const LICENSES: Form = Form {
    file: "licenses.csv",
    columns: &[
        "license",
        "name",
        "type",
        "scope",
        "true_up",
        "true_up_date",
        "manual_status",
        "quantity",
        "allocations_consume",
        "upgrade",
        "downgrade",
        "multiple_use",
        "second_use",
        "vm_use",
        "installs_per_right",
        "core_cap",
        "points_set",
        "sub_capacity",
        "period_days",
        "standard_edition",
        "soft_level",
        "minimum",
        "minimum_per",
        "rule",
        "count",
        "maintenance",
        "processors_per_license",
        "minimum_processors",
        "vms_per_license",
        "resource",
        "steps_set",
    ],
    required: &["license", "type"],
    key: &["license"],
};

const POINTS_SET: usize = 16;
const MINIMUM: usize = 21;
const MINIMUM_PER: usize = 22;
const RULE: usize = 23;
const STEPS_SET: usize = 30;

/// What is wrong with the name of a set that is not there.
fn set_problem(name: &str, file: &str) -> String {
    match name {
        "" => format!("is blank: the type needs a set of {file}"),
        name => format!("`{}` is no set of {file}", shorten(name)),
    }
}

/// The type and the terms of a row. What is bad only together is asked of the types that it concerns.
pub fn read_terms(
    row: &Row<'_, '_>,
    licensing: &Licensing,
    names: &mut Names,
    spoiling: &mut Spoiling<'_>,
) -> (Option<Metric>, Settings) {
    let metric = spoiling.or_blank(row.integer_up_to(2, 45)).and_then(Metric::new);
    let is = |types: &[Metric]| metric.is_some_and(|metric| types.contains(&metric));
    let minimum = spoiling.or_blank(row.integer(MINIMUM));
    let per = spoiling.or_blank(row.word(MINIMUM_PER, &["processor", "server", "license", "socket"]));
    let per =
        per.map(|word| [MinimumPer::Processor, MinimumPer::Server, MinimumPer::License, MinimumPer::Socket][word]);
    let minimum = match (minimum, per) {
        (Some(users), Some(per)) => Some(Minimum { users, per }),
        (None, None) => None,
        (half, _) => {
            if is(&[Metric::ORACLE_NAMED_USER_PLUS]) {
                let column = if half.is_some() { MINIMUM_PER } else { MINIMUM };
                spoiling.spoil(column, "is blank: a minimum needs a number and what it is per");
            }
            None
        }
    };
    let rule = spoiling.or_blank(row.word(RULE, &["datacenter", "standard", "enterprise"]));
    let other_word =
        (is(&[Metric::MANAGEMENT_CORE]) && rule == Some(2)) || (is(&[Metric::SERVER_CORE]) && rule == Some(0));
    if other_word {
        spoiling.spoil(RULE, "is the rule of another type: write standard, or datacenter for 41 and enterprise for 33");
    }
    let points = find(row.text(POINTS_SET), licensing.points.iter().map(|set| &*set.name));
    let needs_points = is(&[Metric::CORE_POINTS, Metric::PROCESSOR_POINTS]);
    let may_have_points =
        needs_points || is(&[Metric::PROCESSOR_VALUE_UNIT, Metric::ORACLE_PROCESSOR, Metric::ORACLE_NAMED_USER_PLUS]);
    let names_none = row.text(POINTS_SET).is_empty();
    if points.is_none() && (needs_points || (may_have_points && !names_none)) {
        spoiling.spoil(POINTS_SET, set_problem(row.text(POINTS_SET), "points_rules.csv"));
    }
    let steps = find(row.text(STEPS_SET), licensing.steps.iter().map(|steps| &*steps.name));
    if steps.is_none() && is(&[Metric::RESOURCE_VALUE_UNIT]) && !row.text(STEPS_SET).is_empty() {
        spoiling.spoil(STEPS_SET, set_problem(row.text(STEPS_SET), "steps.csv"));
    }
    let standard_edition = spoiling.or_blank(row.word(19, &["SE", "SE1", "SE2"]));
    let settings = Settings {
        scope: names.group(row.text(3)),
        true_up: spoiling.or_blank(row.yes(4)),
        true_up_date: spoiling.or_blank(row.date(5)),
        manual_status: row.text(6).into(),
        quantity: spoiling.or_blank(row.number(7)),
        allocations_consume: spoiling.or_blank(row.yes(8)),
        upgrade: spoiling.or_blank(row.yes(9)),
        downgrade: spoiling.or_blank(row.yes(10)),
        multiple_use: spoiling.or_blank(row.yes(11)),
        second_use: spoiling.or_blank(row.yes(12)),
        vm_use: spoiling.or_blank(row.vm_use(13)),
        installs_per_right: spoiling.or_blank(row.positive(14)).unwrap_or(1),
        core_cap: spoiling.or_blank(row.positive(15)),
        points,
        sub_capacity: spoiling.or_blank(row.yes(17)),
        period_days: spoiling.or_blank(row.integer(18)).unwrap_or(PERIOD_DAYS),
        standard_edition: standard_edition.map(|word| [Edition::Se, Edition::Se1, Edition::Se2][word]),
        soft_level_host: spoiling.or_blank(row.word(20, &["cluster", "host"])) == Some(1),
        minimum,
        is_standard: rule == Some(1),
        per_vm: spoiling.or_blank(row.word(24, &["host", "vm"])) == Some(1),
        maintenance: spoiling.or_blank(row.yes(25)),
        processors_per_license: spoiling.or_blank(row.positive(26)).unwrap_or(1),
        minimum_processors: spoiling.or_blank(row.integer(27)).unwrap_or(0),
        vms_per_license: spoiling.or_blank(row.positive(28)),
        resource_by_hand: spoiling.or_blank(row.word(29, &["cores", "quantity"])) == Some(1),
        steps,
    };
    (metric, settings)
}

/// The place of a name in a list.
fn find<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<Slot> {
    if name.is_empty() {
        return None;
    }
    (0..).zip(names).find(|(_, known)| *known == name).map(|(place, _): (Number, _)| Slot::new(place))
}
