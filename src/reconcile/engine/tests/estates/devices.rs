//! Devices, users, groups.

use super::draw::Draw;
use super::sheet::Sheet;
use super::theme::Theme;

/// What the other files refer to.
pub struct Devices {
    /// Ids.
    pub devices: Vec<String>,
    /// Ids.
    pub users: Vec<String>,
    /// devices.csv, users.csv, groups.csv.
    pub sheets: Vec<Sheet>,
}

/// A group, or none.
pub fn group(draw: &mut Draw) -> String {
    draw.maybe_pick(75, &["root", "north", "south", "north-1", "alone"])
}

/// The three files.
pub fn devices(draw: &mut Draw, theme: &Theme) -> Devices {
    let users: Vec<String> = (1..=draw.between(2, 6)).map(|number| format!("u{number}")).collect();
    let ids: Vec<String> = (1..=draw.between(theme.devices, 12)).map(|number| format!("d{number}")).collect();
    let ids = draw.shuffled(&ids);
    let mut made = Made {
        // In half of the estates every count is known.
        blank_percent: draw.pick(&[0, 0, 8, 25]),
        vms_percent: draw.pick(theme.vms_percent),
        vms: Vec::new(),
        physical: Vec::new(),
    };
    let mut sheet = Sheet::new(
        "devices.csv",
        &[
            "device",
            "name",
            "kind",
            "os",
            "host",
            "cluster",
            "partition",
            "entitled_capacity",
            "pool_cores",
            "processors",
            "cores",
            "threads",
            "vendor",
            "family",
            "model",
            "bought",
            "hosted_in",
            "region",
            "chassis",
            "group",
            "role",
            "assigned_user",
            "calculated_user",
        ],
    );
    for id in &ids {
        let row = device(draw, id, &mut made, &users);
        sheet.add(&row);
    }
    let mut user_sheet = Sheet::new("users.csv", &["user", "group", "builtin"]);
    for user in &users {
        if draw.chance(85) {
            let builtin = draw.maybe_pick(15, &["yes", "TRUE", "1"]);
            user_sheet.add(&[("user", user.clone()), ("group", group(draw)), ("builtin", builtin)]);
        }
    }
    let mut groups = Sheet::new("groups.csv", &["group", "parent"]);
    for (group, parent) in [("north", "root"), ("south", "root"), ("north-1", "north"), ("alone", "unlisted")] {
        groups.add(&[("group", group.to_string()), ("parent", parent.to_string())]);
    }
    Devices { devices: ids, users, sheets: vec![sheet, user_sheet, groups] }
}

/// How devices are made, and what later virtual machines may be hosted on: never a later one, so there is no circle.
struct Made {
    blank_percent: usize,
    vms_percent: usize,
    vms: Vec<String>,
    physical: Vec<String>,
}

fn device(draw: &mut Draw, id: &str, made: &mut Made, users: &[String]) -> Vec<(&'static str, String)> {
    let vm = !made.physical.is_empty() && draw.chance(made.vms_percent);
    let mut row = vec![("device", id.to_string())];
    let processors = draw.pick(if vm { &[1, 1, 2] } else { &[1, 1, 1, 2, 3, 5] });
    let cores = processors * draw.pick(if vm { &[1, 2, 3] } else { &[1, 2, 4, 8, 10] });
    // A device of which nothing at all is known.
    let bare = draw.chance(made.blank_percent);
    if vm {
        let host = match draw.between(1, 100) {
            1..=8 => String::new(),
            9..=11 => "d98".to_string(),
            12..=30 if !made.vms.is_empty() => draw.pick(&made.vms),
            _ => draw.pick(&made.physical),
        };
        row.push(("kind", draw.pick(&["vm", "VM"]).to_string()));
        row.push(("host", host));
        row.push(("partition", draw.maybe_pick(65, &["soft", "hard", "capped", "uncapped", "Capped", "hard"])));
        row.push(("entitled_capacity", draw.maybe_pick(40, &["0.5", "1.25", "2", "0"])));
        row.push(("pool_cores", draw.maybe_pick(25, &["1", "2.5", "4"])));
        row.push(("hosted_in", draw.maybe_pick(25, &["aws", "azure", "on-premises"])));
        made.vms.push(id.to_string());
    } else {
        row.push(("kind", draw.maybe(50, "physical")));
        row.push(("cluster", draw.maybe_pick(40, &["c1", "c2"])));
        // The host of a physical device means nothing.
        let host = made.physical.first().cloned().unwrap_or_default();
        row.push(("host", draw.maybe(8, &host)));
        row.push(("hosted_in", draw.maybe_pick(15, &["On-Premises", "aws"])));
        made.physical.push(id.to_string());
    }
    let known = if bare { 0 } else { 100 - made.blank_percent };
    row.push(("processors", if draw.chance(6) { "0".to_string() } else { draw.maybe(known, &processors.to_string()) }));
    let half = if draw.chance(5) { ".5" } else { "" };
    row.push(("cores", draw.maybe(known, &format!("{cores}{half}"))));
    row.push(("threads", draw.maybe(if bare { 0 } else { 60 }, &(cores * 2).to_string())));
    row.push(("name", draw.maybe(20, "a, \"b\"")));
    row.push(("os", draw.maybe_pick(80, &["Windows Server 2022", "WINDOWS 11", "Linux", "AIX 7"])));
    row.push(("vendor", draw.maybe_pick(70, &["Intel", "IBM", "HP"])));
    row.push(("family", draw.maybe_pick(80, &["Xeon Gold", "POWER9", "Itanium", "SPARC T4"])));
    row.push(("model", draw.maybe_pick(40, &["E980", "S924"])));
    row.push(("bought", draw.maybe_pick(60, &["2009-03-01", "2010-12-01", "2021-05-05"])));
    row.push(("region", draw.maybe_pick(60, &["americas", "europe"])));
    row.push(("chassis", draw.maybe_pick(75, &["desktop", "Laptop", "LAPTOP", "Sub-Notebook", "tablet", "rack"])));
    row.push(("group", group(draw)));
    row.push(("role", draw.maybe_pick(35, &["test", "backup", "development"])));
    let user = draw.pick(users);
    row.push(("assigned_user", draw.maybe(50, &user)));
    let user = draw.pick(users);
    row.push(("calculated_user", draw.maybe(35, &user)));
    row
}
