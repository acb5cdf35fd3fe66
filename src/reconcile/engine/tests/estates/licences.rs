//! The licence side.

use super::devices::{Devices, group};
use super::draw::Draw;
use super::sheet::Sheet;
use super::software::Software;
use super::theme::Theme;

/// The files of section 3.
struct Sheets {
    licenses: Sheet,
    links: Sheet,
    entitlements: Sheet,
    allocations: Sheet,
    roles: Sheet,
    peaks: Sheet,
}

/// All of them.
pub fn licences(draw: &mut Draw, theme: &Theme, devices: &Devices, software: &Software) -> Vec<Sheet> {
    let mut sheets = Sheets {
        licenses: Sheet::new("licenses.csv", &LICENSES),
        links: Sheet::new("license_applications.csv", &["license", "application", "priority", "role", "ratio"]),
        entitlements: Sheet::new("entitlements.csv", &["license", "quantity", "effective", "expiry", "retired"]),
        allocations: Sheet::new("allocations.csv", &["license", "device", "user", "kind", "exemption"]),
        roles: Sheet::new("exempt_roles.csv", &["license", "role", "reason"]),
        peaks: Sheet::new("peaks.csv", &["license", "region", "peak", "since"]),
    };
    let allocated = draw.pick(theme.allocated_percent);
    for number in 1..=draw.between(2, 6) {
        let id = format!("L{number}");
        let kind = draw.pick(theme.types);
        let newer = licence(draw, &id, kind, &mut sheets.licenses);
        links(draw, &id, newer, software, &mut sheets.links);
        entitlements(draw, &id, kind, &mut sheets.entitlements);
        allocations(draw, &id, kind, allocated, devices, &mut sheets.allocations);
        for role in ["test", "backup", "development"] {
            if draw.chance(15) {
                let reason = draw.maybe_pick(60, &["11", "2", "5", "7"]);
                sheets.roles.add(&[("license", id.clone()), ("role", role.to_string()), ("reason", reason)]);
            }
        }
        for region in ["", "americas", "asia"] {
            if draw.chance(if kind == 25 { 40 } else { 1 }) {
                sheets.peaks.add(&[
                    ("license", id.clone()),
                    ("region", region.to_string()),
                    ("peak", draw.pick(&["0", "100", "1200.5", "9000"]).to_string()),
                    ("since", draw.pick(&["2026-06-01", "2026-03-16", "2026-03-15", "2026-05-16"]).to_string()),
                ]);
            }
        }
    }
    unknown_licence(draw, software, &mut sheets);
    bad_cell(draw, &mut sheets);
    let Sheets { licenses, links, entitlements, allocations, roles, peaks } = sheets;
    vec![licenses, links, entitlements, allocations, roles, peaks, points(), steps()]
}

const LICENSES: [&str; 31] = [
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
];

/// One row of licenses.csv; settings of other types appear now and then, and mean nothing. Says whether the licence covers
/// other versions too.
fn licence(draw: &mut Draw, id: &str, kind: usize, sheet: &mut Sheet) -> bool {
    let mut row = vec![("license", id.to_string()), ("type", kind.to_string())];
    let scope = group(draw);
    row.push(("scope", draw.maybe(18, &scope)));
    row.push(("true_up", draw.maybe(15, "yes")));
    row.push(("true_up_date", draw.maybe_pick(40, &["2026-06-15", "2026-06-14", "2027-01-01"])));
    row.push(("manual_status", draw.maybe(4, "in negotiation, see mail")));
    row.push(("quantity", draw.maybe_pick(60, &["0", "7", "2.2", "12345"])));
    row.push(("allocations_consume", draw.maybe(15, "yes")));
    let (upgrade, downgrade) = (draw.chance(25), draw.chance(25));
    row.push(("upgrade", if upgrade { "Yes" } else { "no" }.to_string()));
    row.push(("downgrade", if downgrade { "1" } else { "" }.to_string()));
    row.push(("multiple_use", draw.maybe(50, "yes")));
    row.push(("second_use", draw.maybe(60, "true")));
    row.push(("vm_use", draw.maybe_pick(40, &["0", "1", "2", "unlimited", "Unlimited"])));
    row.push(("installs_per_right", draw.maybe_pick(20, &["1", "2", "3"])));
    row.push(("core_cap", draw.maybe_pick(50, &["4", "32"])));
    let needed = matches!(kind, 15 | 18);
    row.push(("points_set", draw.maybe_pick(if needed { 100 } else { 70 }, &["pvu", "factors", "few"])));
    row.push(("sub_capacity", draw.maybe(60, "yes")));
    row.push(("period_days", draw.maybe_pick(40, &["91", "30", "0"])));
    row.push(("standard_edition", draw.maybe_pick(20, &["SE", "SE1", "se2"])));
    row.push(("soft_level", draw.maybe_pick(60, &["cluster", "host"])));
    if draw.chance(75) {
        row.push(("minimum", draw.pick(&["0", "5", "10", "25"]).to_string()));
        row.push(("minimum_per", draw.pick(&["processor", "server", "server", "license", "socket"]).to_string()));
    }
    row.push((
        "rule",
        draw.maybe_pick(60, if kind == 33 { &["enterprise", "standard"] } else { &["datacenter", "standard"] }),
    ));
    row.push(("count", draw.maybe_pick(50, &["host", "vm"])));
    row.push(("maintenance", draw.maybe(50, "yes")));
    row.push(("processors_per_license", draw.maybe_pick(40, &["1", "2"])));
    row.push(("minimum_processors", draw.maybe_pick(40, &["2", "4"])));
    row.push(("vms_per_license", draw.maybe_pick(40, &["1", "2"])));
    row.push(("resource", draw.maybe_pick(60, &["cores", "quantity"])));
    row.push(("steps_set", draw.maybe(60, "s1")));
    sheet.add(&row);
    upgrade || downgrade
}

/// Links to one to four applications; supplementary ones stand below every primary of the licence, by product when other
/// versions are covered too, so that the levels never go in a circle.
fn links(draw: &mut Draw, id: &str, newer: bool, software: &Software, sheet: &mut Sheet) {
    let count = software.applications.len();
    let mut places: Vec<usize> = (0..count).collect();
    places = draw.shuffled(&places);
    places.truncate(draw.between(1, 4));
    places.sort_unstable();
    let first = places[0];
    let multi_product = draw.chance(35);
    let mut below = false;
    for (rank, place) in places.iter().enumerate() {
        let apart = if newer { software.products[*place] > software.products[first] } else { *place > first };
        // Once one is supplementary, so are all further down.
        below = below || (multi_product && apart && rank > 0);
        let supplementary = below;
        sheet.add(&[
            ("license", id.to_string()),
            ("application", software.applications[*place].clone()),
            ("priority", draw.maybe_pick(40, &["1", "2", "3", "10"])),
            ("role", if supplementary { "supplementary" } else { "" }.to_string()),
            ("ratio", if supplementary { draw.maybe_pick(55, &["0", "0.5", "1", "1.5", "2"]) } else { String::new() }),
        ]);
    }
    if draw.chance(2) {
        sheet.add(&[("license", id.to_string()), ("application", "a96".to_string())]);
    }
}

fn entitlements(draw: &mut Draw, id: &str, kind: usize, sheet: &mut Sheet) {
    let quantities: &[&str] = match kind {
        15 | 18 | 25 => &["0", "100", "500", "2000", "750.5"],
        16 | 17 | 22 | 31 | 33 | 41 | 43 => &["1", "4", "16", "40", "100"],
        _ => &["0", "1", "2", "3", "5", "1.5"],
    };
    for _ in 0..draw.pick(&[0, 1, 1, 1, 1, 2]) {
        let quantity = if draw.chance(8) { "unlimited" } else { draw.pick(quantities) };
        sheet.add(&[
            ("license", id.to_string()),
            ("quantity", quantity.to_string()),
            ("effective", draw.maybe_pick(25, &["2020-01-01", "2026-06-15", "2026-06-16"])),
            ("expiry", draw.maybe_pick(30, &["2026-06-14", "2026-06-15", "2030-12-31"])),
            ("retired", draw.maybe(8, "yes")),
        ]);
    }
}

fn allocations(draw: &mut Draw, id: &str, kind: usize, allocated: usize, devices: &Devices, sheet: &mut Sheet) {
    let often = match kind {
        3 => 60,
        17 => 85,
        13 => 50,
        _ => allocated,
    };
    for (column, ids, unknown) in [("device", &devices.devices, "d97"), ("user", &devices.users, "u97")] {
        let ids: Vec<String> = ids.iter().cloned().chain([unknown.to_string()]).collect();
        for named in ids {
            let wrong_sort = if column == "user" { !matches!(kind, 4 | 13 | 40) } else { matches!(kind, 13 | 40) };
            if draw.chance(if wrong_sort { 3 } else { often }) {
                sheet.add(&[
                    ("license", id.to_string()),
                    (column, named),
                    ("kind", draw.pick(&["", "allocated", "awaiting", "permanent", "Permanent"]).to_string()),
                    ("exemption", draw.maybe_pick(15, &["1", "6", "11", "14"])),
                ]);
            }
        }
    }
}

/// Now and then rows that name a licence that is not there.
fn unknown_licence(draw: &mut Draw, software: &Software, sheets: &mut Sheets) {
    let license = || ("license", "L99".to_string());
    if draw.chance(5) {
        sheets.links.add(&[license(), ("application", software.applications[0].clone())]);
    }
    if draw.chance(5) {
        sheets.allocations.add(&[license(), ("device", "d1".to_string())]);
    }
}

/// In one estate of ten a cell that only spoils its licence.
fn bad_cell(draw: &mut Draw, sheets: &mut Sheets) {
    if !draw.chance(10) {
        return;
    }
    match draw.between(1, 13) {
        1 => sheets.licenses.spoil(draw, "type", "46"),
        2 => sheets.licenses.spoil(draw, "true_up", "perhaps"),
        3 => sheets.licenses.spoil(draw, "vm_use", "-1"),
        4 => sheets.licenses.spoil(draw, "points_set", "absent"),
        5 => sheets.licenses.spoil(draw, "minimum_per", "core"),
        6 => sheets.licenses.spoil(draw, "core_cap", "0"),
        7 => sheets.links.spoil(draw, "priority", "first"),
        8 => sheets.links.spoil(draw, "ratio", "1/2"),
        9 => sheets.entitlements.spoil(draw, "quantity", "many"),
        10 => sheets.entitlements.spoil(draw, "expiry", "2026-02-29"),
        11 => sheets.allocations.spoil(draw, "exemption", "15"),
        12 => sheets.roles.spoil(draw, "reason", "x"),
        _ => sheets.peaks.spoil(draw, "peak", "1e3"),
    };
}

/// Points by processor, and factors; `few` leaves most devices without a rule.
fn points() -> Sheet {
    let columns = [
        "set",
        "rule",
        "vendor",
        "family",
        "model",
        "os",
        "hosted_in",
        "sockets_min",
        "sockets_max",
        "bought_before",
        "points",
    ];
    let mut sheet = Sheet::new("points_rules.csv", &columns);
    let mut add = |set: &str, rule: &str, cells: &[(&'static str, &str)]| {
        let mut row = vec![("set", set.to_string()), ("rule", rule.to_string())];
        row.extend(cells.iter().map(|(column, text)| (*column, (*text).to_string())));
        sheet.add(&row);
    };
    add("pvu", "10", &[("family", "power%"), ("os", "linux%"), ("points", "70")]);
    add("pvu", "9", &[("family", "POWER9"), ("model", "E9%"), ("points", "120")]);
    add("pvu", "20", &[("family", "xeon%"), ("sockets_max", "2"), ("points", "70")]);
    add("pvu", "21", &[("family", "xeon%"), ("sockets_min", "3"), ("sockets_max", "4"), ("points", "100")]);
    add("pvu", "30", &[("hosted_in", "%"), ("vendor", "intel"), ("points", "12.5")]);
    add("factors", "1", &[("family", "itanium"), ("bought_before", "2010-12-01"), ("points", "0.5")]);
    add("factors", "2", &[("family", "sparc%"), ("points", "0.25")]);
    add("factors", "3", &[("family", "xeon%"), ("points", "0.5")]);
    add("factors", "4", &[("vendor", "ibm"), ("points", "1")]);
    add("few", "1", &[("family", "xeon%"), ("hosted_in", "aws"), ("points", "3")]);
    add("few", "2", &[("bought_before", "2015-01-01"), ("points", "0")]);
    sheet
}

/// Steps of which the last is closed: what lies above counts nothing.
fn steps() -> Sheet {
    let mut sheet = Sheet::new("steps.csv", &["set", "up_to", "rate"]);
    for (up_to, rate) in [("10", "0.5"), ("0.5", "100"), ("1", "130"), ("2.5", "74.25"), ("1000", "0.1")] {
        sheet.add(&[("set", "s1".to_string()), ("up_to", up_to.to_string()), ("rate", rate.to_string())]);
    }
    sheet
}
