use serde::{Deserialize, Serialize};

use super::{Parameters, TaskScope, TaskType};
use crate::id::Guid;
use crate::rng::mix;
use crate::time::Timestamp;

/// Most characters of an operator's login. Source: agent-beacon-batch reference, section 11.2.
pub const LOGIN_CHARS_MAX: usize = 512;

/// Who sent a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskOrigin {
    /// The command line.
    CommandLine,
    /// A program that asks the API.
    Api,
    /// A page.
    Web,
    /// Reports that arrived.
    Intake,
    /// A beacon.
    Beacon,
    /// Its schedule.
    Schedule,
    /// A task that it follows.
    Task,
    /// The server itself, for what it has to make up for.
    System,
}

/// A task as it was submitted; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSubmission {
    /// Names it everywhere.
    pub guid: Guid,
    /// What is to be done.
    pub task: TaskType,
    /// For whom.
    pub scope: TaskScope,
    /// How.
    pub parameters: Parameters,
    /// When it was taken.
    pub submitted: Timestamp,
    /// It does not start before this.
    pub not_before: Option<Timestamp>,
    /// Who sent it.
    pub origin: TaskOrigin,
    /// The operator's account; `None` for the server itself.
    pub login: Option<Box<str>>,
    /// The task that waits already, when this is the same again. It is never queued then.
    pub duplicate_of: Option<Guid>,
}

impl TaskSubmission {
    /// Two submissions with the same identity do the same: type, group, tenant, names and values of parameters.
    pub fn identity(&self) -> u128 {
        identity(self.task, &self.scope, &self.parameters)
    }
}

/// See [`TaskSubmission::identity`]. 128 bits, so that no two of a million collide by chance.
pub(crate) fn identity(task: TaskType, scope: &TaskScope, parameters: &Parameters) -> u128 {
    let half = |seed: u64| {
        let (kind, name) = match scope {
            TaskScope::System => (0, ""),
            TaskScope::Group(group) => (1, group.as_str()),
            TaskScope::Tenant { tenant, .. } => (2, tenant.as_str()),
        };
        let seed = name.bytes().fold(mix(seed, kind), |seed, byte| mix(seed, byte.into()));
        parameters.hash(mix(seed, task.index() as u64))
    };
    u128::from(half(0x6d75_7374_6572)) << 64 | u128::from(half(0x7461_736b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_group_tenant_and_parameters_make_a_task_another() {
        let tenant = |name: &str| TaskScope::Tenant { tenant: name.parse().unwrap(), group: "G".parse().unwrap() };
        let with = |text: &str| Parameters::parse([text]).unwrap();
        let all = [
            identity(TaskType::InventoryImport, &tenant("T1"), &Parameters::default()),
            identity(TaskType::InventoryImport, &tenant("T2"), &Parameters::default()),
            identity(TaskType::InventoryImport, &TaskScope::Group("T1".parse().unwrap()), &Parameters::default()),
            identity(TaskType::LicenseReconcile, &tenant("T1"), &Parameters::default()),
            identity(TaskType::InventoryImport, &tenant("T1"), &with("full=true")),
            identity(TaskType::InventoryImport, &tenant("T1"), &with("full=false")),
            identity(TaskType::InventoryImport, &tenant("T1"), &with("part=true")),
        ];
        let different: std::collections::BTreeSet<u128> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all[0], identity(TaskType::InventoryImport, &tenant("T1"), &Parameters::default()));
    }
}
