//! Sends one held package to one parent.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use muster::formats::wire::{self, Via, header};
use muster::id::Digest;
use muster::model::package::Envelope;
use muster::model::stored;
use muster::roles::beacon::{Aside, Parent};
use muster::upload::answer::{Answer, STRANGE_HINT, Verdict, verdict};
use muster::upload::ledger::has_expired;
use tracing::{debug, warn};

use super::outages::{Heard, Outages, Question};
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::log::{Handle, ReadError};
use crate::node::Logs;
use crate::upload_client::UploadClient;

/// How long packages are too old before the first is set aside.
const EXPIRY_GRACE: Duration = Duration::from_secs(60 * 60);

/// How a forward ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this meaning of the parent's answer, or of its silence.
    Answered(Verdict),
    /// The package is held no longer.
    Gone,
    /// It was not tried: the package could not be read just now.
    Postponed,
    /// It was not tried: the package itself forbids it.
    Unsendable(Aside),
}

/// A future of an effect.
pub type Effect<T> = Pin<Box<dyn Future<Output = T>>>;

/// Sends packages to parents.
pub trait Relay: Send + Sync {
    /// Sends the package with this handle to `to`.
    fn forward(&self, package: Handle, to: Parent) -> Effect<Outcome>;
}

/// The relay over HTTP.
pub struct HttpRelay {
    logs: Logs,
    clock: SharedClock,
    client: UploadClient,
    /// What was told of each parent.
    outages: Arc<Outages>,
    /// Since when packages are too old; by the monotonic clock.
    old_since: Arc<Mutex<Option<Instant>>>,
}

impl HttpRelay {
    /// A relay of what `logs` hold.
    pub fn new(logs: Logs, clock: SharedClock, client: UploadClient, outages: Arc<Outages>) -> HttpRelay {
        HttpRelay { logs, clock, client, outages, old_since: Arc::default() }
    }
}

impl Relay for HttpRelay {
    fn forward(&self, package: Handle, to: Parent) -> Effect<Outcome> {
        let (logs, clock, client) = (self.logs.clone(), self.clock.clone(), self.client.clone());
        let old_since = self.old_since.clone();
        let outages = self.outages.clone();
        Box::pin(async move {
            let index = logs.package_index.clone();
            // A read may wait for the disk; the arbiter may not.
            let read = tokio::task::spawn_blocking(move || {
                index.read(package).map(|read| read.map(|record| (Digest::of(&record.body), record)))
            });
            let (found, record) = match read.await {
                Ok(None) => {
                    debug!(handle = package.0, "a package that was to be sent is held no longer");
                    return Outcome::Gone;
                }
                Ok(Some(Ok(read))) => read,
                Ok(Some(Err(error @ (ReadError::Rotten { .. } | ReadError::Lost | ReadError::Gone(_))))) => {
                    warn!(error = %Chain(&error), "a held package cannot be read");
                    return Outcome::Unsendable(Aside::BadDigest);
                }
                Ok(Some(Err(error))) => {
                    warn!(error = %Chain(&error), "a held package cannot be read now, it is tried again");
                    return Outcome::Postponed;
                }
                Err(_) => return Outcome::Postponed,
            };
            let Ok(envelope) = stored::unpack::<Envelope>(&record.head) else {
                return Outcome::Unsendable(Aside::BadDigest);
            };
            if found != envelope.digest {
                return Outcome::Unsendable(Aside::BadDigest);
            }
            if has_expired(&envelope, clock.now()) {
                // A clock that has stepped ahead makes everything old at once: it has an hour to be put right, and until
                // then the package is sent as ever, since what is too old is for the server to say.
                let since = *old_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                if since.elapsed() > EXPIRY_GRACE {
                    return Outcome::Unsendable(Aside::Expired);
                }
            } else {
                *old_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            let headers = headers(&envelope);
            let kind = envelope.kind.as_str();
            let answer =
                client.put(&format!("{to}/ManageSoftRL"), kind, &envelope.file_name, &headers, record.body).await;
            let verdict = verdict(&answer, envelope.digest, envelope.size);
            let strange = format!("{answer}, {STRANGE_HINT}");
            let heard = match &answer {
                // Whoever that is, the parent it is not.
                answer if answer.is_strange() => Heard::Nothing(&strange),
                Answer::Status { status, .. } => Heard::Status(*status),
                Answer::Nothing(why) => Heard::Nothing(why),
            };
            outages.note(&to, Question::Package, heard);
            match verdict {
                Verdict::Delivered => debug!(package = %envelope.digest, parent = %to, "package delivered"),
                _ => debug!(package = %envelope.digest, parent = %to, ?verdict, %answer, "package not delivered"),
            }
            Outcome::Answered(verdict)
        })
    }
}

/// The envelope as headers. Source: delivery contract, section 1.
fn headers(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let hops = envelope.hops.iter().map(|hop| Via { node: hop.node, received: hop.received });
    let mut headers = vec![
        (header::ORIGIN, wire::escape_header(envelope.origin.as_str())),
        (header::IDENTITY, if envelope.unproven { "unproven" } else { "proven" }.to_owned()),
        (header::SHA256, envelope.digest.to_string()),
        (header::VIA, wire::via_text(hops)),
    ];
    if let Some(stream) = &envelope.stream {
        headers.push((header::STREAM, wire::escape_header(stream.as_str())));
    }
    if let Some(at) = envelope.collected_at {
        headers.push((header::COLLECTED_AT, at.to_rfc3339()));
    }
    if let Some(sequence) = envelope.sequence {
        headers.push((header::EPOCH, sequence.epoch.to_string()));
        headers.push((header::SEQUENCE, sequence.number.to_string()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::id::Guid;
    use muster::model::package::{Hop, Kind, Origin, Sequence, Stream};
    use muster::time::Timestamp;

    #[test]
    fn an_envelope_crosses_a_hop_unchanged() {
        let node = Guid::from_random([3; 16]);
        let envelope = Envelope {
            origin: Origin("anon/x/ü %.ndi.gz".into()),
            kind: Kind::Inventories,
            stream: Some(Stream("Inventories/jürgen/Full".into())),
            file_name: "ü.ndi.gz".into(),
            size: 5,
            digest: Digest::of(b"bytes"),
            sequence: Some(Sequence { epoch: u64::MAX, number: 7 }),
            collected_at: Some(Timestamp(1_741_922_122_000)),
            first_received: Timestamp(1_741_922_123_000),
            unproven: true,
            hops: vec![Hop { node, received: Timestamp(1_741_922_123_000) }],
        };
        let headers = headers(&envelope);
        let own = Guid::from_random([4; 16]);
        let get = |name: &str| Ok(headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()));
        let head = wire::upload_head("Inventories", own, get).unwrap();
        let name = wire::upload_name("Inventories", &wire::percent_encode(&envelope.file_name)).unwrap();
        let now = Timestamp(1_741_922_200_000);
        let mut taken = muster::upload::admission::envelope(head, name, 5, envelope.digest, now, own);
        assert_eq!(taken.hops.pop(), Some(Hop { node: own, received: now }));
        assert_eq!(taken, envelope);
    }
}
