//! Times at which tasks are submitted, as an operator has set them in place of those of `tasks.toml`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::nearest;
use crate::id::shorten;
use crate::model::task::{TaskType, Trigger};

/// What an operator has set: a time, or never, by task. What is not set is as the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetSchedules(BTreeMap<TaskType, Option<Trigger>>);

/// Why times are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No object.
    #[error("it has to be like {{\"InventoryImport\": \"02:00\", \"DataWarehouseUpdate\": null}}")]
    Form,
    /// No such task.
    #[error("`{name}` is no task: {hint}")]
    Task {
        /// What was written.
        name: String,
        /// What is meant, perhaps.
        hint: String,
    },
    /// No time.
    #[error(
        "`{0}` is no time of a task: write \"03:00\", \"03:00 monday friday\" or \"every 3600 s\", or null for never"
    )]
    Time(String),
}

impl SetSchedules {
    /// Reads what an operator sends.
    pub fn read(value: &Value) -> Result<SetSchedules, ScheduleError> {
        let object = value.as_object().ok_or(ScheduleError::Form)?;
        let set = object.iter().map(|(name, time)| {
            let task: TaskType = name.parse().map_err(|()| {
                let known = TaskType::ALL.map(TaskType::as_str);
                let hint = match nearest(name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the tasks are {}", known.join(", ")),
                };
                ScheduleError::Task { name: shorten(name), hint }
            })?;
            let trigger = match time {
                Value::Null => None,
                Value::String(text) => Some(Trigger::read(text).ok_or_else(|| ScheduleError::Time(shorten(text)))?),
                other => return Err(ScheduleError::Time(shorten(&other.to_string()))),
            };
            Ok((task, trigger))
        });
        Ok(SetSchedules(set.collect::<Result<_, _>>()?))
    }

    /// As [`SetSchedules::read`] reads it.
    pub fn value(&self) -> Value {
        let time = |trigger: &Option<Trigger>| trigger.map_or(Value::Null, |trigger| trigger.to_string().into());
        Value::Object(
            self.0.iter().map(|(task, trigger)| (task.as_str().to_owned(), time(trigger))).collect::<Map<_, _>>(),
        )
    }

    /// The times in force, those of the file being `file`; ascending by task.
    pub fn over(&self, file: &[(TaskType, Trigger)]) -> Vec<(TaskType, Trigger)> {
        let of_file = file.iter().copied().filter(|(task, _)| !self.0.contains_key(task));
        let set = self.0.iter().filter_map(|(task, trigger)| Some((*task, (*trigger)?)));
        let mut all: Vec<(TaskType, Trigger)> = of_file.chain(set).collect();
        all.sort_by_key(|(task, _)| *task);
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_set_takes_the_place_of_what_the_file_says_and_null_is_never() {
        let file = [
            (TaskType::InventoryImport, Trigger::read("00:00").unwrap()),
            (TaskType::DataWarehouseUpdate, Trigger::read("06:00 sunday").unwrap()),
            (TaskType::SpoolMaintenance, Trigger::read("04:00").unwrap()),
        ];
        let value = json!({ "InventoryImport": "02:30 monday friday", "DataWarehouseUpdate": null,
            "LicenseReconcile": "every 3600 s" });
        let set = SetSchedules::read(&value).unwrap();
        assert_eq!(set.value(), value);
        let force: Vec<String> = set.over(&file).iter().map(|(task, trigger)| format!("{task} {trigger}")).collect();
        let mut wanted =
            ["InventoryImport 02:30 monday friday", "LicenseReconcile every 3600 s", "SpoolMaintenance 04:00"];
        wanted.sort_by_key(|line| line.split(' ').next().unwrap().parse::<TaskType>().unwrap());
        assert_eq!(force, wanted);
        assert_eq!(SetSchedules::default().over(&file), file);
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (value, part) in [
            (json!([]), "it has to be like"),
            (json!({ "InventryImport": "02:00" }), "did you mean `InventoryImport`?"),
            (json!({ "InventoryImport": "2 am" }), "`2 am` is no time of a task"),
            (json!({ "InventoryImport": "02:00 someday" }), "is no time"),
            (json!({ "InventoryImport": "02:00 monday monday" }), "is no time"),
            (json!({ "InventoryImport": "every 0 s" }), "is no time"),
            (json!({ "InventoryImport": 7 }), "`7` is no time"),
        ] {
            let error = SetSchedules::read(&value).unwrap_err().to_string();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
