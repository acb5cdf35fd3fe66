//! Types 29 and 31 (section 6.1).

use super::figure::{Figure, Taken, Unit};
use super::hosts::capacity;
use super::licence_rows::Step;
use super::licences::Licence;
use super::number::Number;
use super::world::World;

/// True when the operator's number is the resource: type 29, and 31 with `resource` = `quantity`.
fn by_hand(licence: &Licence) -> bool {
    licence.kind == 29 || licence.resource == "quantity"
}

/// "(blank: 0, status Unknown, warning `quantity_missing`; so also 31 with resource = quantity)".
pub fn quantity_missing(licence: &Licence) -> bool {
    matches!(licence.kind, 29 | 31) && by_hand(licence) && licence.quantity.is_none()
}

/// "29: `quantity`"; "31: resource = sum of capacity (6.2) of the devices, or `quantity`; steps ...; sum rounded up".
pub fn figure(world: &World, licence: &Licence, left: &[Taken]) -> Figure {
    let mut figure = Figure::default();
    let mut resource = licence.quantity.unwrap_or(Number::ZERO);
    if !by_hand(licence) {
        for taken in left {
            let capacity = capacity(world.device(&taken.device)).unwrap_or(Number::ZERO);
            figure.consumed.insert(Unit::device(&taken.device), capacity);
        }
        resource = figure.consumed.values().fold(Number::ZERO, |sum, capacity| sum.plus(*capacity));
    }
    figure.today = resource;
    if licence.kind == 31 {
        figure.today = match world.steps.get(&licence.steps_set) {
            Some(steps) if !licence.steps_set.is_empty() => stepped(resource, steps),
            _ => stepped(resource, &published()),
        };
    }
    if quantity_missing(licence) {
        figure.warnings.insert(("quantity_missing", String::new()));
    }
    figure
}

/// "each part of the resource between two bounds times its rate, what lies above the last bound counts nothing; sum rounded
/// up".
fn stepped(resource: Number, steps: &[Step]) -> Number {
    let (mut sum, mut below) = (Number::ZERO, Number::ZERO);
    for step in steps {
        let reached = step.up_to.map_or(resource, |up_to| resource.min(up_to));
        if reached > below {
            sum = sum.plus(reached.minus(below).times(step.rate));
            below = reached;
        }
    }
    sum.ceil()
}

/// "Cores up to 2,500 at 1.00; 2,501-10,000 at 0.80; 10,001-50,000 at 0.60; 50,001-150,000 at 0.40; above at 0.20."
fn published() -> Vec<Step> {
    [(Some("2500"), "1"), (Some("10000"), "0.8"), (Some("50000"), "0.6"), (Some("150000"), "0.4"), (None, "0.2")]
        .iter()
        .map(|(up_to, rate)| Step {
            up_to: up_to.and_then(Number::parse),
            rate: Number::parse(rate).unwrap_or(Number::ZERO),
        })
        .collect()
}

/// Type 31 by cores needs the capacity of the device.
pub fn missing(world: &World, licence: &Licence, device: &str) -> Option<&'static str> {
    let asked = !by_hand(licence) && capacity(world.device(device)).is_none();
    asked.then_some("core_count_missing")
}
