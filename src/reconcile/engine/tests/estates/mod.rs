//! Small estates made from seeds: the same seed is the same folder, byte for byte.
//!
//! An estate is small enough to be read by eye (3 to 12 devices, 2 to 8 applications, 2 to 6 licences) and full of what the
//! rules turn on: nested virtual machines, clusters, clouds, suites, versions of one product, ties between rules, contested
//! and expired entitlements, every kind of allocation, blanks where a count is needed. It is always accepted (no cell of
//! section 2 is bad, nothing goes in a circle); some licences have a bad cell, some rows name what is not there.

mod devices;
pub mod draw;
mod licences;
mod sheet;
mod software;
mod theme;

use std::collections::BTreeMap;

use draw::Draw;
use sheet::Sheet;

/// The date the estates are made for.
pub const AS_OF: &str = "2026-06-15";

/// The estate of a seed: file name to text.
pub fn estate(seed: u64) -> BTreeMap<String, String> {
    let mut draw = Draw::new(seed);
    let theme = draw.pick(&theme::THEMES);
    let devices = devices::devices(&mut draw, theme);
    let software = software::software(&mut draw, theme, &devices);
    let licences = licences::licences(&mut draw, theme, &devices, &software);
    let sheets = devices.sheets.into_iter().chain(software.sheets).chain(licences);
    sheets.filter(Sheet::needed).map(|sheet| (sheet.file.to_string(), sheet.text(&mut draw))).collect()
}

#[cfg(test)]
mod tests;
