//! Packages that an agent has a receipt for and that never came: their number, and `GET /packages?state=missing`.

use muster::model::fact::{FactKey, FactKind};
use muster::model::package::Origin;
use muster::upload::gaps::Gap;
use serde_json::{Value, json};

use super::Api;
use super::listing::{Asked, Cell, Fields, Page, Window};
use super::packages::MISSING;
use super::problem::Problem;
use crate::errors::Chain;
use crate::server::gaps::open_gaps;

/// Keys that are looked at together.
const PAGE: usize = 1_000;

/// Missing packages of one stream with numbers that follow each other.
pub(super) struct Missing {
    origin: Origin,
    gap: Gap,
}

impl Api {
    /// Packages that were called missing, and that no ledger has settled since.
    pub(super) fn missing(&self) -> Result<u64, Problem> {
        let mut packages = 0_u64;
        self.each_missing(|missing| packages = packages.saturating_add(missing.gap.packages()))?;
        Ok(packages)
    }

    fn each_missing(&self, mut each: impl FnMut(Missing)) -> Result<(), Problem> {
        let (draft, now, tenant) = (self.books.draft(), self.clock.now(), &self.books.tenant);
        let mut after = None::<Box<[u8]>>;
        loop {
            let page = self.books.facts.keys(&FactKind::Gaps.prefix(Some(tenant)), after.as_deref(), PAGE);
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (encoded, _) in &page {
                let Some(FactKey::Gaps(_, origin)) = FactKey::decode(encoded) else { continue };
                let open = open_gaps(&draft, tenant, &origin, now);
                let open = open.map_err(|error| Problem::internal("store", Chain(&error).to_string()))?;
                open.missing().for_each(|gap| each(Missing { origin: origin.clone(), gap: gap.clone() }));
            }
        }
    }
}

pub(super) fn page(api: &Api, asked: &Asked) -> Result<Page<Missing>, Problem> {
    let mut window = Window::new(asked);
    api.each_missing(|missing| {
        let id = missing.id();
        window.offer(id.as_bytes(), missing, |missing| missing);
    })?;
    Ok(window.page())
}

impl Missing {
    fn id(&self) -> String {
        let Gap { stream, epoch, first, .. } = &self.gap;
        format!("{} {stream} {epoch:020} {first:020}", self.origin)
    }

    fn kind(&self) -> &str {
        self.gap.stream.as_str().split('/').next().unwrap_or_default()
    }

    /// As a package is shown; what only its bytes could tell is null.
    pub(super) fn shown(&self) -> Value {
        let since = self.gap.since.to_rfc3339();
        json!({
            "digest": null,
            "kind": self.kind(),
            "name": null,
            "origin": self.origin.as_str(),
            "unproven": true,
            "stream": self.gap.stream.as_str(),
            "size": null,
            "epoch": self.gap.epoch.to_string(),
            "sequence": self.gap.first,
            "state": MISSING,
            "reason": format!(
                "acknowledged as far as number {}, as the agent told {} at {since}, and never come",
                self.gap.last, self.gap.beacon
            ),
            "clock": null,
            "collected_at": null,
            "first_received": null,
            "received": null,
            "settled": null,
            "hops": [],
        })
    }
}

impl Fields for Missing {
    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "kind" => Cell::text(self.kind()),
            "origin" => Cell::text(self.origin.as_str()),
            "state" => Cell::text(MISSING),
            _ => Cell::Null,
        }
    }
}
