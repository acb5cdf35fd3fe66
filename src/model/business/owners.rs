//! Whose the rows of an operator's business file are.
//!
//! Source: agent-beacon-batch reference, section 11.5: rows name their tenant; a file without a tenant column belongs to the
//! group's only tenant, else it is refused.

use crate::id::{TenantId, shorten};
use crate::model::task::TaskScope;
use crate::model::tenants::Tenants;

/// The tenants that a file may have rows of.
#[derive(Clone, Debug)]
pub struct Owners {
    /// Ascending.
    tenants: Vec<TenantId>,
    /// How errors name them.
    shown: String,
}

impl Owners {
    /// Those that a task of this scope is for.
    pub fn of(scope: &TaskScope, tenants: &Tenants) -> Owners {
        match scope {
            TaskScope::Tenant { tenant, .. } => {
                Owners { tenants: vec![tenant.clone()], shown: format!("tenant {tenant}") }
            }
            TaskScope::Group(group) => {
                Owners { tenants: tenants.of_group(group).cloned().collect(), shown: format!("group {group}") }
            }
            TaskScope::System => Owners {
                tenants: tenants.iter().map(|(tenant, _)| tenant.clone()).collect(),
                shown: "the server".into(),
            },
        }
    }

    /// All of them, ascending.
    pub fn all(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Whose a file is that has no column of tenants.
    pub fn only(&self) -> Result<&TenantId, String> {
        match &self.tenants[..] {
            [only] => Ok(only),
            several => Err(format!(
                "no column `tenant` says whose the rows are, and {} has {} tenants: add the column, or name the tenant (-t)",
                self.shown,
                several.len()
            )),
        }
    }

    /// Whose a row is that names `tenant`.
    pub fn named(&self, tenant: &str) -> Result<&TenantId, String> {
        if tenant.is_empty() {
            return Err("is empty, every row needs its tenant".into());
        }
        let place = self.tenants.binary_search_by(|known| known.as_str().cmp(tenant));
        place.map(|place| &self.tenants[place]).map_err(|_| {
            format!(
                "`{}` is no tenant of this task, which is for {}: see `muster tenants list`",
                shorten(tenant),
                self.shown
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tenants::Registration;
    use crate::time::Timestamp;

    fn owners(scope: &str) -> Owners {
        let mut tenants = Tenants::one(TenantId::default_tenant());
        for (tenant, group) in [("T1", "G"), ("T2", "G"), ("T3", "H")] {
            let registration = Registration::new(group.parse().unwrap(), Timestamp(0));
            tenants.put(tenant.parse().unwrap(), registration);
        }
        let scope = match scope.strip_prefix('T') {
            Some(_) => TaskScope::Tenant { tenant: scope.parse().unwrap(), group: "G".parse().unwrap() },
            None => TaskScope::Group(scope.parse().unwrap()),
        };
        Owners::of(&scope, &tenants)
    }

    #[test]
    fn a_file_without_a_column_of_tenants_is_that_of_the_only_one() {
        assert_eq!(owners("T2").only().unwrap().as_str(), "T2");
        assert_eq!(owners("H").only().unwrap().as_str(), "T3");
        let error = owners("G").only().unwrap_err();
        assert!(error.contains("group G has 2 tenants: add the column, or name the tenant (-t)"), "{error}");
    }

    #[test]
    fn a_row_is_of_the_tenant_that_it_names_when_the_task_is_for_it() {
        let group = owners("G");
        assert_eq!(group.all().len(), 2);
        assert_eq!(group.named("T2").unwrap().as_str(), "T2");
        for (owners, tenant, part) in [
            (&group, "T3", "`T3` is no tenant of this task, which is for group G"),
            (&group, "t2", "is no tenant of this task"),
            (&group, "", "is empty"),
            (&owners("T1"), "T2", "which is for tenant T1"),
        ] {
            let error = owners.named(tenant).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
