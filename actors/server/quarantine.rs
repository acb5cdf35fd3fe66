//! Notes what beacons set aside, and says what it has an entry for.

use muster::model::aside::{AsideRecord, StatusAnswer};
use muster::model::fact::{FactKey, FactKind};
use muster::time::Timestamp;
use tracing::{error, warn};

use super::books::{Books, News, TurnError};
use crate::errors::Chain;
use crate::hierarchy::SetAside;

/// Most packages in quarantine at beacons that are remembered. More are not acknowledged, so the beacons keep them.
const RECORDS_MAX: usize = 20_000;

/// Notes `aside` durably; the answer names what has an entry now: here, or in the ledger because it came another way.
pub async fn record(books: Books, aside: SetAside, now: Timestamp) -> StatusAnswer {
    let tenants = books.tenants.now();
    let facts = books.facts.clone();
    let recorded = books.turn(move |draft| {
        let mut room = RECORDS_MAX - facts.keys(&FactKind::Aside.prefix(None), None, RECORDS_MAX).len();
        let (mut answer, mut new, mut left) = (StatusAnswer::default(), 0u64, 0u64);
        for (beacon, reports) in aside {
            // Where it came by first is not told; beacons below each other are of one tenant as a rule.
            let tenant = tenants.of_beacon(Some(beacon));
            for report in reports {
                let (key, known) = (report.key(), |fact: FactKey| facts.contains(&fact.encode()));
                let fact = FactKey::Aside(tenant.clone(), key.clone());
                if !known(FactKey::Package(tenant.clone(), key.clone())) && !known(fact.clone()) {
                    if room == 0 {
                        left += 1;
                        continue;
                    }
                    (room, new) = (room - 1, new + 1);
                    let (why, since, place) = (report.why, report.since, report.place);
                    draft.write(&fact, &AsideRecord { beacon, why, since, recorded: now, place });
                }
                answer.acknowledged.entry(beacon).or_default().push(key);
            }
        }
        Ok::<_, TurnError>(((answer, new, left), News::default()))
    });
    match recorded.await {
        Ok((answer, new, left)) => {
            if new > 0 {
                warn!(packages = new, "beacons set packages aside, they stay in quarantine there");
            }
            if left > 0 {
                error!(
                    packages = left,
                    "too many packages are in quarantine at beacons, these are not noted: see `muster beacons`"
                );
            }
            answer
        }
        Err(error) => {
            error!(error = %Chain(&error), "what beacons set aside is not noted, they tell it again");
            StatusAnswer::default()
        }
    }
}
