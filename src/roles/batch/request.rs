use super::NewTask;
use crate::config::nearest;
use crate::id::{TenantId, shorten};
use crate::model::task::{
    GroupName, LOGIN_CHARS_MAX, ParameterError, Parameters, ScopeKind, TaskOrigin, TaskScope, TaskType,
};
use crate::model::tenants::Tenants;
use crate::time::Timestamp;

/// A task as somebody asks for it, not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRequest {
    /// The name of its type.
    pub task: String,
    /// The tenant it is for.
    pub tenant: Option<String>,
    /// The group it is for.
    pub group: Option<String>,
    /// Its parameters.
    pub parameters: Vec<(Box<str>, Box<str>)>,
    /// Not before this.
    pub not_before: Option<Timestamp>,
    /// Who asks.
    pub origin: TaskOrigin,
    /// The operator's account.
    pub login: Option<String>,
}

/// Why a task is not taken. Source: How Batch Scheduling and Processing Works, step 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskRefusal {
    /// No such type.
    #[error("`{name}` is no task: {hint}")]
    Type {
        /// What was asked for.
        name: String,
        /// What is meant, perhaps.
        hint: String,
    },
    /// Tenant and group.
    #[error("a task is for a tenant (-t) or for a group (-g), not for both")]
    Both,
    /// A scope for a task of the whole server.
    #[error("{0} is for the whole server: name no tenant (-t) and no group (-g)")]
    System(TaskType),
    /// No scope where several tenants are.
    #[error("{0} is for one tenant, and there are several: name it (-t), or a group (-g)")]
    Unscoped(TaskType),
    /// No such tenant.
    #[error("there is no tenant `{0}`, see `muster tenants list`")]
    Tenant(String),
    /// No such group.
    #[error("no tenant is of a group `{0}`, see `muster tenants list`")]
    Group(String),
    /// Wrong parameters.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// A login that is too long.
    #[error("the login has more than {LOGIN_CHARS_MAX} characters")]
    Login,
}

impl TaskRequest {
    /// Checks type, scope and parameters.
    pub fn check(self, tenants: &Tenants) -> Result<NewTask, TaskRefusal> {
        let task: TaskType = self.task.parse().map_err(|()| {
            let known = TaskType::ALL.map(TaskType::as_str);
            let hint = match nearest(&self.task, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the tasks are {}", known.join(", ")),
            };
            TaskRefusal::Type { name: shorten(&self.task), hint }
        })?;
        let scope = scope(task, self.tenant.as_deref(), self.group.as_deref(), tenants)?;
        if self.login.as_ref().is_some_and(|login| login.chars().count() > LOGIN_CHARS_MAX) {
            return Err(TaskRefusal::Login);
        }
        let parameters = Parameters::new(self.parameters)?;
        let login = self.login.map(Into::into);
        Ok(NewTask { task, scope, parameters, not_before: self.not_before, origin: self.origin, login })
    }
}

fn scope(
    task: TaskType,
    tenant: Option<&str>,
    group: Option<&str>,
    tenants: &Tenants,
) -> Result<TaskScope, TaskRefusal> {
    let of_tenant =
        |tenant: &TenantId, group: &GroupName| TaskScope::Tenant { tenant: tenant.clone(), group: group.clone() };
    match (task.scope(), tenant, group) {
        (_, Some(_), Some(_)) => Err(TaskRefusal::Both),
        (ScopeKind::System, None, None) => Ok(TaskScope::System),
        (ScopeKind::System, ..) => Err(TaskRefusal::System(task)),
        (_, Some(name), None) => {
            let known = name.parse::<TenantId>().ok();
            let known = known.and_then(|tenant| Some(of_tenant(&tenant, tenants.group(&tenant)?)));
            known.ok_or_else(|| TaskRefusal::Tenant(shorten(name)))
        }
        (_, None, Some(name)) => {
            let known = name.parse::<GroupName>().ok().filter(|group| tenants.of_group(group).next().is_some());
            known.map(TaskScope::Group).ok_or_else(|| TaskRefusal::Group(shorten(name)))
        }
        (_, None, None) => {
            let only = tenants.only().map(|(tenant, group)| of_tenant(tenant, group));
            only.ok_or(TaskRefusal::Unscoped(task))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tenants::Registration;

    fn ask(task: &str, tenant: Option<&str>, group: Option<&str>, tenants: &Tenants) -> Result<TaskScope, String> {
        let request = TaskRequest {
            task: task.into(),
            tenant: tenant.map(str::to_owned),
            group: group.map(str::to_owned),
            parameters: Vec::new(),
            not_before: None,
            origin: TaskOrigin::CommandLine,
            login: None,
        };
        request.check(tenants).map(|task| task.scope).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_scope_is_given_where_it_is_needed_and_nowhere_else() {
        let one = Tenants::one(TenantId::default_tenant());
        let mut two = one.clone();
        two.put("T1".parse().unwrap(), Registration::new("G1".parse().unwrap(), Timestamp::default()));
        let tenant = |name: &str, group: &str| {
            Ok(TaskScope::Tenant { tenant: name.parse().unwrap(), group: group.parse().unwrap() })
        };
        assert_eq!(ask("InventoryImport", None, None, &one), tenant("default", "default"));
        assert_eq!(ask("InventoryImport", Some("T1"), None, &two), tenant("T1", "G1"));
        assert_eq!(ask("BusinessAdapterImport", Some("T1"), None, &two), tenant("T1", "G1"));
        assert_eq!(ask("InventoryImport", None, Some("G1"), &two), Ok(TaskScope::Group("G1".parse().unwrap())));
        assert_eq!(ask("recognitionlibraryimport", None, None, &two), Ok(TaskScope::System));
        for (task, of, group, tenants, part) in [
            ("InventoryImport", None, None, &two, "there are several: name it"),
            ("InventoryImport", Some("T1"), Some("G1"), &two, "not for both"),
            ("InventoryImport", Some("T2"), None, &two, "there is no tenant `T2`"),
            ("InventoryImport", Some("a b"), None, &two, "there is no tenant `a b`"),
            ("InventoryImport", None, Some("G2"), &two, "no tenant is of a group `G2`"),
            ("SpoolMaintenance", Some("T1"), None, &two, "name no tenant"),
            ("SpoolMaintenance", None, Some("G1"), &two, "name no tenant"),
            ("NoSuchTask", None, None, &one, "the tasks are InventoryIntake, "),
            ("InventryImport", None, None, &one, "did you mean `InventoryImport`?"),
        ] {
            let refusal = ask(task, of, group, tenants).unwrap_err();
            assert!(refusal.contains(part), "{task}: {refusal}");
        }
    }
}
