//! Applications, suites, evidence, rules, installations, usage, access.

use super::devices::Devices;
use super::draw::Draw;
use super::sheet::Sheet;
use super::theme::Theme;

/// What the licences refer to.
pub struct Software {
    /// Ids, in an order in which a suite or a primary product stands before what belongs to it.
    pub applications: Vec<String>,
    /// The number of the product of each; never descending.
    pub products: Vec<usize>,
    /// The files of section 2 that are not devices, users and groups.
    pub sheets: Vec<Sheet>,
}

const PRODUCTS: [&str; 4] = ["Writer", "Database", "Server", "Caf\u{e9} Tools"];

/// All the files.
pub fn software(draw: &mut Draw, theme: &Theme, devices: &Devices) -> Software {
    let count = draw.between(2, 8);
    let ids: Vec<String> = (1..=count).map(|number| format!("a{number}")).collect();
    let applications = draw.shuffled(&ids);
    let mut products = Vec::new();
    for _ in 0..count {
        let last = products.last().copied().unwrap_or(0);
        products.push(if draw.chance(50) { last } else { (last + 1).min(PRODUCTS.len() - 1) });
    }
    let mut software = Software { applications, products, sheets: Vec::new() };
    let sheets = vec![
        application_sheet(draw, &software),
        suite_sheet(draw, &software),
        rule_sheet(draw, &software),
        evidence_sheet(draw, devices),
        installation_sheet(draw, theme, devices, &software),
        usage_sheet(draw, devices, &software),
        access_sheet(draw, devices, &software),
    ];
    software.sheets = sheets;
    software
}

fn application_sheet(draw: &mut Draw, software: &Software) -> Sheet {
    let columns = ["application", "publisher", "product", "version", "edition", "licensable", "option_of"];
    let mut sheet = Sheet::new("applications.csv", &columns);
    for (application, product) in software.applications.iter().zip(&software.products) {
        let other = draw.pick(&software.applications);
        let option_of = if draw.chance(2) { "a98".to_string() } else { draw.maybe(25, &other) };
        sheet.add(&[
            ("application", application.clone()),
            ("publisher", draw.pick(&["Acme", "ACME", "acme"]).to_string()),
            ("product", if draw.chance(5) { String::new() } else { PRODUCTS[*product].to_string() }),
            ("version", draw.pick(&["1", "1.0", "2", "2.beta", "10.1", "9", ""]).to_string()),
            ("edition", draw.maybe_pick(15, &["Standard", "Enterprise"])),
            ("licensable", if draw.chance(8) { "no".to_string() } else { draw.maybe(30, "yes") }),
            ("option_of", option_of),
        ]);
    }
    sheet
}

/// An application, or now and then one that is not there.
fn application(draw: &mut Draw, software: &Software) -> String {
    if draw.chance(1) { "a99".to_string() } else { draw.pick(&software.applications) }
}

fn device(draw: &mut Draw, devices: &Devices) -> String {
    if draw.chance(1) { "d99".to_string() } else { draw.pick(&devices.devices) }
}

fn suite_sheet(draw: &mut Draw, software: &Software) -> Sheet {
    let mut sheet = Sheet::new("suites.csv", &["suite", "member"]);
    let count = software.applications.len();
    for _ in 0..draw.between(0, 3) {
        let suite = draw.between(0, count - 1);
        let member = draw.between(0, count - 1);
        let (suite, member) = (&software.applications[suite.min(member)], &software.applications[suite.max(member)]);
        if suite != member && sheet.lacks(&[("suite", suite), ("member", member)]) {
            sheet.add(&[("suite", suite.clone()), ("member", member.clone())]);
        }
    }
    sheet
}

const TEXTS: [&str; 12] = [
    "rule",
    "application",
    "kind",
    "name",
    "version",
    "publisher",
    "type",
    "company",
    "description",
    "size",
    "path",
    "role",
];

fn rule_sheet(draw: &mut Draw, software: &Software) -> Sheet {
    let mut sheet = Sheet::new("evidence_rules.csv", &TEXTS);
    for number in 1..=draw.between(0, 8) {
        let installer = draw.chance(55);
        let mut row = vec![("rule", number.to_string()), ("application", application(draw, software))];
        if installer {
            row.push(("kind", draw.pick(&["installer", "Installer"]).to_string()));
            row.push((
                "name",
                draw.pick(&["acme%", "ACME writer%", "%writer", "caf\u{e9}%", "Acme Writer", ""]).to_string(),
            ));
            row.push(("version", draw.maybe_pick(50, &["10.1.%", "1%", "%"])));
            row.push(("publisher", draw.maybe_pick(40, &["acme%", "<blank>", "%"])));
            row.push(("type", draw.maybe_pick(25, &["msi", "rpm"])));
            // Roles are for file rules; here they mean nothing.
            row.push(("role", draw.maybe_pick(10, &["ignored", "required"])));
        } else {
            row.push(("kind", "file".to_string()));
            row.push(("name", draw.pick(&["writer.exe", "%.exe", "db.exe", "%.dll", "unins%"]).to_string()));
            row.push(("version", draw.maybe_pick(30, &["10.1.%", "1%"])));
            row.push(("company", draw.maybe_pick(20, &["acme", "%me"])));
            row.push(("description", draw.maybe_pick(15, &["the %"])));
            row.push(("size", draw.maybe_pick(15, &["100", "200"])));
            row.push(("path", draw.maybe_pick(35, &["/opt/%", "%bin%"])));
            row.push(("role", draw.maybe_pick(60, &["sufficient", "required", "ignored", "Required"])));
        }
        sheet.add(&row);
    }
    sheet
}

fn evidence_sheet(draw: &mut Draw, devices: &Devices) -> Sheet {
    let mut columns = TEXTS.to_vec();
    columns.retain(|column| !matches!(*column, "rule" | "application" | "role"));
    columns.insert(0, "device");
    let mut sheet = Sheet::new("evidence.csv", &columns);
    for _ in 0..draw.between(0, 10) {
        let mut row = vec![("device", device(draw, devices))];
        if draw.chance(55) {
            row.push(("kind", draw.pick(&["installer", "INSTALLER"]).to_string()));
            let names = ["Acme Writer", "acme writer", "ACME Database", "Cafe\u{301} Tools", "Other"];
            row.push(("name", draw.pick(&names).to_string()));
            row.push(("publisher", draw.maybe_pick(60, &["Acme", "Acme Ltd"])));
            row.push(("type", draw.maybe_pick(60, &["MSI", "rpm"])));
        } else {
            row.push(("kind", "file".to_string()));
            row.push(("name", draw.pick(&["Writer.exe", "db.exe", "core.dll", "unins000.exe", "readme"]).to_string()));
            row.push(("company", draw.maybe_pick(40, &["Acme"])));
            row.push(("description", draw.maybe_pick(30, &["The writer"])));
            row.push(("size", draw.maybe_pick(50, &["100", "200"])));
            row.push(("path", draw.maybe_pick(60, &["/opt/acme/bin", "C:\\Program Files", "/usr/bin"])));
        }
        row.push(("version", draw.maybe_pick(80, &["10.1.126.0000", "10.10.1", "1.0"])));
        sheet.add(&row);
    }
    sheet
}

fn installation_sheet(draw: &mut Draw, theme: &Theme, devices: &Devices, software: &Software) -> Sheet {
    let mut sheet = Sheet::new("installations.csv", &["device", "application"]);
    let density = draw.pick(theme.installed_percent);
    for device in &devices.devices {
        for application in &software.applications {
            if draw.chance(density) {
                sheet.add(&[("device", device.clone()), ("application", application.clone())]);
            }
        }
    }
    if draw.chance(15) {
        sheet.add(&[("device", device(draw, devices)), ("application", "a97".to_string())]);
    }
    sheet
}

fn usage_sheet(draw: &mut Draw, devices: &Devices, software: &Software) -> Sheet {
    let mut sheet = Sheet::new("usage.csv", &["device", "application", "user", "quantity"]);
    for _ in 0..draw.between(0, 16) {
        let user = if draw.chance(5) { "u9".to_string() } else { draw.pick(&devices.users) };
        sheet.add(&[
            ("device", device(draw, devices)),
            ("application", application(draw, software)),
            ("user", user),
            ("quantity", draw.maybe_pick(50, &["1", "3", "13", "2.5", "0"])),
        ]);
    }
    sheet
}

fn access_sheet(draw: &mut Draw, devices: &Devices, software: &Software) -> Sheet {
    let mut sheet = Sheet::new("access.csv", &["application", "device", "user"]);
    for _ in 0..draw.between(0, 10) {
        let (device, user) = (device(draw, devices), draw.pick(&devices.users));
        sheet.add(&[
            ("application", application(draw, software)),
            ("device", draw.maybe(60, &device)),
            ("user", draw.maybe(60, &user)),
        ]);
    }
    sheet
}
