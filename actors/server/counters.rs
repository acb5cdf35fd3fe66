//! The tenant's counters, also when their fact has rotted: they are found again from what was counted, because numbers of
//! devices and records must never be given twice.

use muster::id::{DeviceId, TenantId};
use muster::model::fact::{FactKey, FactKind};
use muster::model::staged::StagedRecord;
use muster::model::stored;
use muster::model::tenant::TenantState;
use muster::roles::server::ImportEnded;
use tracing::{error, warn};

use super::fleet::FleetError;
use crate::errors::{Chain, Hex};
use crate::log::{FactIndex, ReadError};

/// Keys that are looked at together.
const PAGE: usize = 1_000;

/// The counters of `tenant`; new ones for a tenant of which nothing is known.
pub fn tenant_state(facts: &FactIndex, tenant: &TenantId) -> Result<TenantState, FleetError> {
    match facts.get(&FactKey::Tenant(tenant.clone()).encode()) {
        Ok(Some(value)) => Ok(stored::unpack(&value)?),
        Ok(None) => Ok(counted(facts, tenant)),
        Err(error @ ReadError::Rotten { .. }) => {
            error!(error = %Chain(&error), "the tenant's counters have rotted and are counted anew");
            Ok(counted(facts, tenant))
        }
        Err(error) => Err(FleetError::Read(error)),
    }
}

/// Numbers behind every device and record there is; everything is imported, reconciled and exported once more.
fn counted(facts: &FactIndex, tenant: &TenantId) -> TenantState {
    let mut state = TenantState::default();
    let mut after = None::<Box<[u8]>>;
    loop {
        let page = facts.keys(&FactKind::Device.prefix(Some(tenant)), after.as_deref(), PAGE);
        let Some((last, _)) = page.last() else { break };
        if let Some(FactKey::Device(_, id)) = FactKey::decode(last) {
            state.next_device = DeviceId(id.0 + 1);
        }
        after = Some(last.clone());
    }
    let mut records = 0u64;
    let damaged = facts.each(&FactKind::Record.prefix(Some(tenant)), |_, _, value| {
        records += 1;
        if let Ok(record) = stored::unpack::<StagedRecord>(&value) {
            state.next_record = state.next_record.max(record.number + 1);
        }
    });
    for (key, error) in damaged {
        warn!(key = %Hex(&key), error = %Chain(&error), "a record cannot be read, its number may be given again");
    }
    let imports = facts.each(&FactKind::Import.prefix(Some(tenant)), |_, _, value| {
        if let Ok(ended) = stored::unpack::<ImportEnded>(&value) {
            state.imports = state.imports.max(ended.number + 1);
        }
    });
    for (key, error) in imports {
        warn!(key = %Hex(&key), error = %Chain(&error), "the report of an import cannot be read");
    }
    let business = facts.keys(&FactKind::Business.prefix(Some(tenant)), None, PAGE);
    state.business_files = u32::try_from(business.len()).unwrap_or(u32::MAX);
    if records > 0 {
        (state.staged, state.devices) = (1, u64::from(state.next_device > DeviceId(1)));
    }
    state
}
