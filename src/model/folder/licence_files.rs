//! The licences: their terms, what they cover, what was bought, who they were given to, and peaks of earlier runs.
//!
//! A cell that is bad counts as blank and spoils its licence, no other one.
//!
//! Source: reconcile-files reference, sections 1 and 3.

use super::cells::BadCell;
use super::estate_files::known_application;
use super::names::Names;
use super::notes::Notes;
use super::table::{FolderError, Form, Keys, Row, Table};
use super::terms::{LICENSES, read_terms};
use crate::model::decimal::Decimal;
use crate::model::estate::{Estate, Ids, Number};
use crate::model::licensing::{
    Allocated, Allocation, AllocationKind, Entitlement, ExemptRole, Exemption, Licence, Licensing, Link, Peak, Role,
    Total,
};
use crate::model::reconciliation::WarningCode;

/// `license_applications.csv`.
pub const LICENSE_APPLICATIONS: Form = Form {
    file: "license_applications.csv",
    columns: &["license", "application", "priority", "role", "ratio"],
    required: &["license", "application"],
    key: &["license", "application"],
};
/// `entitlements.csv`.
pub const ENTITLEMENTS: Form = Form {
    file: "entitlements.csv",
    columns: &["license", "quantity", "effective", "expiry", "retired"],
    required: &["license", "quantity"],
    key: &[],
};
/// `allocations.csv`.
pub const ALLOCATIONS: Form = Form {
    file: "allocations.csv",
    columns: &["license", "device", "user", "kind", "exemption"],
    required: &["license"],
    key: &["license", "device", "user"],
};
/// `exempt_roles.csv`.
pub const EXEMPT_ROLES: Form = Form {
    file: "exempt_roles.csv",
    columns: &["license", "role", "reason"],
    required: &["license", "role"],
    key: &["license", "role"],
};
/// `peaks.csv`.
pub const PEAKS: Form = Form {
    file: "peaks.csv",
    columns: &["license", "region", "peak", "since"],
    required: &["license", "peak", "since"],
    key: &["license", "region"],
};

/// Where a bad cell stands: file, line, place of the column in its form. The lowest is the one that is told.
type Place = (&'static str, usize, usize);
/// A bad cell, and what is wrong with it.
type Bad = (Place, String);

/// A row that makes an application supplementary: the application, the line.
pub type Supplementary = (Number, usize);

/// Licences while they are read.
#[derive(Debug)]
pub struct Licences<'e> {
    estate: &'e mut Estate,
    /// Licences and the tables that they refer to. Users and groups keep provisional names.
    pub licensing: Licensing,
    /// For each licence its first bad cell.
    spoiled: Vec<Option<Bad>>,
    /// Supplementary rows.
    pub supplementary: Vec<Supplementary>,
}

/// Notes bad cells of one row.
pub struct Spoiling<'s> {
    row: Place,
    first: &'s mut Option<Bad>,
}

impl Spoiling<'_> {
    /// The value of a cell; a bad one counts as blank.
    pub fn or_blank<T: Default>(&mut self, value: Result<T, BadCell>) -> T {
        value.unwrap_or_else(|bad| {
            self.spoil(bad.column, bad.problem);
            T::default()
        })
    }

    /// The cell of this column is bad, and why.
    pub fn spoil(&mut self, column: usize, problem: impl Into<String>) {
        let place = (self.row.0, self.row.1, column);
        if self.first.as_ref().is_none_or(|(first, _)| place < *first) {
            *self.first = Some((place, problem.into()));
        }
    }
}

impl<'e> Licences<'e> {
    /// Reads `licenses.csv`. `licensing` has the tables that licences refer to.
    pub fn read(
        table: &Table<'_>,
        estate: &'e mut Estate,
        licensing: Licensing,
        names: &mut Names,
    ) -> Result<Licences<'e>, FolderError> {
        let (mut read, mut keys) = (Vec::new(), Keys::default());
        table.rows(|row| {
            keys.check(row)?;
            let mut first = None;
            let mut spoiling = Spoiling { row: (LICENSES.file, row.line(), 0), first: &mut first };
            let (metric, settings) = read_terms(row, &licensing, names, &mut spoiling);
            read.push((row.text(0).to_owned(), Licence { metric, settings, ..Licence::default() }, first));
            Ok(())
        })?;
        read.sort_by(|a, b| a.0.cmp(&b.0));
        let ids = Ids::of(read.iter().map(|(id, ..)| id.as_str()));
        let (licences, spoiled) = read.into_iter().map(|(_, licence, first)| (licence, first)).unzip();
        let licensing = Licensing { ids, licences, ..licensing };
        Ok(Licences { estate, licensing, spoiled, supplementary: Vec::new() })
    }

    /// The licence of a row with the notes of its bad cells; one that is not listed is told.
    fn of(&mut self, row: &Row<'_, '_>, notes: &mut Notes) -> Option<(&mut Licence, Spoiling<'_>)> {
        let Some(number) = self.licensing.ids.find(row.text(0)) else {
            notes.warn(WarningCode::UnknownLicense, row.text(0));
            return None;
        };
        let first = &mut self.spoiled[number as usize];
        let spoiling = Spoiling { row: (row.form().file, row.line(), 0), first };
        Some((&mut self.licensing.licences[number as usize], spoiling))
    }

    /// Reads `license_applications.csv`.
    pub fn read_links(&mut self, table: &Table<'_>, notes: &mut Notes) -> Result<(), FolderError> {
        let mut keys = Keys::default();
        table.rows(|row| {
            keys.check(row)?;
            let application = known_application(&self.estate.application_ids, row.text(1), notes);
            let mut is_supplementary = false;
            if let Some((licence, mut spoiling)) = self.of(row, notes) {
                let priority = spoiling.or_blank(row.integer(2));
                let word = spoiling.or_blank(row.word(3, &["primary", "supplementary"]));
                let ratio = spoiling.or_blank(row.number(4));
                let role = if word == Some(1) { Role::Supplementary(ratio) } else { Role::Primary };
                is_supplementary = role.is_supplementary();
                licence.links.extend(application.map(|application| Link { application, priority, role }));
            }
            if is_supplementary {
                self.supplementary.extend(application.map(|application| (application, row.line())));
            }
            Ok(())
        })?;
        for licence in &mut self.licensing.licences {
            licence.links.sort_by_key(|link| link.application);
        }
        Ok(())
    }

    /// Reads `entitlements.csv`.
    pub fn read_entitlements(&mut self, table: &Table<'_>, notes: &mut Notes) -> Result<(), FolderError> {
        table.rows(|row| {
            if let Some((licence, mut spoiling)) = self.of(row, notes) {
                let quantity = spoiling.or_blank(row.total(1)).unwrap_or(Total::Limited(Decimal::ZERO));
                let effective = spoiling.or_blank(row.date(2));
                let expiry = spoiling.or_blank(row.date(3));
                let retired = spoiling.or_blank(row.yes(4));
                licence.entitlements.push(Entitlement { quantity, effective, expiry, retired });
            }
            Ok(())
        })
    }

    /// Reads `allocations.csv`.
    pub fn read_allocations(
        &mut self,
        table: &Table<'_>,
        names: &mut Names,
        notes: &mut Notes,
    ) -> Result<(), FolderError> {
        let mut keys = Keys::default();
        table.rows(|row| {
            let (device, user) = (row.text(1), row.text(2));
            let is_one = device.is_empty() != user.is_empty();
            if is_one {
                keys.check(row)?;
            }
            let known = self.estate.device_ids.find(device);
            let Some((licence, mut spoiling)) = self.of(row, notes) else { return Ok(()) };
            let word = spoiling.or_blank(row.word(3, &["allocated", "awaiting", "permanent"]));
            let exemption = spoiling.or_blank(row.exemption(4));
            if !is_one {
                spoiling.spoil(1, "name a device or a user, one of them");
                return Ok(());
            }
            let kind = match word {
                Some(1) => AllocationKind::Awaiting,
                Some(2) => AllocationKind::Permanent,
                _ => AllocationKind::Allocated,
            };
            let to = match (names.user(user), known) {
                (Some(user), _) => Allocated::User(user.get()),
                (None, Some(device)) => Allocated::Device(device),
                (None, None) => Allocated::UnknownDevice(device.into()),
            };
            licence.allocations.push(Allocation { to, kind, exemption });
            Ok(())
        })
    }

    /// Reads `exempt_roles.csv`.
    pub fn read_exempt_roles(&mut self, table: &Table<'_>, notes: &mut Notes) -> Result<(), FolderError> {
        let mut keys = Keys::default();
        table.rows(|row| {
            keys.check(row)?;
            let role = self.estate.texts.number(row.text(1));
            if let Some((licence, mut spoiling)) = self.of(row, notes) {
                let reason = spoiling.or_blank(row.exemption(2)).unwrap_or(Exemption::OTHER);
                licence.exempt_roles.push(ExemptRole { role, reason });
            }
            Ok(())
        })
    }

    /// Reads `peaks.csv`.
    pub fn read_peaks(&mut self, table: &Table<'_>, notes: &mut Notes) -> Result<(), FolderError> {
        let mut keys = Keys::default();
        table.rows(|row| {
            keys.check(row)?;
            let region = self.estate.texts.number(row.text(1));
            if let Some((licence, mut spoiling)) = self.of(row, notes) {
                let (peak, since) = (spoiling.or_blank(row.number(2)), spoiling.or_blank(row.date(3)));
                if let (Some(peak), Some(since)) = (peak, since) {
                    licence.peaks.push(Peak { region, peak, since });
                }
            }
            Ok(())
        })
    }

    /// All licences, each with its first bad cell.
    pub fn finish(self) -> Licensing {
        let Licences { mut licensing, spoiled, .. } = self;
        let forms = [&LICENSES, &LICENSE_APPLICATIONS, &ENTITLEMENTS, &ALLOCATIONS, &EXEMPT_ROLES, &PEAKS];
        for (licence, first) in licensing.licences.iter_mut().zip(spoiled) {
            let Some(((file, line, column), problem)) = first else { continue };
            let form = forms.into_iter().find(|form| form.file == file).expect("cells stand in files");
            licence.bad_data = Some(format!("{file}:{line} {}", form.columns[column]).into());
            licence.problem = problem.into();
        }
        licensing
    }
}
