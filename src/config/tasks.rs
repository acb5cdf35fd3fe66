//! `tasks.toml`: which batch tasks exclude each other, and when they are submitted by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document};
use crate::id::shorten;
use crate::model::task::{Band, ConstraintError, Constraints, Per, TaskType, Trigger};
use crate::time::{DAY_MS, SECOND_MS};

/// The file that is built into the program: every option with its default, unit and reason.
pub const SHIPPED: &str = include_str!("../../config/tasks.toml");

/// A century: longer is a mistake, and cannot overflow.
const SECS_MAX: u64 = 100 * 366 * 86_400;
/// Tasks at once, at most.
const SLOTS_MAX: usize = 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TasksFile {
    #[serde(default)]
    time_zone: String,
    #[serde(default)]
    limits: LimitsFile,
    bands: BTreeMap<String, Spanned<BandFile>>,
    #[serde(default)]
    schedules: BTreeMap<TaskType, Spanned<ScheduleFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsFile {
    starvation_secs: Spanned<u64>,
    slots: Spanned<usize>,
    heartbeat_secs: Spanned<u64>,
    silence_secs: Spanned<u64>,
    lost_after: Spanned<u32>,
    history_days: Spanned<u64>,
}

impl Default for LimitsFile {
    fn default() -> LimitsFile {
        fn here<T>(value: T) -> Spanned<T> {
            Spanned::new(0..0, value)
        }
        LimitsFile {
            starvation_secs: here(1_800),
            slots: here(0),
            heartbeat_secs: here(60),
            silence_secs: here(18_000),
            lost_after: here(3),
            history_days: here(90),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BandFile {
    tasks: Vec<TaskType>,
    one_per: Option<PerFile>,
    #[serde(default)]
    excludes: BTreeMap<String, PerFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PerFile {
    Tenant,
    Group,
    System,
}

impl From<PerFile> for Per {
    fn from(per: PerFile) -> Per {
        match per {
            PerFile::Tenant => Per::Tenant,
            PerFile::Group => Per::Group,
            PerFile::System => Per::System,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    at: Option<Spanned<String>>,
    days: Option<Spanned<Vec<DayFile>>>,
    every_secs: Option<Spanned<u64>>,
}

/// In the order of the bits of a [`Trigger`].
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DayFile {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A checked `tasks.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TasksConfig {
    /// The zone that times of day are of; `None`: that of the machine.
    pub time_zone: Option<String>,
    /// Which tasks never run at the same time.
    pub constraints: Arc<Constraints>,
    /// When tasks are submitted, ascending by task.
    pub schedules: Vec<(TaskType, Trigger)>,
    /// A task that has waited for longer goes before newer ones, in milliseconds.
    pub starvation_ms: i64,
    /// Tasks at once; `None`: two for each core.
    pub slots: Option<usize>,
    /// From one heartbeat to the next, in milliseconds.
    pub heartbeat_ms: i64,
    /// Silence after which a processor is gone, in milliseconds.
    pub silence_ms: i64,
    /// Heartbeats in a row that do not name a task until it is lost.
    pub lost_after: u32,
    /// How long ended tasks are kept, in milliseconds.
    pub history_ms: i64,
}

impl TasksConfig {
    /// Reads and checks a file.
    pub fn read(file: &Document<'_>) -> Result<TasksConfig, ConfigError> {
        let TasksFile { time_zone, limits, bands: written, schedules } = file.read()?;
        let bands: Vec<Band> = written.iter().map(|(name, band)| band_of(name, band.get_ref())).collect();
        let constraints = Constraints::new(&bands).map_err(|error| {
            let place = blamed(&error).and_then(|band| written.get(band)).map(Spanned::span);
            file.error(place, error.to_string())
        })?;
        let mut triggers = Vec::new();
        for (task, schedule) in schedules {
            triggers.push((task, trigger(file, &schedule)?));
        }
        let heartbeat_ms = secs(file, &limits.heartbeat_secs)?;
        let silence_ms = secs(file, &limits.silence_secs)?;
        if silence_ms < heartbeat_ms.saturating_mul(2) {
            let problem = "is less than two heartbeats: a processor that works would count as gone";
            return Err(file.error_at(&limits.silence_secs, problem));
        }
        let slots = *limits.slots.get_ref();
        if slots > SLOTS_MAX {
            return Err(file.error_at(&limits.slots, format!("is more than {SLOTS_MAX}")));
        }
        if *limits.lost_after.get_ref() == 0 {
            return Err(file.error_at(&limits.lost_after, "is 0: every task would be lost at once, write 3"));
        }
        let history_days = *limits.history_days.get_ref();
        if history_days == 0 || history_days > 36_600 {
            return Err(file.error_at(&limits.history_days, "is not between 1 and 36600 days"));
        }
        Ok(TasksConfig {
            time_zone: Some(time_zone).filter(|zone| !zone.is_empty()),
            constraints: Arc::new(constraints),
            schedules: triggers,
            starvation_ms: secs(file, &limits.starvation_secs)?,
            slots: (slots > 0).then_some(slots),
            heartbeat_ms,
            silence_ms,
            lost_after: *limits.lost_after.get_ref(),
            history_ms: history_days as i64 * DAY_MS,
        })
    }

    /// The file that is built in.
    pub fn shipped() -> Result<TasksConfig, ConfigError> {
        TasksConfig::read(&Document { text: SHIPPED, file: "the built-in tasks.toml" })
    }

    /// When `task` is submitted by itself.
    pub fn trigger(&self, task: TaskType) -> Option<Trigger> {
        self.schedules.iter().find(|(of, _)| *of == task).map(|(_, trigger)| *trigger)
    }
}

fn band_of(name: &str, BandFile { tasks, one_per, excludes }: &BandFile) -> Band {
    Band {
        name: name.into(),
        tasks: tasks.clone(),
        one_per: one_per.map(Per::from),
        excludes: excludes.iter().map(|(name, per)| (name.as_str().into(), Per::from(*per))).collect(),
    }
}

/// The band whose lines are to be mended.
fn blamed(error: &ConstraintError) -> Option<&str> {
    match error {
        ConstraintError::Twice(band)
        | ConstraintError::Unknown { band, .. }
        | ConstraintError::Itself(band)
        | ConstraintError::Contradiction { one: band, .. }
        | ConstraintError::TwoBands { other: band, .. } => Some(band),
        ConstraintError::Many(_) | ConstraintError::NoBand(_) => None,
    }
}

fn trigger(file: &Document<'_>, schedule: &Spanned<ScheduleFile>) -> Result<Trigger, ConfigError> {
    let ScheduleFile { at, days, every_secs } = schedule.get_ref();
    let at = match (at, every_secs) {
        (Some(at), None) => at,
        (None, Some(every)) if days.is_none() => return Ok(Trigger::every(secs(file, every)?)),
        _ => {
            let problem = "says when by `at`, a time of day, with or without `days`; or by `every_secs` alone";
            return Err(file.error(Some(schedule.span()), problem));
        }
    };
    let wrong = || file.error_at(at, format!("`{}` is no time of day, write it as 03:00", shorten(at.get_ref())));
    let trigger = Trigger::parse(at.get_ref()).ok_or_else(wrong)?;
    let Some(days) = days else { return Ok(trigger) };
    let mask = days.get_ref().iter().fold(0, |mask, day| mask | 1 << *day as u8);
    let empty = "is empty: name days of the week, or leave it out for every day";
    trigger.on(mask).ok_or_else(|| file.error_at(days, empty))
}

fn secs(file: &Document<'_>, secs: &Spanned<u64>) -> Result<i64, ConfigError> {
    match *secs.get_ref() {
        value @ 1..=SECS_MAX => Ok(value as i64 * SECOND_MS),
        value => Err(file.error_at(secs, format!("{value} is not between 1 and {SECS_MAX} seconds"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::TaskScope;

    fn error(from: &str, to: &str) -> String {
        assert!(SHIPPED.contains(from), "{from}");
        let text = SHIPPED.replacen(from, to, 1);
        TasksConfig::read(&Document { text: &text, file: "tasks.toml" }).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_file_is_the_table_of_the_reference() {
        let config = TasksConfig::shipped().unwrap();
        let (one, other) = (
            TaskScope::Tenant { tenant: "T1".parse().unwrap(), group: "G".parse().unwrap() },
            TaskScope::Tenant { tenant: "T2".parse().unwrap(), group: "G".parse().unwrap() },
        );
        // Rows and columns of section 11.5 in the order I A B E X M: of one tenant, and of two tenants of one group.
        use TaskType::*;
        let bands = [
            (InventoryIntake, false),
            (InventoryImport, false),
            (BusinessAdapterImport, false),
            (RecognitionLibraryImport, true),
            (ServiceNowExport, false),
            (SpoolMaintenance, true),
        ];
        let system = TaskScope::System;
        let table = |second: &TaskScope| {
            bands.map(|(row, row_system)| {
                let cells = bands.map(|(column, column_system)| {
                    let row_scope = if row_system { &system } else { &one };
                    let column_scope = if column_system { &system } else { second };
                    if config.constraints.conflict((row, row_scope), (column, column_scope)) { 'x' } else { '-' }
                });
                cells.iter().collect::<String>()
            })
        };
        assert_eq!(table(&one), ["x--x-x", "-x-xxx", "--xx-x", "xxxxxx", "-x-xxx", "xxxxxx"]);
        assert_eq!(table(&other), ["---x-x", "---x-x", "--xx-x", "xxxxxx", "---x-x", "xxxxxx"]);
        assert_eq!(config.trigger(InventoryImport).unwrap().to_string(), "00:00");
        assert_eq!(config.trigger(ServiceNowExport).unwrap().to_string(), "03:00 sunday");
        assert_eq!(config.trigger(LicenseReconcile), None);
        assert_eq!((config.silence_ms, config.history_ms), (18_000_000, 90 * DAY_MS));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_key() {
        assert_eq!(
            error("excludes = { A = \"tenant\" }", "excludes = { Q = \"tenant\" }"),
            "tasks.toml:57: `bands.X`: band `X` excludes `Q`, which is no band: the bands are `A`, `B`, `E`, `I`, `M`, `X`"
        );
        assert!(error("\"InventoryIntake\"", "\"InventoryIntaak\"").contains("did you mean `InventoryIntake`?"));
        assert!(error("[schedules.InventoryImport]", "[schedules.Import]").contains("is not known here"));
        assert!(error("at = \"03:00\"", "at = \"3 am\"").contains("`3 am` is no time of day, write it as 03:00"));
        assert!(error("at = \"03:00\"", "at = \"03:00\"\nevery_secs = 5").contains("by `every_secs` alone"));
        assert!(
            error("at = \"03:00\"", "every_secs = 5").contains("by `every_secs` alone"),
            "days go with a time of day"
        );
        assert!(error("at = \"00:00\"", "").contains("`schedules.InventoryImport`: says when by `at`"));
        assert!(error("at = \"00:00\"", "every_secs = 0").contains("is not between 1 and"));
        assert!(error("[\"sunday\"]", "[]").contains("is empty: name days"));
        assert!(error("silence_secs = 18000", "silence_secs = 100").contains("less than two heartbeats"));
        assert!(error("lost_after = 3", "lost_after = 0").contains("every task would be lost"));
        assert!(error("history_days = 90", "history_days = 0").contains("`limits.history_days`"));
        assert!(error("starvation_secs = 1800", "starvation_secs = 0").contains("is not between 1 and"));
        assert!(error("[bands.X]\ntasks = [\"ServiceNowExport\"]", "[bands.X]\ntasks = []").contains("is in no band"));
    }
}
