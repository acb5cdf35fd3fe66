//! The licences (section 3).

use std::collections::{BTreeMap, BTreeSet};

use super::links::Link;
use super::number::Number;
use super::tables::{Record, Spoilt};

/// "The engine's types" (section 5.1).
pub const ENGINE: [usize; 21] = [1, 2, 3, 4, 5, 12, 13, 15, 16, 17, 18, 22, 25, 29, 30, 31, 33, 39, 40, 41, 43];

/// One row of license_applications.csv.
#[derive(Debug)]
pub struct LinkRow {
    pub application: String,
    pub link: Link,
    pub line: usize,
}

/// One row of entitlements.csv.
#[derive(Debug)]
pub struct Entitlement {
    /// `None` is `unlimited`.
    pub quantity: Option<Number>,
    pub effective: Option<i64>,
    pub expiry: Option<i64>,
    pub retired: bool,
}

/// One row of allocations.csv; one of device and user is blank.
#[derive(Debug)]
pub struct Allocation {
    pub device: String,
    pub user: String,
    pub kind: &'static str,
    pub exemption: Option<usize>,
}

/// One row of peaks.csv.
#[derive(Debug)]
pub struct Peak {
    pub region: String,
    pub peak: Number,
    pub since: i64,
}

/// One row of licenses.csv, with the rows of the other files that name it.
#[derive(Debug)]
pub struct Licence {
    pub license: String,
    /// 1 to 45; 0 when the cell is bad.
    pub kind: usize,
    pub scope: String,
    pub true_up: bool,
    pub true_up_date: Option<i64>,
    pub manual_status: String,
    pub quantity: Option<Number>,
    pub allocations_consume: bool,
    pub upgrade: bool,
    pub downgrade: bool,
    pub multiple_use: bool,
    pub second_use: bool,
    /// The inner `None` is `unlimited`.
    pub vm_use: Option<Option<Number>>,
    pub installs_per_right: Option<Number>,
    pub core_cap: Option<Number>,
    pub points_set: String,
    pub sub_capacity: bool,
    pub period_days: Number,
    /// Blank, `SE`, `SE1` or `SE2`.
    pub standard_edition: &'static str,
    pub soft_level: &'static str,
    pub minimum: Option<Number>,
    /// Blank when there is no minimum.
    pub minimum_per: &'static str,
    /// Blank is the default of the type.
    pub rule: &'static str,
    pub count: &'static str,
    pub maintenance: bool,
    pub processors_per_license: Number,
    pub minimum_processors: Number,
    pub vms_per_license: Option<Number>,
    pub resource: &'static str,
    pub steps_set: String,
    pub rows: Vec<LinkRow>,
    pub entitlements: Vec<Entitlement>,
    pub allocations: Vec<Allocation>,
    /// Role to reason.
    pub exempt_roles: BTreeMap<String, usize>,
    pub peaks: Vec<Peak>,
    /// Links by application (section 5.1).
    pub links: BTreeMap<String, Link>,
    /// Its bad cells.
    pub spoils: Spoils,
}

/// Collects bad cells: "counts as blank and spoils only that licence" (section 1).
#[derive(Debug, Default)]
pub struct Spoils(BTreeSet<Spoilt>);

impl Spoils {
    /// The cell, or what a blank one would be.
    pub fn or_blank<T>(&mut self, cell: Result<T, Spoilt>, blank: T) -> T {
        cell.unwrap_or_else(|spoilt| {
            self.add(spoilt);
            blank
        })
    }

    /// Takes a bad cell down.
    pub fn add(&mut self, spoilt: Spoilt) {
        self.0.insert(spoilt);
    }
}

impl Licence {
    /// A row of licenses.csv.
    pub fn new(row: &Record, sets: &Sets) -> Licence {
        let mut spoils = Spoils::default();
        let text = |column: &str| row.text(column).to_string();
        let one = Number::whole(1);
        let mut licence = Licence {
            license: text("license"),
            kind: spoils.or_blank(row.choice("type", 45), None).unwrap_or(0),
            scope: text("scope"),
            true_up: spoils.or_blank(row.yes("true_up"), false),
            true_up_date: spoils.or_blank(row.date("true_up_date"), None),
            manual_status: text("manual_status"),
            quantity: spoils.or_blank(row.number("quantity"), None),
            allocations_consume: spoils.or_blank(row.yes("allocations_consume"), false),
            upgrade: spoils.or_blank(row.yes("upgrade"), false),
            downgrade: spoils.or_blank(row.yes("downgrade"), false),
            multiple_use: spoils.or_blank(row.yes("multiple_use"), false),
            second_use: spoils.or_blank(row.yes("second_use"), false),
            vm_use: spoils.or_blank(row.integer_or_unlimited("vm_use"), None),
            installs_per_right: spoils.or_blank(row.integer("installs_per_right", 1), None),
            core_cap: spoils.or_blank(row.integer("core_cap", 1), None),
            points_set: text("points_set"),
            sub_capacity: spoils.or_blank(row.yes("sub_capacity"), false),
            period_days: spoils.or_blank(row.integer("period_days", 0), None).unwrap_or(Number::whole(91)),
            standard_edition: spoils.or_blank(row.word("standard_edition", &["", "SE", "SE1", "SE2"]), ""),
            soft_level: spoils.or_blank(row.word("soft_level", &["cluster", "host"]), "cluster"),
            minimum: spoils.or_blank(row.integer("minimum", 0), None),
            minimum_per: spoils
                .or_blank(row.word("minimum_per", &["", "processor", "server", "license", "socket"]), ""),
            rule: spoils.or_blank(row.word("rule", &["", "datacenter", "standard", "enterprise"]), ""),
            count: spoils.or_blank(row.word("count", &["host", "vm"]), "host"),
            maintenance: spoils.or_blank(row.yes("maintenance"), false),
            processors_per_license: spoils.or_blank(row.integer("processors_per_license", 1), None).unwrap_or(one),
            minimum_processors: spoils.or_blank(row.integer("minimum_processors", 0), None).unwrap_or(Number::ZERO),
            vms_per_license: spoils.or_blank(row.integer("vms_per_license", 1), None),
            resource: spoils.or_blank(row.word("resource", &["cores", "quantity"]), "cores"),
            steps_set: text("steps_set"),
            rows: Vec::new(),
            entitlements: Vec::new(),
            allocations: Vec::new(),
            exempt_roles: BTreeMap::new(),
            peaks: Vec::new(),
            links: BTreeMap::new(),
            spoils,
        };
        licence.check(row, sets);
        licence
    }

    /// "one per licence: the first by file name, then line, then column order as listed here" (section 1).
    pub fn bad_data(&self) -> Option<&Spoilt> {
        self.spoils.0.first()
    }

    /// What is bad only together with other cells: the other type's word, half a minimum, a set that is not there.
    fn check(&mut self, row: &Record, sets: &Sets) {
        let mut wrong = Vec::new();
        let mut bad = |is_wrong: bool, column: &'static str| {
            if is_wrong {
                wrong.push(row.spoilt(column));
            }
        };
        // "41: `datacenter` default, `standard`; 33: `enterprise` default, `standard`; the other's word is bad data"
        bad(self.kind == 41 && self.rule == "enterprise" || self.kind == 33 && self.rule == "datacenter", "rule");
        // "minimum ..., minimum_per ...: both or neither"
        bad(self.kind == 17 && self.minimum.is_none() && !self.minimum_per.is_empty(), "minimum");
        bad(self.kind == 17 && self.minimum.is_some() && self.minimum_per.is_empty(), "minimum_per");
        // "15, 18 (needed), 25, 16, 17: set in points_rules.csv; one that does not exist is bad data"
        let absent = !self.points_set.is_empty() && !sets.points.contains(&self.points_set);
        bad(matches!(self.kind, 15 | 16 | 17 | 18 | 25) && absent, "points_set");
        bad(matches!(self.kind, 15 | 18) && self.points_set.is_empty(), "points_set");
        bad(self.kind == 31 && !self.steps_set.is_empty() && !sets.steps.contains(&self.steps_set), "steps_set");
        wrong.into_iter().for_each(|spoilt| self.spoils.add(spoilt));
    }

    /// The device's row; "user rows are looked at for types 4 and 13 only, device rows for all but 13" (section 6), and
    /// type 40 has users in place of devices.
    pub fn device_row(&self, device: &str) -> Option<&Allocation> {
        let looked_at = !matches!(self.kind, 13 | 40);
        self.allocations.iter().find(|row| looked_at && !row.device.is_empty() && row.device == device)
    }

    /// The user's row, types 4, 13 and 40.
    pub fn user_row(&self, user: &str) -> Option<&Allocation> {
        let looked_at = matches!(self.kind, 4 | 13 | 40);
        self.allocations.iter().find(|row| looked_at && !row.user.is_empty() && row.user == user)
    }

    /// Types with a formula.
    pub fn in_engine(&self) -> bool {
        ENGINE.contains(&self.kind)
    }

    /// "Types 39 and 40 use their links for access rows and take no installations" (section 5.1).
    pub fn takes_installations(&self) -> bool {
        !matches!(self.kind, 39 | 40)
    }

    /// "Total = sum of quantities in force at as-of ...; `unlimited` if one of them is, and for types 1 and 12" (section 7).
    /// `None` is unlimited.
    pub fn total(&self, as_of: i64) -> Option<Number> {
        if matches!(self.kind, 1 | 12) {
            return None;
        }
        let mut total = Number::ZERO;
        for entitlement in self.entitlements.iter().filter(|entitlement| entitlement.in_force(as_of)) {
            total = total.plus(entitlement.quantity?);
        }
        Some(total)
    }
}

impl Entitlement {
    /// "effective <= as-of <= expiry, blank = open, not retired" (section 7).
    pub fn in_force(&self, as_of: i64) -> bool {
        let begun = self.effective.is_none_or(|effective| effective <= as_of);
        begun && self.expiry.is_none_or(|expiry| as_of <= expiry) && !self.retired
    }
}

/// The names of the sets that have rows.
#[derive(Debug)]
pub struct Sets {
    /// points_rules.csv.
    pub points: BTreeSet<String>,
    /// steps.csv.
    pub steps: BTreeSet<String>,
}
