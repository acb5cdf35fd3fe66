//! The folder of CSV files that a licence reconcile reads.
//!
//! ```text
//! folder/  devices.csv applications.csv licenses.csv            needed
//!          installations.csv evidence.csv evidence_rules.csv    what is installed
//!          users.csv groups.csv suites.csv usage.csv access.csv
//!          license_applications.csv entitlements.csv allocations.csv exempt_roles.csv peaks.csv
//!          points_rules.csv steps.csv
//! ```
//!
//! The same folder reads the same whatever the order of its rows. A folder that is wrong is refused whole; a bad cell of
//! a licence spoils that licence only.
//!
//! Source: reconcile-files reference, sections 1 to 3.

use std::collections::BTreeSet;

mod cells;
mod devices;
mod edits;
mod estate_files;
mod evidence_files;
mod fleet_device;
mod fleet_devices;
mod known_devices;
mod licence_files;
mod licence_table;
mod names;
mod notes;
mod point_files;
mod provenance;
mod row_counts;
mod table;
mod table_edit;
mod terms;
mod write;

use devices::{DEVICES, read_devices};
use estate_files::{
    ACCESS, APPLICATIONS, GROUPS, ListedGroup, ListedUser, SUITES, USAGE, USERS, read_access, read_applications,
    read_groups, read_suites, read_usage, read_users,
};
use evidence_files::{EVIDENCE, EVIDENCE_RULES, INSTALLATIONS, read_evidence, read_installations, read_rules};
use licence_files::{ALLOCATIONS, ENTITLEMENTS, EXEMPT_ROLES, LICENSE_APPLICATIONS, Licences, PEAKS, Supplementary};
use names::{Names, Renumbered};
use point_files::{POINTS_RULES, STEPS, read_points, read_steps};
use table::{Table, text};
use terms::LICENSES;

pub use edits::Edits;
pub use fleet_device::{FleetDevice, Given};
pub use fleet_devices::{FleetDevices, FleetNames, FleetTable};
pub use known_devices::{Changed, KnownDevice, KnownDevices};
pub use licence_table::{LicenceTable, PART_BYTES, TABLE_BYTES_MAX, TablePart, TableRows, TableState, parts};
pub use notes::Notes;
pub use provenance::{GivenCells, OPERATOR, PROVENANCE_FILE, ProvenanceTable, given_cells};
pub use row_counts::RowCounts;
pub use table::{FolderError, Form};
pub use table_edit::{Cells, EditError, TableEdit};
pub use write::{cell, laid_out, push_row, with_library, with_numbers};

use super::estate::{Access, Estate, Evidence, Groups, Number, Pair, Usage, Used, User};
use super::licensing::{Allocated, Licensing};
use super::recognition::Rule;

/// Names of all files that are read, in the order of the reference.
pub const FILES: [&str; 18] = [
    DEVICES.file,
    USERS.file,
    GROUPS.file,
    APPLICATIONS.file,
    SUITES.file,
    EVIDENCE.file,
    EVIDENCE_RULES.file,
    INSTALLATIONS.file,
    USAGE.file,
    ACCESS.file,
    LICENSES.file,
    LICENSE_APPLICATIONS.file,
    ENTITLEMENTS.file,
    ALLOCATIONS.file,
    EXEMPT_ROLES.file,
    POINTS_RULES.file,
    STEPS.file,
    PEAKS.file,
];

/// Files that have to be there.
const NEEDED: [&str; 3] = [DEVICES.file, APPLICATIONS.file, LICENSES.file];

/// A folder as read. Evidence is not recognised yet: `estate` has no installations.
#[derive(Debug, Default)]
pub struct Folder {
    /// Devices, users, applications, use.
    pub estate: Estate,
    /// Installations that are known already, in pieces.
    pub known: Vec<Vec<Pair>>,
    /// What was found on devices.
    pub evidence: Evidence,
    /// What recognises it.
    pub rules: Vec<Rule<Number>>,
    /// Licences.
    pub licensing: Licensing,
    /// What is to be said of the folder.
    pub notes: Notes,
    /// (suite, member, line) and (supplementary application, line): where a cycle of levels can be mended.
    suites: Vec<(Number, Number, usize)>,
    supplementary: Vec<Supplementary>,
}

/// The bytes of a file by its name, once; `None`: there is none.
pub trait Source {
    /// What stands in the file.
    type Bytes: AsRef<[u8]>;
    /// The world failed.
    type Error: From<FolderError>;
    /// Reads a file.
    fn file(&mut self, name: &'static str) -> Result<Option<Self::Bytes>, Self::Error>;
}

/// Opens a file for `read`, and notes its unknown columns.
fn with_table<S: Source, T: Default>(
    source: &mut S,
    form: &'static Form,
    notes: &mut Notes,
    read: impl FnOnce(Table<'_>, &mut Notes) -> Result<T, FolderError>,
) -> Result<T, S::Error> {
    let is_needed = NEEDED.contains(&form.file);
    let Some(bytes) = source.file(form.file)? else {
        if is_needed {
            return Err(FolderError::whole(form.file, "is missing from the folder, every reconcile needs it").into());
        }
        return Ok(T::default());
    };
    let Some(table) = Table::open(form, text(form, bytes.as_ref())?)? else {
        if is_needed {
            return Err(FolderError::cell(form.file, 1, form.columns[0], "the file has no header").into());
        }
        return Ok(T::default());
    };
    notes.unknown_columns.extend(table.unknown().iter().map(|column| (form.file, column.clone())));
    Ok(read(table, notes)?)
}

impl Folder {
    /// Reads a folder. Each file is let go as soon as it is read.
    pub fn read<S: Source>(source: &mut S) -> Result<Folder, S::Error> {
        let (mut folder, mut names) = (Folder::default(), Names::default());
        let Folder { estate, known, evidence, rules, licensing, notes, suites, supplementary } = &mut folder;
        with_table(source, &DEVICES, notes, |table, notes| read_devices(table, estate, &mut names, notes))?;
        let users: Vec<ListedUser> = with_table(source, &USERS, notes, |table, _| read_users(&table, &mut names))?;
        let parents: Vec<ListedGroup> = with_table(source, &GROUPS, notes, |table, _| read_groups(&table, &mut names))?;
        with_table(source, &APPLICATIONS, notes, |table, notes| read_applications(&table, estate, notes))?;
        *suites = with_table(source, &SUITES, notes, |table, notes| read_suites(&table, estate, notes))?;
        *evidence = with_table(source, &EVIDENCE, notes, |table, notes| read_evidence(&table, estate, notes))?;
        *rules = with_table(source, &EVIDENCE_RULES, notes, |table, notes| read_rules(&table, estate, notes))?;
        *known = with_table(source, &INSTALLATIONS, notes, |table, notes| read_installations(table, estate, notes))?;
        let usage: Vec<Used> =
            with_table(source, &USAGE, notes, |table, notes| read_usage(&table, estate, &mut names, notes))?;
        let access: Vec<Access> =
            with_table(source, &ACCESS, notes, |table, notes| read_access(&table, estate, &mut names, notes))?;
        let tables = Licensing {
            points: with_table(source, &POINTS_RULES, notes, |table, _| read_points(&table))?,
            steps: with_table(source, &STEPS, notes, |table, _| read_steps(&table))?,
            ..Licensing::default()
        };
        (*licensing, *supplementary) = read_licences(source, estate, tables, &mut names, notes)?;
        let (users_by, groups_by) = names.renumbered();
        folder.renumber(users, usage, access, users_by, &groups_by);
        folder.groups(&parents, groups_by)?;
        Ok(folder)
    }

    /// Puts users and groups in the order of their names.
    fn renumber(
        &mut self,
        users: Vec<ListedUser>,
        usage: Vec<Used>,
        access: Vec<Access>,
        by: Renumbered,
        groups: &Renumbered,
    ) {
        let estate = &mut self.estate;
        for device in &mut estate.devices {
            device.assigned_user = by.slot(device.assigned_user);
            device.calculated_user = by.slot(device.calculated_user);
            device.group = groups.slot(device.group);
        }
        estate.users = vec![User::default(); by.ids.len()];
        for (user, group, builtin) in users {
            estate.users[by.number(user.get()) as usize] = User { group: groups.slot(group), builtin };
        }
        estate.usage = Usage::new(usage.into_iter().map(|used| Used { user: by.number(used.user), ..used }).collect());
        estate.access = access.into_iter().map(|access| Access { user: by.slot(access.user), ..access }).collect();
        estate.access.sort_unstable();
        estate.access.dedup();
        for licence in &mut self.licensing.licences {
            licence.settings.scope = groups.slot(licence.settings.scope);
            for allocation in &mut licence.allocations {
                if let Allocated::User(user) = &mut allocation.to {
                    *user = by.number(*user);
                }
            }
        }
        estate.user_ids = by.ids;
    }

    fn groups(&mut self, parents: &[ListedGroup], by: Renumbered) -> Result<(), FolderError> {
        let pairs: Vec<(Number, Number)> =
            parents.iter().map(|(group, parent, _)| (by.number(group.get()), by.number(parent.get()))).collect();
        let lines: Vec<(Number, usize)> =
            pairs.iter().zip(parents).map(|(&(group, _), &(.., line))| (group, line)).collect();
        self.estate.groups = Groups::new(by.ids, &pairs).map_err(|in_cycle| {
            let line = lines.iter().filter(|(group, _)| in_cycle.contains(group)).map(|&(_, line)| line).min();
            FolderError::cell(
                GROUPS.file,
                line.unwrap_or(1),
                GROUPS.columns[1],
                "lies below itself, mend one of the groups above it",
            )
        })?;
        Ok(())
    }

    /// The error for applications that wait for themselves: members of suites, or supplementary to their own primary.
    pub fn cycle(&self, in_cycle: &[Number]) -> FolderError {
        if let Some(line) = suites_in_cycle(&self.suites) {
            let problem = "is a suite of its own suite, remove one of the rows";
            return FolderError::cell(SUITES.file, line, SUITES.columns[1], problem);
        }
        let rows = self.supplementary.iter().filter(|(application, _)| in_cycle.contains(application));
        let line = rows.map(|&(_, line)| line).min().unwrap_or(1);
        let problem = "is supplementary to itself by way of its primaries, mend one of the rows";
        FolderError::cell(LICENSE_APPLICATIONS.file, line, LICENSE_APPLICATIONS.columns[1], problem)
    }
}

/// The first line that makes a suite in the end its own member.
fn suites_in_cycle(members: &[(Number, Number, usize)]) -> Option<usize> {
    let mut left = members.to_vec();
    loop {
        let suites: BTreeSet<Number> = left.iter().map(|&(suite, ..)| suite).collect();
        let below: BTreeSet<Number> = left.iter().map(|&(_, member, _)| member).collect();
        let count = left.len();
        left.retain(|(suite, member, _)| below.contains(suite) && suites.contains(member));
        if left.len() == count {
            return left.into_iter().map(|(.., line)| line).min();
        }
    }
}

fn read_licences<S: Source>(
    source: &mut S,
    estate: &mut Estate,
    tables: Licensing,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<(Licensing, Vec<Supplementary>), S::Error> {
    let mut licences =
        with_table(source, &LICENSES, notes, |table, _| Licences::read(&table, estate, tables, names).map(Some))?
            .expect("licenses.csv is needed");
    with_table(source, &LICENSE_APPLICATIONS, notes, |table, notes| licences.read_links(&table, notes))?;
    with_table(source, &ENTITLEMENTS, notes, |table, notes| licences.read_entitlements(&table, notes))?;
    with_table(source, &ALLOCATIONS, notes, |table, notes| licences.read_allocations(&table, names, notes))?;
    with_table(source, &EXEMPT_ROLES, notes, |table, notes| licences.read_exempt_roles(&table, notes))?;
    with_table(source, &PEAKS, notes, |table, notes| licences.read_peaks(&table, notes))?;
    let supplementary = std::mem::take(&mut licences.supplementary);
    Ok((licences.finish(), supplementary))
}
