//! How a view that is behind the log catches up with it, on a thread of its own beside live writes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use muster::id::TenantId;
use muster::model::device::RecordKey;
use muster::model::fact::{FactKey, FactKind};
use muster::model::package::PackageKey;
use muster::model::software::TitleList;
use muster::model::staged::{StagedRecord, StagedReport};
use muster::model::stored;
use muster::roles::server::view::key;
use muster::roles::server::{Content, Shown, SoftwareHead, Staged, ViewError};
use tracing::{error, info, warn};

use super::{BATCH_ROWS, Unanswered, View, ViewFailure, Writing, is_bloated};
use crate::errors::Chain;
use crate::log::Position;
use crate::server::reading::Read;
use crate::store::Store;

/// How often the view looks whether it is behind.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to build a view that fails.
const REBUILD_WAIT: Duration = Duration::from_secs(30);

impl View {
    /// Catches up whenever the view is behind, until [`View::stop`]. For a thread of its own.
    pub fn keep_up(&self) {
        let mut tries_anew = match is_bloated(&*self.store()) {
            Ok(is_bloated) => is_bloated,
            Err(error) => {
                error!(error = %Chain(&error), "the view does not answer");
                true
            }
        };
        while !self.stopped.load(Ordering::Relaxed) {
            if std::mem::take(&mut tries_anew)
                && let Err(error) = self.begin_anew(&mut self.lock())
            {
                error!(error = %Chain(&error), "the view is behind the log, tried again");
            }
            let (is_behind, in_memory) = {
                let writing = self.lock();
                (writing.behind, writing.in_memory)
            };
            let wait = match is_behind.then(|| if in_memory { Ok(false) } else { self.catch_up() }) {
                None | Some(Ok(true)) => LOOK_EVERY,
                // No disk, or one that does not answer now.
                Some(Ok(false)) => {
                    tries_anew = in_memory;
                    REBUILD_WAIT
                }
                Some(Err(error)) => {
                    error!(error = %Chain(&error), "the view is set aside and built again from the log");
                    tries_anew = true;
                    REBUILD_WAIT
                }
            };
            std::thread::park_timeout(wait);
        }
    }

    /// Shows the software of every staged report that the store does not show yet, from the packages that are kept.
    /// Long after a rebuild: one reading for each report, beside live writes. Whether it has come to the end; `false`
    /// when the disk does not answer now.
    fn catch_up(&self) -> Result<bool, ViewFailure> {
        let seen = self.facts.newest();
        let covered = self.store().covered().map_err(ViewError::Store)?;
        let Some(shown) = self.catch_up_behind(covered, None)? else { return Ok(false) };
        // What was committed meanwhile is shown by its own commit, or was to be and was not: looked at under the lock.
        let mut writing = self.lock();
        let newest = self.facts.newest();
        let Some(late) = self.catch_up_behind(seen, Some(&mut writing))? else { return Ok(false) };
        self.apply_devices(&mut writing)?;
        writing.behind = false;
        writing.applied = writing.applied.max(newest);
        let store = self.store();
        store.apply(Vec::new(), writing.applied).map_err(ViewError::Store)?;
        writing.synced = Instant::now();
        match store.sync() {
            Ok(()) => self.facts.cover(writing.applied),
            Err(error) => warn!(error = %Chain(&error), "the view is not synced, old facts are kept longer"),
        }
        info!(reports = shown + late, "the view has caught up with the log");
        Ok(true)
    }

    /// Catches up with the records behind `covered`, under the lock of `writing` or taking it for each report. How many
    /// reports were shown; `None` when the disk does not answer now, or the view is to stop.
    fn catch_up_behind(
        &self,
        covered: Position,
        mut writing: Option<&mut Writing>,
    ) -> Result<Option<u64>, ViewFailure> {
        let (mut after, mut shown) = (None::<Box<[u8]>>, 0);
        loop {
            let page = self.facts.keys(&FactKind::Record.prefix(None), after.as_deref(), BATCH_ROWS);
            let Some((last, _)) = page.last() else { return Ok(Some(shown)) };
            after = Some(last.clone());
            for (encoded, _) in page.iter().filter(|(_, position)| *position > covered) {
                if self.stopped.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let Ok(fact) = self.fact::<StagedRecord>(encoded) else { return Ok(None) };
                let Some((FactKey::Record(tenant, record), staged)) = fact else { continue };
                for report in staged.software_streams() {
                    let reborrowed = writing.as_deref_mut();
                    match self.catch_up_report(&tenant, &record, report, encoded, reborrowed)? {
                        Some(is_shown) => shown += u64::from(is_shown),
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// Whether the report's software was missing and is shown now; `None` when the disk does not answer now.
    fn catch_up_report(
        &self,
        tenant: &TenantId,
        record: &RecordKey,
        report: &StagedReport,
        encoded: &[u8],
        writing: Option<&mut Writing>,
    ) -> Result<Option<bool>, ViewFailure> {
        let head_key = key::software(tenant, record, &report.stream);
        let is_shown = |store: &dyn Store| -> Result<bool, ViewFailure> {
            let head = store.get(&head_key).map_err(ViewError::Store)?;
            let head: Option<SoftwareHead> = head.map(|head| stored::unpack(&head)).transpose()?;
            Ok(head.is_some_and(|head| head.package == report.package))
        };
        if is_shown(&*self.store())? {
            return Ok(Some(false));
        }
        let software = match self.read(tenant, &report.package) {
            Ok(Some(software)) => software,
            Ok(None) => return Ok(Some(false)),
            Err(Unanswered) => return Ok(None),
        };
        let staged = Staged { record: record.clone(), stream: report.stream.clone(), software, evicted: None };
        // Under the lock: a newer report of the stream may have been shown meanwhile.
        let mut own = None;
        let writing = match writing {
            Some(writing) => writing,
            None => own.insert(self.lock()),
        };
        let Ok(now) = self.fact::<StagedRecord>(encoded) else { return Ok(None) };
        let is_newest = now
            .and_then(|(_, now)| now.report(&report.stream).map(|newest| newest.package == report.package))
            .unwrap_or(false);
        if !is_newest || is_shown(&*self.store())? {
            return Ok(Some(false));
        }
        let position = writing.applied;
        self.show_in(writing, &[(tenant, Shown::Software(&staged, &report.package))], position)?;
        Ok(Some(true))
    }

    /// The software that a package lists; `None` when it cannot be read any more.
    fn read(&self, tenant: &TenantId, package: &PackageKey) -> Result<Option<TitleList>, Unanswered> {
        let held = self.reading.packages.find(&package.encode(tenant));
        match held.map(|held| self.reading.read(held.handle)) {
            Some(Read::Package(.., Content::Inventory(inventory))) => return Ok(Some(inventory.software)),
            Some(Read::Failed) => return Err(Unanswered),
            Some(_) => {
                warn!(package = %package.digest, "a staged report cannot be read any more, its software is not shown");
            }
            None => warn!(package = %package.digest, "a staged report is not kept any more, its software is not shown"),
        }
        Ok(None)
    }
}
