//! What the server counts for one tenant: next numbers, and how far import, reconcile and export have come.

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;
use crate::time::Timestamp;

/// Value of a `FactKey::Tenant`.
///
/// A revision counts changes. A task that finished names the revision it has seen, so a start knows what is still to be
/// done without asking any device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantState {
    /// Number of the next record.
    pub next_record: u64,
    /// Number of the next device.
    pub next_device: DeviceId,
    /// Raised whenever a report is staged.
    pub staged: u64,
    /// What of `staged` the last import saw.
    pub imported: u64,
    /// Raised by every import that changed a device.
    pub devices: u64,
    /// What of `devices` the last reconcile saw.
    pub reconciled: u64,
    /// What of `devices` the last export that succeeded carried.
    pub exported: u64,
    /// When the last import ended.
    pub last_import: Option<Timestamp>,
    /// The greatest time that a device says it was changed at. Each import that changes something gives a greater one,
    /// whatever the clock does, so an export of changes misses none.
    pub last_change: Timestamp,
    /// What `staged` was when inventory of another tool was staged last: the import of that is not kept waiting.
    #[serde(default)]
    pub third_party: u64,
    /// How many sources have a business file in force, counted for each kind.
    #[serde(default)]
    pub business_files: u32,
    /// Segment and offset in the facts log up to which the last import has seen all records.
    #[serde(default)]
    pub imported_through: (u64, u32),
    /// Fingerprint of the rules of the last import; 0 for none.
    #[serde(default)]
    pub import_rules: u64,
    /// How many imports have ended.
    #[serde(default)]
    pub imports: u64,
    /// Raised whenever a table of licences or the entitlements of a source change.
    #[serde(default)]
    pub terms: u64,
    /// What of `terms` the last reconcile saw.
    #[serde(default)]
    pub terms_reconciled: u64,
}

impl TenantState {
    /// Something was staged, so there is something to import; what another tool says is imported on arrival.
    pub fn note_staged(&mut self, is_third_party: bool) {
        self.staged += 1;
        if is_third_party {
            self.third_party = self.staged;
        }
    }

    /// Whether inventory of another tool waits for an import.
    pub fn has_third_party(&self) -> bool {
        self.third_party > self.imported
    }
}

impl Default for TenantState {
    fn default() -> TenantState {
        TenantState {
            next_record: 1,
            next_device: DeviceId(1),
            staged: 0,
            imported: 0,
            devices: 0,
            reconciled: 0,
            exported: 0,
            last_import: None,
            last_change: Timestamp::default(),
            third_party: 0,
            business_files: 0,
            imported_through: (0, 0),
            import_rules: 0,
            imports: 0,
            terms: 0,
            terms_reconciled: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stored;

    #[test]
    fn counters_of_an_earlier_version_read() {
        let earlier = (3u64, 2u64, 9u64, 8u64, 7u64, 7u64, 7u64, Some(5i64), 6i64);
        let state: TenantState = stored::unpack(&stored::pack(&earlier)).unwrap();
        let wanted = TenantState {
            next_record: 3,
            next_device: DeviceId(2),
            staged: 9,
            imported: 8,
            devices: 7,
            reconciled: 7,
            exported: 7,
            last_import: Some(Timestamp(5)),
            last_change: Timestamp(6),
            ..TenantState::default()
        };
        assert_eq!(state, wanted);
        assert!(!state.has_third_party());
    }
}
