use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::TenantId;

/// Most characters of a group's name. Source: agent-beacon-batch reference, section 11.2.
const GROUP_CHARS_MAX: usize = 50;

/// Tenants whose business data is kept together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(Arc<str>);

/// Why a text is no name of a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a group name: 1 to 50 letters, digits, `-` or `_`")]
pub struct GroupNameError(String);

impl GroupName {
    /// The group of an installation that has only one: `default`.
    pub fn default_group() -> GroupName {
        GroupName("default".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<GroupName, GroupNameError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=GROUP_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_name);
        let shortened = || text.chars().take(GROUP_CHARS_MAX).collect();
        if fits { Ok(GroupName(text.into())) } else { Err(GroupNameError(shortened())) }
    }
}

impl TryFrom<String> for GroupName {
    type Error = GroupNameError;

    fn try_from(text: String) -> Result<GroupName, GroupNameError> {
        text.parse()
    }
}

impl From<GroupName> for String {
    fn from(group: GroupName) -> String {
        group.0.as_ref().into()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose data a task works on. The system contains every group, and a group its tenants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskScope {
    /// Of the whole server.
    System,
    /// Of all tenants of a group.
    Group(GroupName),
    /// Of one tenant.
    Tenant {
        /// It.
        tenant: TenantId,
        /// The group it was of when the task was submitted.
        group: GroupName,
    },
}

impl TaskScope {
    /// The tenant, when it is one's.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            TaskScope::Tenant { tenant, .. } => Some(tenant),
            TaskScope::System | TaskScope::Group(_) => None,
        }
    }

    /// The group, when it is of a whole one.
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            TaskScope::Group(group) => Some(group),
            TaskScope::System | TaskScope::Tenant { .. } => None,
        }
    }

    /// Whether some tenant's data is in both.
    pub fn overlaps(&self, other: &TaskScope) -> bool {
        match (self, other) {
            (TaskScope::System, _) | (_, TaskScope::System) => true,
            (TaskScope::Group(one), TaskScope::Group(other) | TaskScope::Tenant { group: other, .. })
            | (TaskScope::Tenant { group: one, .. }, TaskScope::Group(other)) => one == other,
            (TaskScope::Tenant { tenant: one, .. }, TaskScope::Tenant { tenant: other, .. }) => one == other,
        }
    }

    /// The same, a tenant standing for its whole group.
    pub fn widened(&self) -> TaskScope {
        match self {
            TaskScope::Tenant { group, .. } => TaskScope::Group(group.clone()),
            TaskScope::System | TaskScope::Group(_) => self.clone(),
        }
    }
}

impl fmt::Display for TaskScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskScope::System => f.write_str("the whole server"),
            TaskScope::Group(group) => write!(f, "group {group}"),
            TaskScope::Tenant { tenant, .. } => write!(f, "tenant {tenant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(tenant: &str, group: &str) -> TaskScope {
        TaskScope::Tenant { tenant: tenant.parse().unwrap(), group: group.parse().unwrap() }
    }

    #[test]
    fn scopes_overlap_when_one_contains_the_other() {
        let group = |name: &str| TaskScope::Group(name.parse().unwrap());
        let scopes = [TaskScope::System, group("G1"), group("G2"), tenant("T1", "G1"), tenant("T2", "G1")];
        let overlaps = scopes.each_ref().map(|one| scopes.each_ref().map(|other| u8::from(one.overlaps(other))));
        assert_eq!(overlaps, [[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 0, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 0, 1]]);
        assert!(tenant("T1", "G1").widened().overlaps(&tenant("T2", "G1").widened()));
    }

    #[test]
    fn a_group_has_a_plain_name() {
        assert!("emea-1_x".parse::<GroupName>().is_ok());
        for wrong in ["", "two words", "ä", &"x".repeat(51)] {
            assert!(wrong.parse::<GroupName>().is_err(), "{wrong}");
        }
    }
}
