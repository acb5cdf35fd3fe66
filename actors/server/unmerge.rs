//! Taking records out of a device: one turn that writes both devices and which records never meet again.

use std::collections::BTreeSet;

use muster::id::DeviceId;
use muster::matching::Record;
use muster::matching::unmerge::{UnmergeFault, Unmerged, unmerge};
use muster::model::device::DeviceFact;
use muster::model::fact::FactKey;
use muster::model::staged::StagedRecord;
use muster::model::tenant::TenantState;
use muster::roles::server::ImportRules;

use super::books::{Books, News, TurnError};
use super::importer::write_device;
use super::rules::in_force;
use crate::clock::SharedClock;

/// Why nothing was taken out.
#[derive(Debug, thiserror::Error)]
pub enum UnmergeError {
    /// There is no such device, or it was merged into another one.
    #[error("there is no device of this number")]
    NoDevice,
    /// The question makes no sense.
    #[error(transparent)]
    Fault(#[from] UnmergeFault),
    /// The books were not written.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// What was taken out.
#[derive(Clone, Debug)]
pub struct TakenOut {
    /// The new device.
    pub device: DeviceId,
    /// Pairs of records that are kept apart from now on.
    pub pairs: usize,
    /// The counters afterwards.
    pub state: TenantState,
}

/// Takes the records of these numbers out of a device.
pub async fn take_out(
    books: &Books,
    rules: &ImportRules,
    clock: &SharedClock,
    device: DeviceId,
    numbers: BTreeSet<u64>,
) -> Result<TakenOut, UnmergeError> {
    // An import that has read the device would write it back as it was.
    let _task = books.one_task.lock().await;
    let (tenant, now) = (books.tenant.clone(), clock.now());
    let rules = in_force(&books.facts, &books.tenant, rules);
    let done = books.turn(move |draft| {
        let key = |id| FactKey::Device(tenant.clone(), id);
        let Some(fact) = draft.read::<DeviceFact>(&key(device))?.filter(|fact| fact.device.merged_into.is_none())
        else {
            return Ok((Err(UnmergeError::NoDevice), News::default()));
        };
        let mut records = Vec::new();
        for binding in &fact.device.bindings {
            let staged: Option<StagedRecord> = draft.read(&FactKey::Record(tenant.clone(), binding.record.clone()))?;
            records.extend(staged.map(|staged| Record::new(staged.computer(&binding.record), &rules.placeholders)));
        }
        let state_key = FactKey::Tenant(tenant.clone());
        let state: TenantState = draft.read(&state_key)?.unwrap_or_default();
        let primary = rules.primary.as_deref();
        let Unmerged { left, taken, pairs } =
            match unmerge(&fact.device, &records, &numbers, state.next_device, primary) {
                Ok(done) => done,
                Err(fault) => return Ok((Err(fault.into()), News::default())),
            };
        let changed = now.max(state.last_change.plus_ms(1));
        let (device, count) = (taken.id, pairs.len());
        let devices = [left, taken].map(|device| DeviceFact { device, changed });
        for fact in &devices {
            write_device(draft, &tenant, fact)?;
        }
        for (a, b) in pairs {
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            draft.write(&FactKey::Apart(tenant.clone(), a, b), &now);
        }
        let next = TenantState {
            next_device: DeviceId(state.next_device.0 + 1),
            devices: state.devices + 1,
            last_change: changed,
            ..state
        };
        draft.write(&state_key, &next);
        Ok((Ok(TakenOut { device, pairs: count, state: next }), News { devices: devices.into(), ..News::default() }))
    });
    done.await?
}
