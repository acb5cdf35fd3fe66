use serde::{Deserialize, Serialize};

/// What survives of the batch scheduler beside its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    /// Whether nothing is sent for processing until an operator says so.
    pub is_paused: bool,
    /// Tasks below this number were forgotten: their numbers are not given again.
    pub next: super::TaskNumber,
    /// When the first scheduler of this server began: schedules count from then.
    #[serde(default)]
    pub since: Option<crate::time::Timestamp>,
}
