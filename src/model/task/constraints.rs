use std::fmt;

use super::{TaskScope, TaskType};

/// How far an exclusion reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// Tasks whose scopes share a tenant.
    Tenant,
    /// Tasks whose scopes share a group; a tenant stands for its group.
    Group,
    /// All tasks.
    System,
}

impl Per {
    /// Its word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Tenant => "tenant",
            Per::Group => "group",
            Per::System => "system",
        }
    }

    /// Whether tasks of these scopes exclude each other.
    pub fn reaches(self, one: &TaskScope, other: &TaskScope) -> bool {
        match self {
            Per::Tenant => one.overlaps(other),
            Per::Group => one.widened().overlaps(&other.widened()),
            Per::System => true,
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Number of a band in its [`Constraints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BandNumber(pub u8);

/// A band as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Band {
    /// Its name.
    pub name: Box<str>,
    /// Its tasks.
    pub tasks: Vec<TaskType>,
    /// Of how many at a time: one per this; `None`: any number.
    pub one_per: Option<Per>,
    /// The bands whose tasks never run beside its own. Saying it at one of two is enough.
    pub excludes: Vec<(Box<str>, Per)>,
}

/// Why bands do not make constraints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// More bands than can be told apart.
    #[error("{0} bands, at most {BANDS_MAX} are taken")]
    Many(usize),
    /// A band twice.
    #[error("band `{0}` is there twice")]
    Twice(Box<str>),
    /// An exclusion names nobody.
    #[error("band `{band}` excludes `{excluded}`, which is no band: the bands are {known}")]
    Unknown {
        /// Whose exclusion.
        band: Box<str>,
        /// What it names.
        excluded: Box<str>,
        /// The names that exist.
        known: String,
    },
    /// A band that excludes itself.
    #[error("band `{0}` excludes itself: write `one_per`")]
    Itself(Box<str>),
    /// Two bands say it differently.
    #[error("`{one}` excludes `{other}` per {per}, and `{other}` excludes `{one}` per {back}: write one of them")]
    Contradiction {
        /// A band.
        one: Box<str>,
        /// Another.
        other: Box<str>,
        /// What the first says.
        per: Per,
        /// What the second says.
        back: Per,
    },
    /// A task in two bands.
    #[error("{task} is in band `{one}` and in band `{other}`: a task has one band")]
    TwoBands {
        /// It.
        task: TaskType,
        /// The first.
        one: Box<str>,
        /// The second.
        other: Box<str>,
    },
    /// A task in no band.
    #[error("{0} is in no band: without one it would run beside everything")]
    NoBand(TaskType),
}

/// Most bands.
pub const BANDS_MAX: usize = 64;

/// Which tasks never run at the same time, as data: bands of tasks, and a symmetric matrix of exclusions between them.
///
/// Source: agent-beacon-batch reference, sections 11.3 and 11.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraints {
    names: Vec<Box<str>>,
    of: [BandNumber; TaskType::ALL.len()],
    /// Row by row.
    excludes: Vec<Option<Per>>,
}

impl Constraints {
    /// Checks bands.
    pub fn new(bands: &[Band]) -> Result<Constraints, ConstraintError> {
        let count = bands.len();
        if count > BANDS_MAX {
            return Err(ConstraintError::Many(count));
        }
        let place = |name: &str| bands.iter().position(|band| *band.name == *name);
        let mut of = [None::<usize>; TaskType::ALL.len()];
        let mut excludes: Vec<Option<Per>> = vec![None; count * count];
        for (row, band) in bands.iter().enumerate() {
            if place(&band.name) != Some(row) {
                return Err(ConstraintError::Twice(band.name.clone()));
            }
            for &task in &band.tasks {
                if let Some(one) = of[task.index()].replace(row) {
                    let (one, other) = (bands[one].name.clone(), band.name.clone());
                    return Err(ConstraintError::TwoBands { task, one, other });
                }
            }
            excludes[row * count + row] = band.one_per;
            for (excluded, per) in &band.excludes {
                let Some(column) = place(excluded) else {
                    let known = bands.iter().map(|band| format!("`{}`", band.name)).collect::<Vec<_>>().join(", ");
                    let (band, excluded) = (band.name.clone(), excluded.clone());
                    return Err(ConstraintError::Unknown { band, excluded, known });
                };
                if column == row {
                    return Err(ConstraintError::Itself(band.name.clone()));
                }
                if let Some(back) = excludes[row * count + column].filter(|back| back != per) {
                    let (one, other) = (band.name.clone(), excluded.clone());
                    return Err(ConstraintError::Contradiction { one, other, per: *per, back });
                }
                excludes[row * count + column] = Some(*per);
                excludes[column * count + row] = Some(*per);
            }
        }
        let mut numbers = [BandNumber(0); TaskType::ALL.len()];
        for task in TaskType::ALL {
            let band = of[task.index()].ok_or(ConstraintError::NoBand(task))?;
            numbers[task.index()] = BandNumber(u8::try_from(band).unwrap_or(u8::MAX));
        }
        Ok(Constraints { names: bands.iter().map(|band| band.name.clone()).collect(), of: numbers, excludes })
    }

    /// The band of a task.
    pub fn band(&self, task: TaskType) -> BandNumber {
        self.of[task.index()]
    }

    /// A band's name.
    pub fn name(&self, band: BandNumber) -> &str {
        self.names.get(usize::from(band.0)).map_or("", |name| name)
    }

    /// How many bands there are.
    pub fn bands(&self) -> usize {
        self.names.len()
    }

    /// How far the exclusion between two bands reaches; `None` when there is none.
    pub fn exclusion(&self, one: BandNumber, other: BandNumber) -> Option<Per> {
        self.excludes.get(usize::from(one.0) * self.bands() + usize::from(other.0)).copied().flatten()
    }

    /// The bands that `band` excludes, ascending, itself among them when it does not run beside itself.
    pub fn excluded_by(&self, band: BandNumber) -> impl Iterator<Item = (BandNumber, Per)> {
        let row = usize::from(band.0) * self.bands();
        let cells = self.excludes[row..row + self.bands()].iter().zip(0..);
        cells.filter_map(|(per, other)| per.map(|per| (BandNumber(other), per)))
    }

    /// Whether two tasks never run at the same time.
    pub fn conflict(&self, one: (TaskType, &TaskScope), other: (TaskType, &TaskScope)) -> bool {
        self.exclusion(self.band(one.0), self.band(other.0)).is_some_and(|per| per.reaches(one.1, other.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bands() -> Vec<Band> {
        let e = TaskType::RecognitionLibraryImport;
        let others = TaskType::ALL.into_iter().filter(|task| *task != e).collect();
        vec![
            Band { name: "A".into(), tasks: others, one_per: Some(Per::Tenant), ..Band::default() },
            Band { name: "E".into(), tasks: vec![e], one_per: None, excludes: vec![("A".into(), Per::System)] },
        ]
    }

    fn refused(change: impl FnOnce(&mut Vec<Band>)) -> String {
        let mut bands = bands();
        change(&mut bands);
        Constraints::new(&bands).unwrap_err().to_string()
    }

    #[test]
    fn an_exclusion_that_is_said_once_holds_in_both_directions() {
        let constraints = Constraints::new(&bands()).unwrap();
        let (a, e) = (BandNumber(0), BandNumber(1));
        assert_eq!(constraints.band(TaskType::RecognitionLibraryImport), e);
        assert_eq!([constraints.name(a), constraints.name(e), constraints.name(BandNumber(9))], ["A", "E", ""]);
        assert_eq!((constraints.exclusion(a, e), constraints.exclusion(e, a)), (Some(Per::System), Some(Per::System)));
        assert_eq!((constraints.exclusion(a, a), constraints.exclusion(e, e)), (Some(Per::Tenant), None));
        assert_eq!(constraints.excluded_by(a).collect::<Vec<_>>(), [(a, Per::Tenant), (e, Per::System)]);
        let tenant = |name: &str| TaskScope::Tenant { tenant: name.parse().unwrap(), group: "G".parse().unwrap() };
        let (import, reconcile) = (TaskType::InventoryImport, TaskType::LicenseReconcile);
        let (one, other) = (tenant("T"), tenant("U"));
        assert!(constraints.conflict((import, &one), (reconcile, &one)));
        assert!(!constraints.conflict((import, &one), (import, &other)));
        assert!(constraints.conflict((import, &one), (TaskType::RecognitionLibraryImport, &TaskScope::System)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            refused(|bands| bands[1].excludes[0].0 = "Q".into()),
            "band `E` excludes `Q`, which is no band: the bands are `A`, `E`"
        );
        assert_eq!(refused(|bands| bands[1].excludes[0].0 = "E".into()), "band `E` excludes itself: write `one_per`");
        assert_eq!(
            refused(|bands| bands[0].excludes = vec![("E".into(), Per::Tenant)]),
            "`E` excludes `A` per system, and `A` excludes `E` per tenant: write one of them"
        );
        assert_eq!(
            refused(|bands| bands[1].tasks.push(TaskType::LicenseReconcile)),
            "LicenseReconcile is in band `A` and in band `E`: a task has one band"
        );
        assert_eq!(
            refused(|bands| bands[1].tasks.clear()),
            "RecognitionLibraryImport is in no band: without one it would run beside everything"
        );
        assert_eq!(refused(|bands| bands[1].name = "A".into()), "band `A` is there twice");
    }
}
