//! What a licence counts, unit by unit: the rows of `consumption.csv`.
//!
//! Source: reconcile-files reference, section 8.

use rayon::prelude::*;

use super::engine::Reconciled;
use super::output::{PART_DEVICES, push};
use crate::model::estate::Number;
use crate::model::folder::cell;
use crate::model::reconciliation::{Unit, UnitId};

/// The rows of the units of a licence, in parts.
pub fn unit_rows(found: &Reconciled<'_>, licence: Number) -> Vec<Vec<u8>> {
    let estate = found.context().estate;
    let mut units = found.working(licence).units;
    let name = |unit: &Unit| match &unit.id {
        UnitId::Device(device) => (false, estate.device_ids.name(*device).to_owned()),
        UnitId::UnknownDevice(id) => (false, id.to_string()),
        UnitId::User(user) => (true, estate.user_ids.name(*user).to_owned()),
    };
    let is_sorted = units.is_sorted_by(|a, b| match (&a.id, &b.id) {
        (UnitId::Device(a), UnitId::Device(b)) | (UnitId::User(a), UnitId::User(b)) => a < b,
        (UnitId::Device(_), UnitId::User(_)) => true,
        _ => false,
    });
    if !is_sorted {
        // A device may stand twice: as a host, and as one that counts without inventory.
        units.sort_by_cached_key(|unit| (name(unit), unit.raw.to_string(), unit.consumed.to_string()));
    }
    let licence = cell(found.context().licensing.ids.name(licence));
    let rows = |units: &[Unit]| {
        let mut text = Vec::with_capacity(units.len() * 48);
        for unit in units {
            let (kind, id) = match &unit.id {
                UnitId::Device(device) => ("device", estate.device_ids.name(*device)),
                UnitId::UnknownDevice(id) => ("device", &**id),
                UnitId::User(user) => ("user", estate.user_ids.name(*user)),
            };
            let (mut raw, mut exempt) = (itoa::Buffer::new(), itoa::Buffer::new());
            let exemption = unit.reason.exemption().map_or("", |one| exempt.format(one.number()));
            let (consumed, reason) = (unit.consumed.to_string(), unit.reason.as_str());
            push(&mut text, &[&licence, kind, &cell(id), raw.format(unit.raw), &consumed, reason, exemption]);
        }
        text
    };
    units.par_chunks(PART_DEVICES as usize).map(rows).collect()
}
