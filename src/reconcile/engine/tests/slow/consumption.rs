//! consumption.csv: one row per unit (section 8).

use std::collections::{BTreeMap, BTreeSet};

use super::figure::{Taken, Unit, units_of};
use super::licences::Licence;
use super::number::Number;
use super::persons::user_exemption;
use super::result::LicenceResult;
use super::world::World;

/// The rows of one licence.
pub fn rows(world: &World, licence: &Licence, result: &LicenceResult) -> BTreeSet<Vec<String>> {
    let mut rows = BTreeSet::new();
    let mut add = |unit: &Unit, raw: usize, consumed: Number, reason: &str, exemption: Option<usize>| {
        let exemption = exemption.map_or(String::new(), |number| number.to_string());
        rows.insert(vec![
            licence.license.clone(),
            unit.kind.to_string(),
            unit.id.clone(),
            raw.to_string(),
            consumed.to_string(),
            reason.to_string(),
            exemption,
        ]);
    };
    // "39, 40: the devices or users counted"
    for unit in &result.access.counted {
        match result.access.reached.get(unit) {
            Some(applications) => add(unit, applications.len(), Number::whole(1), "counted", None),
            None => add(unit, 0, Number::whole(1), "no_inventory", None),
        }
    }
    // "A unit counted without inventory: raw 0, consumed 1."
    for unit in &result.figure.without_inventory {
        add(unit, 0, Number::whole(1), "no_inventory", None);
    }
    // "raw = installations of the unit, exempt ones included"; a server billed only because of its cluster has none.
    let mut units: BTreeMap<Unit, Vec<&Taken>> = BTreeMap::new();
    for unit in result.figure.consumed.keys() {
        units.insert(unit.clone(), Vec::new());
    }
    for taken in &result.taken {
        for unit in units_of(world, licence, taken, &result.figure) {
            units.entry(unit).or_default().push(taken);
        }
    }
    for (unit, installations) in &units {
        let consumed = result.figure.consumed.get(unit).copied().unwrap_or(Number::ZERO);
        let (reason, exemption) = reason(licence, result, unit, installations, consumed);
        add(unit, installations.len(), consumed, reason, exemption);
    }
    rows
}

/// "`counted` when consumed > 0 (type 31 whose figure exceeds its total: `not_covered`), `no_inventory`, else `exempt`
/// (exemption = lowest number of its installations), `second_use` (10), `host` (vm_use), `covered`. Types outside the engine:
/// consumed 0, `covered`."
fn reason(
    licence: &Licence,
    result: &LicenceResult,
    unit: &Unit,
    installations: &[&Taken],
    consumed: Number,
) -> (&'static str, Option<usize>) {
    if !licence.in_engine() {
        return ("covered", None);
    }
    if consumed > Number::ZERO {
        let over = result.total.is_some_and(|total| result.today > total);
        return if licence.kind == 31 && over { ("not_covered", None) } else { ("counted", None) };
    }
    let exemptions = installations.iter().filter_map(|taken| taken.exemption).chain(user_exemption(licence, unit));
    if let Some(lowest) = exemptions.min() {
        return ("exempt", Some(lowest));
    }
    match result.figure.free.get(&unit.id) {
        Some(&"second_use") => ("second_use", Some(10)),
        Some(_) => ("host", None),
        None => ("covered", None),
    }
}
