//! Ids in settings, looked at before the whole is read: a name in the place of an id is the usual slip, and what reads
//! a GUID can only say that a letter is wrong.

use serde_json::Value;

use super::policy::{SettingError, SettingName};
use crate::id::{Guid, shorten};

/// Whose id is wanted, and where an operator finds it.
const BEACON: &str = "the id of a beacon: `muster beacons` lists ids beside names";
const AGENT: &str = "the id of an agent: it is the origin of its packages in `muster packages list`";

/// Refuses the first text in the place of an id that is none. What has another form altogether is for the reader.
pub(super) fn check_ids(name: SettingName, value: &Value) -> Result<(), SettingError> {
    match name {
        SettingName::Beacons => {
            each_of("approved", &value["approved"], BEACON)?;
            let parents = value["parents"].as_object().into_iter().flatten();
            parents.into_iter().try_for_each(|(id, _)| is_id("parents", id, BEACON))
        }
        SettingName::MigrationMode => each_of("targets", &value["targets"], AGENT),
        SettingName::InventoryGroups => value.as_array().into_iter().flatten().try_for_each(|group| {
            each_of("agents", &group["agents"], AGENT)?;
            each_of("beacons", &group["beacons"], BEACON)
        }),
        SettingName::AgentSchedule | SettingName::ClientConfiguration | SettingName::InventorySettings => Ok(()),
    }
}

fn each_of(field: &'static str, ids: &Value, wanted: &'static str) -> Result<(), SettingError> {
    ids.as_array().into_iter().flatten().filter_map(Value::as_str).try_for_each(|id| is_id(field, id, wanted))
}

fn is_id(field: &'static str, id: &str, wanted: &'static str) -> Result<(), SettingError> {
    match id.parse::<Guid>() {
        Ok(_) => Ok(()),
        Err(_) => Err(SettingError::Id { field, met: shorten(id), wanted }),
    }
}
