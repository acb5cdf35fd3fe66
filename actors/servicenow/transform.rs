//! From a staged computer to `cmdb_ci_computer` and its company: the transform maps of the inventory import.
//!
//! Source: servicenow reference, section 5: columns, conversions, class of a computer and order of matching.

use muster::time::Timestamp;

use super::schema::schema;
use super::store::Edit;
use super::tables::{Record, SysId};

/// Most network adapters of one computer.
const ADAPTERS_MAX: usize = 64;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A computer was made.
    Inserted,
    /// One was found, and changed or left as it was.
    Updated,
    /// Left out by a property.
    Ignored,
    /// Could not be brought in.
    Error,
}

impl Outcome {
    /// The word of the Import Set API and of `sys_import_state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Inserted => "inserted",
            Outcome::Updated => "updated",
            Outcome::Ignored => "ignored",
            Outcome::Error => "error",
        }
    }
}

/// A row that was transformed.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// What became of it.
    pub outcome: Outcome,
    /// The computer.
    pub target: Option<(&'static str, SysId)>,
    /// Why, when it is not simply in; and what was left blank.
    pub comment: String,
}

/// Brings the staged computer `row` into the tables.
pub fn computer(edit: &mut Edit<'_>, row: &Record) -> Transformed {
    let row = row.clone();
    let get = |name: &str| row.text(name).trim().to_owned();
    let found = match find(edit, &get("u_serialnumber"), &get("u_computerid"), &get("u_computername")) {
        Ok(found) => found,
        Err(comment) => return Transformed { outcome: Outcome::Error, target: None, comment },
    };
    if get("u_computername").is_empty() && get("u_serialnumber").is_empty() && get("u_computerid").is_empty() {
        let comment = "the row has no ComputerID, no ComputerName and no SerialNumber".to_owned();
        return Transformed { outcome: Outcome::Error, target: None, comment };
    }
    let (property, outcome) = match found {
        Some(_) => ("inventory.update", Outcome::Updated),
        None => ("inventory.add", Outcome::Inserted),
    };
    let refuses = |record: &Record| matches!(record.text("value").to_lowercase().as_str(), "no" | "false");
    if edit.tables().first("sys_properties", "name", property).is_some_and(refuses) {
        let comment = format!("the property `{property}` is No");
        return Transformed { outcome: Outcome::Ignored, target: None, comment };
    }
    let mut blanks = Vec::new();
    let manufacturer = company(edit, &get("u_manufacturer"));
    let model = model(edit, &row, &manufacturer);
    let class = class_of(&get("u_computertype"), &get("u_operatingsystem"));
    let assigned = edit.tables().first("sys_user", "user_name", &get("u_assigneduser"));
    let assigned = assigned.map(|user| user.sys_id.to_string()).unwrap_or_default();
    let cores = per(&get("u_numberofcores"), &get("u_numberofprocessors"), "cores per processor", &mut blanks);
    let threads = per(&get("u_numberoflogicalprocessors"), &get("u_numberofcores"), "threads per core", &mut blanks);
    let virtual_machine = if get("u_vmtype").is_empty() { "" } else { "true" };
    let columns = [
        ("correlation_id", get("u_computerid")),
        ("name", get("u_computername")),
        ("serial_number", get("u_serialnumber")),
        ("manufacturer", manufacturer),
        ("model_id", model),
        ("os", get("u_operatingsystem")),
        ("os_version", get("u_osversion")),
        ("os_service_pack", get("u_servicepack")),
        ("os_domain", get("u_domain")),
        ("ram", whole(&get("u_totalmemory")).map(|bytes| (bytes >> 20).to_string()).unwrap_or_default()),
        ("disk_space", whole(&get("u_totaldiskspace")).map(gigabytes).unwrap_or_default()),
        ("cpu_speed", get("u_maxclockspeed")),
        ("cpu_type", get("u_processortype")),
        ("cpu_name", get("u_processortype")),
        ("cpu_count", get("u_numberofprocessors")),
        ("cpu_core_count", cores),
        ("cpu_core_thread", threads),
        ("chassis_type", get("u_chassistype")),
        ("form_factor", get("u_chassistype")),
        ("virtual", virtual_machine.to_owned()),
        ("assigned_to", assigned),
        ("last_discovered", time(&get("u_lastinventorydate"), &mut blanks)),
        ("discovery_source", "muster".to_owned()),
    ];
    // What the row does not know is left as it stands: another source may know it.
    let columns = columns.into_iter().filter(|(_, value)| !value.is_empty());
    let table = schema().table("cmdb_ci").expect("the table exists");
    let sys_id = match found {
        Some(sys_id) => {
            edit.update(table, sys_id, columns);
            edit.reclassify(sys_id, class);
            sys_id
        }
        None => edit.insert(class, columns),
    };
    serial_numbers(edit, sys_id, &get("u_serialnumber"), &get("u_uuid"));
    adapters(edit, sys_id, &get("u_macaddress"), &get("u_ipaddress"));
    Transformed { outcome, target: Some((class, sys_id)), comment: blanks.join("; ") }
}

/// The computer that a row is about. Two different serial numbers are never one computer.
fn find(edit: &Edit<'_>, serial: &str, id: &str, name: &str) -> Result<Option<SysId>, String> {
    let tables = edit.tables();
    let table = schema().table("cmdb_ci_computer").expect("the table exists");
    let same = |left: &str, right: &str| left.eq_ignore_ascii_case(right);
    let narrow = |mut hits: Vec<SysId>| -> Result<Option<SysId>, String> {
        hits.sort_unstable();
        hits.dedup();
        for (column, value) in [("correlation_id", id), ("name", name)] {
            if hits.len() < 2 {
                break;
            }
            let equal = |hit: &SysId| tables.get(table, *hit).is_some_and(|record| same(record.text(column), value));
            let fewer: Vec<SysId> = hits.iter().copied().filter(equal).collect();
            if !fewer.is_empty() {
                hits = fewer;
            }
        }
        match hits[..] {
            [] => Ok(None),
            [hit] => Ok(Some(hit)),
            _ => Err(format!("multi match: {} computers have the serial number of the row", hits.len())),
        }
    };
    let fits = |record: &Record| {
        let known = record.text("serial_number");
        serial.is_empty() || known.is_empty() || same(known, serial)
    };
    let by_serial = tables.find("cmdb_ci_computer", "serial_number", serial).map(|record| record.sys_id).collect();
    if let Some(hit) = narrow(by_serial)? {
        return Ok(Some(hit));
    }
    let by_table = tables.find("cmdb_serial_number", "serial_number", serial);
    let by_table =
        by_table.filter(|record| record.text("valid") == "true" && record.text("serial_number_type") == "system");
    let by_table = by_table.filter_map(|record| tables.get(table, record.text("cmdb_ci").parse().ok()?));
    if let Some(hit) = narrow(by_table.filter(|record| fits(record)).map(|record| record.sys_id).collect())? {
        return Ok(Some(hit));
    }
    for column in ["correlation_id", "name"] {
        let value = if column == "name" { name } else { id };
        let hits: Vec<&Record> = tables.find("cmdb_ci_computer", column, value).filter(|record| fits(record)).collect();
        if let [hit] = hits[..] {
            return Ok(Some(hit.sys_id));
        }
    }
    Ok(None)
}

fn company(edit: &mut Edit<'_>, name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let known = edit.tables().first("core_company", "name", name).map(|company| company.sys_id);
    let set = [("name", name.to_owned()), ("manufacturer", "true".to_owned())];
    known.unwrap_or_else(|| edit.insert("core_company", set)).to_string()
}

fn model(edit: &mut Edit<'_>, row: &Record, manufacturer: &str) -> String {
    let number = row.text("u_modelno").trim();
    if number.is_empty() {
        return String::new();
    }
    let set = [
        ("model_number", number.to_owned()),
        ("name", number.to_owned()),
        ("type", row.text("u_chassistype").to_owned()),
        ("cmdb_model_category", row.text("u_computertype").to_owned()),
        ("manufacturer", manufacturer.to_owned()),
    ];
    match edit.tables().first("cmdb_model", "model_number", number).map(|model| model.sys_id) {
        Some(sys_id) => {
            let table = schema().table("cmdb_model").expect("the table exists");
            edit.update(table, sys_id, set.into_iter().filter(|(_, value)| !value.is_empty()));
            sys_id.to_string()
        }
        None => edit.insert("cmdb_model", set).to_string(),
    }
}

fn serial_numbers(edit: &mut Edit<'_>, computer: SysId, serial: &str, uuid: &str) {
    for (kind, value) in [("system", serial), ("uuid", uuid)] {
        let owner = computer.to_string();
        let same = |row: &Record| row.text("serial_number_type") == kind && row.text("serial_number") == value;
        let has = edit.tables().find("cmdb_serial_number", "cmdb_ci", &owner).any(same);
        if value.is_empty() || has {
            continue;
        }
        let set = [
            ("cmdb_ci", owner),
            ("serial_number", value.to_owned()),
            ("serial_number_type", kind.to_owned()),
            ("valid", "true".to_owned()),
        ];
        edit.insert("cmdb_serial_number", set);
    }
}

/// Addresses come as two lists separated by `;`, in the same order where they belong together.
fn adapters(edit: &mut Edit<'_>, computer: SysId, macs: &str, ips: &str) {
    let list = |text: &str| text.split(';').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let (macs, ips) = (list(macs), list(ips));
    let table = schema().table("cmdb_ci_network_adapter").expect("the table exists");
    for index in 0..macs.len().max(ips.len()).min(ADAPTERS_MAX) {
        let mac = macs.get(index).map(|mac| mac_address(mac)).unwrap_or_default();
        let ip = ips.get(index).cloned().unwrap_or_default();
        let (key, value) = if mac.is_empty() { ("ip_address", &ip) } else { ("mac_address", &mac) };
        if value.is_empty() {
            continue;
        }
        let owner = computer.to_string();
        let same = |adapter: &&Record| adapter.text(key) == value;
        let known = edit.tables().find("cmdb_ci_network_adapter", "cmdb_ci", &owner).find(same);
        match known.map(|adapter| adapter.sys_id) {
            Some(sys_id) if !ip.is_empty() => {
                edit.update(table, sys_id, [("ip_address", ip)]);
            }
            Some(_) => {}
            None => {
                let set = [("name", value.clone()), ("cmdb_ci", owner), ("mac_address", mac), ("ip_address", ip)];
                edit.insert("cmdb_ci_network_adapter", set);
            }
        }
    }
}

/// Lower case, colons, two digits each; empty when it is no MAC address.
fn mac_address(text: &str) -> String {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let digits: String = match parts.len() {
        6 => parts.iter().map(|part| format!("{part:0>2}")).collect(),
        _ => text.replace('.', ""),
    };
    if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return String::new();
    }
    let digits = digits.to_lowercase();
    (0..6).map(|part| &digits[2 * part..2 * part + 2]).collect::<Vec<_>>().join(":")
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / (1u64 << 30) as f64)
}

/// `total` for each of `of`; blank, and said so, when that is no whole number.
fn per(total: &str, of: &str, what: &str, blanks: &mut Vec<String>) -> String {
    let (Some(total), Some(of)) = (whole(total), whole(of)) else { return String::new() };
    if of == 0 || total % of != 0 {
        blanks.push(format!("{what} left blank: {total} for {of} is not whole"));
        return String::new();
    }
    (total / of).to_string()
}

/// A time as a column holds it; ISO forms are read too.
fn time(text: &str, blanks: &mut Vec<String>) -> String {
    if text.is_empty() {
        return String::new();
    }
    let plain = format!("{}Z", text.replacen(' ', "T", 1));
    match Timestamp::from_rfc3339(text).or_else(|| Timestamp::from_rfc3339(&plain)) {
        Some(at) => muster::export::servicenow_time(at),
        None => {
            blanks.push("last_discovered left blank: LastInventoryDate is no time".to_owned());
            String::new()
        }
    }
}

/// The CI class, first hit wins.
fn class_of(kind: &str, os: &str) -> &'static str {
    let os = os.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| os.contains(word));
    if kind.eq_ignore_ascii_case("VM Host") {
        return match () {
            () if has(&["microsoft", "windows"]) => "cmdb_ci_hyper_v_server",
            () if has(&["vmware"]) => "cmdb_ci_esx_server",
            () => "cmdb_ci_virtualization_server",
        };
    }
    match () {
        () if has(&["aix"]) => "cmdb_ci_aix_server",
        () if has(&["solaris", "sun os"]) => "cmdb_ci_solaris_server",
        () if has(&["os x"]) && has(&["server"]) => "cmdb_ci_osx_server",
        () if has(&["hp-ux"]) => "cmdb_ci_hpux_server",
        () if has(&["unix"]) => "cmdb_ci_unix_server",
        () if has(&["linux", "ubuntu", "red hat", "suse", "centos", "debian"]) => "cmdb_ci_linux_server",
        () if has(&["windows"]) && has(&["server"]) => "cmdb_ci_win_server",
        () => "cmdb_ci_computer",
    }
}

#[cfg(test)]
mod tests;
