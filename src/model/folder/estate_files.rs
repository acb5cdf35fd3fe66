//! The files of the estate behind its devices: users, groups, applications, suites, use and access.
//!
//! Source: reconcile-files reference, section 2.

use super::names::Names;
use super::notes::Notes;
use super::table::{FolderError, Form, Keys, Table};
use crate::model::decimal::Decimal;
use crate::model::estate::{Access, Application, Estate, Ids, Number, Slot, Suites, Used, Version};
use crate::model::pattern::fold;
use crate::model::reconciliation::WarningCode;

/// `users.csv`.
pub const USERS: Form =
    Form { file: "users.csv", columns: &["user", "group", "builtin"], required: &["user"], key: &["user"] };
/// `groups.csv`.
pub const GROUPS: Form =
    Form { file: "groups.csv", columns: &["group", "parent"], required: &["group"], key: &["group"] };
/// `applications.csv`.
pub const APPLICATIONS: Form = Form {
    file: "applications.csv",
    columns: &["application", "publisher", "product", "version", "edition", "licensable", "option_of"],
    required: &["application"],
    key: &["application"],
};
/// `suites.csv`.
pub const SUITES: Form = Form {
    file: "suites.csv",
    columns: &["suite", "member"],
    required: &["suite", "member"],
    key: &["suite", "member"],
};
/// `usage.csv`.
pub const USAGE: Form = Form {
    file: "usage.csv",
    columns: &["device", "application", "user", "quantity"],
    required: &["device", "application", "user"],
    key: &[],
};
/// `access.csv`.
pub const ACCESS: Form =
    Form { file: "access.csv", columns: &["application", "device", "user"], required: &["application"], key: &[] };

/// A user as listed, by provisional names: user, group, whether it is a standard account.
pub type ListedUser = (Slot, Option<Slot>, bool);

/// Users as listed.
pub fn read_users(table: &Table<'_>, names: &mut Names) -> Result<Vec<ListedUser>, FolderError> {
    let (mut users, mut keys) = (Vec::new(), Keys::default());
    table.rows(|row| {
        keys.check(row)?;
        let builtin = row.yes(2).map_err(|bad| bad.refused(row))?;
        users.extend(names.user(row.text(0)).map(|user| (user, names.group(row.text(1)), builtin)));
        Ok(())
    })?;
    Ok(users)
}

/// A group with its parent, by provisional names, and its line.
pub type ListedGroup = (Slot, Slot, usize);

/// Groups with a parent.
pub fn read_groups(table: &Table<'_>, names: &mut Names) -> Result<Vec<ListedGroup>, FolderError> {
    let (mut groups, mut keys) = (Vec::new(), Keys::default());
    table.rows(|row| {
        keys.check(row)?;
        let group = names.group(row.text(0));
        if let (Some(group), Some(parent)) = (group, names.group(row.text(1))) {
            groups.push((group, parent, row.line()));
        }
        Ok(())
    })?;
    Ok(groups)
}

/// Applications in the order of their ids.
pub fn read_applications(table: &Table<'_>, estate: &mut Estate, notes: &mut Notes) -> Result<(), FolderError> {
    let (mut read, mut keys) = (Vec::new(), Keys::default());
    table.rows(|row| {
        keys.check(row)?;
        let application = Application {
            line: [1, 2, 4].map(|column| fold(row.text(column)).into()),
            version: Version::new(row.text(3)),
            licensable: row.yes_or(5, true).map_err(|bad| bad.refused(row))?,
            option_of: None,
        };
        read.push((row.text(0).to_owned(), application, row.text(6).to_owned()));
        Ok(())
    })?;
    read.sort_by(|a, b| a.0.cmp(&b.0));
    estate.application_ids = Ids::of(read.iter().map(|(id, ..)| id.as_str()));
    for (_, mut application, database) in read {
        if !database.is_empty() {
            application.option_of = known_application(&estate.application_ids, &database, notes).map(Slot::new);
        }
        estate.applications.push(application);
    }
    Ok(())
}

/// The number of an application; one that is not listed is told.
pub fn known_application(ids: &Ids, name: &str, notes: &mut Notes) -> Option<Number> {
    let found = ids.find(name);
    if found.is_none() {
        notes.warn(WarningCode::UnknownApplication, name);
    }
    found
}

/// The number of a device; one that is not listed is told.
pub fn known_device(ids: &Ids, name: &str, notes: &mut Notes) -> Option<Number> {
    let found = ids.find(name);
    if found.is_none() {
        notes.warn(WarningCode::UnknownDevice, name);
    }
    found
}

/// A member of a suite with the line that says so.
pub type Membership = (Number, Number, usize);

/// Suites: suite, member, line.
pub fn read_suites(table: &Table<'_>, estate: &mut Estate, notes: &mut Notes) -> Result<Vec<Membership>, FolderError> {
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    table.rows(|row| {
        keys.check(row)?;
        let suite = known_application(&estate.application_ids, row.text(0), notes);
        let member = known_application(&estate.application_ids, row.text(1), notes);
        if let (Some(suite), Some(member)) = (suite, member) {
            members.push((suite, member, row.line()));
        }
        Ok(())
    })?;
    estate.suites = Suites::new(members.iter().map(|&(suite, member, _)| (suite, member)));
    Ok(members)
}

/// Use, by provisional names of users.
pub fn read_usage(
    table: &Table<'_>,
    estate: &Estate,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<Vec<Used>, FolderError> {
    let mut rows = Vec::new();
    table.rows(|row| {
        let quantity = row.number(3).map_err(|bad| bad.refused(row))?.unwrap_or(Decimal::ONE);
        let device = known_device(&estate.device_ids, row.text(0), notes);
        let application = known_application(&estate.application_ids, row.text(1), notes);
        if let (Some(device), Some(application), Some(user)) = (device, application, names.user(row.text(2))) {
            rows.push(Used { application, device, user: user.get(), quantity });
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Access, by provisional names of users.
pub fn read_access(
    table: &Table<'_>,
    estate: &Estate,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<Vec<Access>, FolderError> {
    let mut rows = Vec::new();
    table.rows(|row| {
        let application = known_application(&estate.application_ids, row.text(0), notes);
        let device = match row.text(1) {
            "" => Some(None),
            name => known_device(&estate.device_ids, name, notes).map(|device| Some(Slot::new(device))),
        };
        if let (Some(application), Some(device)) = (application, device) {
            rows.push(Access { application, device, user: names.user(row.text(2)) });
        }
        Ok(())
    })?;
    Ok(rows)
}
