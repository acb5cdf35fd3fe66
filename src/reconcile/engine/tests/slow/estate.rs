//! The estate (section 2): devices, users, groups, applications, suites, evidence, rules, usage, access.

use std::collections::{BTreeMap, BTreeSet};

use super::cycle::{Edge, lowest_line_on_a_cycle};
use super::number::Number;
use super::schemas;
use super::tables::{Record, read};
use super::text;
use super::warnings::Warnings;

/// One row of devices.csv.
#[derive(Debug)]
pub struct Device {
    pub device: String,
    pub vm: bool,
    pub os: String,
    /// Blank when unknown.
    pub host: String,
    pub cluster: String,
    pub partition: &'static str,
    pub entitled_capacity: Option<Number>,
    pub pool_cores: Option<Number>,
    pub processors: Option<Number>,
    pub cores: Option<Number>,
    pub threads: Option<Number>,
    pub vendor: String,
    pub family: String,
    pub model: String,
    pub bought: Option<i64>,
    pub hosted_in: String,
    pub region: String,
    pub chassis: String,
    pub group: String,
    pub role: String,
    pub assigned_user: String,
    pub calculated_user: String,
    line: usize,
}

impl Device {
    /// "hosted_in (blank or `on-premises`; anything else is a cloud)".
    pub fn cloud(&self) -> bool {
        !matches!(text::fold(&self.hosted_in).as_str(), "" | "on-premises")
    }

    /// "For each user (assigned user, else calculated user)" (section 6.1); blank when there is none.
    pub fn user(&self) -> &str {
        if self.assigned_user.is_empty() { &self.calculated_user } else { &self.assigned_user }
    }

    /// "Portable chassis, folded" (section 6.1).
    pub fn portable(&self) -> bool {
        matches!(
            text::fold(&self.chassis).as_str(),
            "laptop"
                | "notebook"
                | "sub-notebook"
                | "subnotebook"
                | "sub notebook"
                | "portable"
                | "tablet"
                | "hand-held"
                | "other hand-held"
                | "handheld"
        )
    }
}

/// One row of users.csv.
#[derive(Debug)]
pub struct User {
    pub group: String,
    pub builtin: bool,
}

/// One row of applications.csv.
#[derive(Debug)]
pub struct Application {
    pub publisher: String,
    pub product: String,
    pub version: String,
    pub edition: String,
    pub licensable: bool,
    /// Blank when it is no option.
    pub option_of: String,
}

/// The texts both evidence.csv and evidence_rules.csv have.
pub const TEXTS: [&str; 8] = ["name", "version", "publisher", "type", "company", "description", "size", "path"];

/// One row of evidence.csv.
#[derive(Debug)]
pub struct Evidence {
    pub device: String,
    pub kind: &'static str,
    pub texts: BTreeMap<&'static str, String>,
}

/// One row of evidence_rules.csv.
#[derive(Debug)]
pub struct Rule {
    pub rule: Number,
    pub application: String,
    pub kind: &'static str,
    pub texts: BTreeMap<&'static str, String>,
    pub role: &'static str,
}

/// All of section 2.
#[derive(Debug, Default)]
pub struct Estate {
    pub devices: BTreeMap<String, Device>,
    pub users: BTreeMap<String, User>,
    /// Group to parent.
    pub groups: BTreeMap<String, String>,
    pub applications: BTreeMap<String, Application>,
    /// Suite, member, line.
    pub suites: Vec<Edge>,
    pub evidence: Vec<Evidence>,
    pub rules: Vec<Rule>,
    /// Application, device.
    pub installations: BTreeSet<(String, String)>,
    /// Application, device, user.
    pub usage: BTreeMap<(String, String, String), Number>,
    /// Application, device, user; one of the latter may be blank.
    pub access: BTreeSet<(String, String, String)>,
}

impl Estate {
    /// Reads the files of section 2; "bad cell in a file of section 2" is an error.
    pub fn read(files: &BTreeMap<String, String>, warnings: &mut Warnings) -> Result<Estate, String> {
        let mut estate = Estate::default();
        estate.read_devices(files, warnings)?;
        for row in read(files, &schemas::USERS, false)? {
            let user = User { group: owned(&row, "group"), builtin: row.yes("builtin")? };
            estate.users.insert(owned(&row, "user"), user);
        }
        estate.read_groups(files)?;
        estate.read_applications(files, warnings)?;
        for row in read(files, &schemas::SUITES, false)? {
            let (suite, member) = (owned(&row, "suite"), owned(&row, "member"));
            let known = [&suite, &member].map(|application| estate.knows_application(application, warnings));
            if known == [true, true] {
                estate.suites.push((suite, member, row.line));
            }
        }
        estate.read_evidence(files, warnings)?;
        estate.read_use(files, warnings)?;
        Ok(estate)
    }

    fn read_devices(&mut self, files: &BTreeMap<String, String>, warnings: &mut Warnings) -> Result<(), String> {
        for row in read(files, &schemas::DEVICES, true)? {
            let device = Device {
                device: owned(&row, "device"),
                vm: row.word("kind", &["physical", "vm"])? == "vm",
                os: owned(&row, "os"),
                host: owned(&row, "host"),
                cluster: owned(&row, "cluster"),
                partition: row.word("partition", &["soft", "hard", "capped", "uncapped"])?,
                entitled_capacity: row.amount("entitled_capacity")?,
                pool_cores: row.amount("pool_cores")?,
                processors: row.integer("processors", 0)?.filter(|number| !number.is_zero()),
                cores: row.amount("cores")?,
                threads: row.amount("threads")?,
                vendor: owned(&row, "vendor"),
                family: owned(&row, "family"),
                model: owned(&row, "model"),
                bought: row.date("bought")?,
                hosted_in: owned(&row, "hosted_in"),
                region: owned(&row, "region"),
                chassis: owned(&row, "chassis"),
                group: owned(&row, "group"),
                role: owned(&row, "role"),
                assigned_user: owned(&row, "assigned_user"),
                calculated_user: owned(&row, "calculated_user"),
                line: row.line,
            };
            self.devices.insert(device.device.clone(), device);
        }
        let known: BTreeSet<String> = self.devices.keys().cloned().collect();
        for device in self.devices.values_mut() {
            // "also `devices.host` ... the host counts as blank"
            if !device.host.is_empty() && !known.contains(&device.host) {
                warnings.add("unknown_device", "", &device.host);
                device.host.clear();
            }
        }
        let edges = self.devices.values().map(|device| (device.device.clone(), device.host.clone(), device.line));
        match lowest_line_on_a_cycle(&edges.collect::<Vec<_>>()) {
            Some(line) => Err(format!("devices.csv:{line} host: the hosts go in a circle")),
            None => Ok(()),
        }
    }

    fn read_groups(&mut self, files: &BTreeMap<String, String>) -> Result<(), String> {
        let mut edges = Vec::new();
        for row in read(files, &schemas::GROUPS, false)? {
            let (group, parent) = (owned(&row, "group"), owned(&row, "parent"));
            edges.push((group.clone(), parent.clone(), row.line));
            self.groups.insert(group, parent);
        }
        match lowest_line_on_a_cycle(&edges) {
            Some(line) => Err(format!("groups.csv:{line} parent: the groups go in a circle")),
            None => Ok(()),
        }
    }

    fn read_applications(&mut self, files: &BTreeMap<String, String>, warnings: &mut Warnings) -> Result<(), String> {
        for row in read(files, &schemas::APPLICATIONS, true)? {
            let application = Application {
                publisher: owned(&row, "publisher"),
                product: owned(&row, "product"),
                version: owned(&row, "version"),
                edition: owned(&row, "edition"),
                // "yes/no, blank = yes"
                licensable: row.text("licensable").is_empty() || row.yes("licensable")?,
                option_of: owned(&row, "option_of"),
            };
            self.applications.insert(owned(&row, "application"), application);
        }
        let known: BTreeSet<String> = self.applications.keys().cloned().collect();
        for application in self.applications.values_mut() {
            if !application.option_of.is_empty() && !known.contains(&application.option_of) {
                warnings.add("unknown_application", "", &application.option_of);
                application.option_of.clear();
            }
        }
        Ok(())
    }

    fn read_evidence(&mut self, files: &BTreeMap<String, String>, warnings: &mut Warnings) -> Result<(), String> {
        for row in read(files, &schemas::EVIDENCE, false)? {
            let kind = row.word("kind", &["installer", "file"])?;
            let device = owned(&row, "device");
            if self.knows_device(&device, warnings) {
                self.evidence.push(Evidence { device, kind, texts: texts(&row) });
            }
        }
        for row in read(files, &schemas::EVIDENCE_RULES, false)? {
            let rule = Rule {
                rule: row.integer("rule", 0)?.unwrap_or(Number::ZERO),
                application: owned(&row, "application"),
                kind: row.word("kind", &["installer", "file"])?,
                texts: texts(&row),
                role: row.word("role", &["sufficient", "required", "ignored"])?,
            };
            if self.knows_application(&rule.application, warnings) {
                self.rules.push(rule);
            }
        }
        Ok(())
    }

    /// installations.csv, usage.csv and access.csv: "repeated rows ... count once (usage: the largest quantity)".
    fn read_use(&mut self, files: &BTreeMap<String, String>, warnings: &mut Warnings) -> Result<(), String> {
        for row in read(files, &schemas::INSTALLATIONS, false)? {
            if let Some(installation) = self.installation(&row, warnings) {
                self.installations.insert(installation);
            }
        }
        for row in read(files, &schemas::USAGE, false)? {
            let quantity = row.number("quantity")?.unwrap_or(Number::whole(1));
            if let Some((application, device)) = self.installation(&row, warnings) {
                let largest = self.usage.entry((application, device, owned(&row, "user"))).or_insert(quantity);
                *largest = quantity.max(*largest);
            }
        }
        for row in read(files, &schemas::ACCESS, false)? {
            let (application, device) = (owned(&row, "application"), owned(&row, "device"));
            let known_application = self.knows_application(&application, warnings);
            let known_device = device.is_empty() || self.knows_device(&device, warnings);
            if known_application && known_device {
                self.access.insert((application, device, owned(&row, "user")));
            }
        }
        Ok(())
    }

    /// Application and device of a row, when both are known.
    fn installation(&self, row: &Record, warnings: &mut Warnings) -> Option<(String, String)> {
        let (application, device) = (owned(row, "application"), owned(row, "device"));
        let known_device = self.knows_device(&device, warnings);
        let known_application = self.knows_application(&application, warnings);
        (known_device && known_application).then_some((application, device))
    }

    fn knows_device(&self, device: &str, warnings: &mut Warnings) -> bool {
        let known = self.devices.contains_key(device);
        if !known {
            warnings.add("unknown_device", "", device);
        }
        known
    }

    /// Whether it is listed; warns when it is not (section 1).
    pub fn knows_application(&self, application: &str, warnings: &mut Warnings) -> bool {
        let known = self.applications.contains_key(application);
        if !known {
            warnings.add("unknown_application", "", application);
        }
        known
    }

    /// "In it or below"; a blank scope holds everything, "a group named anywhere but not listed is a root".
    pub fn in_scope(&self, group: &str, scope: &str) -> bool {
        let mut group = group;
        while !scope.is_empty() && group != scope {
            match self.groups.get(group) {
                Some(parent) => group = parent,
                None => return false,
            }
        }
        true
    }

    /// The suites that `member` is a member of.
    pub fn suites_of(&self, member: &str) -> BTreeSet<String> {
        self.suites.iter().filter(|(_, of, _)| of == member).map(|(suite, _, _)| suite.clone()).collect()
    }
}

fn owned(row: &Record, column: &str) -> String {
    row.text(column).to_string()
}

fn texts(row: &Record) -> BTreeMap<&'static str, String> {
    TEXTS.iter().map(|column| (*column, owned(row, column))).collect()
}
