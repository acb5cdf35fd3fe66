//! Sends a queued package to one server, with its envelope as headers.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use muster::formats::wire::{escape_header, header};
use muster::model::package::Envelope;
use muster::upload::answer::Answer;
use muster::upload::pace::secs;

use super::limits::{Limit, PacedBody};
use super::outbox::Parcel;
use crate::upload_client::{UploadClient, upload_time};

/// Something under way on the actor's own thread.
pub type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// Sends packages.
pub trait Upload: Send + Sync {
    /// Sends `parcel` once, below `base`: `http://host:port/ManageSoftRL`.
    fn upload(&self, parcel: Parcel, base: String) -> Pending<Answer>;
}

/// Sends packages over HTTP, no faster than its limit.
pub struct Uploader {
    client: UploadClient,
    limit: Limit,
}

impl Uploader {
    /// An uploader by this client within this limit.
    pub fn new(client: UploadClient, limit: Limit) -> Uploader {
        Uploader { client, limit }
    }
}

impl Upload for Uploader {
    fn upload(&self, parcel: Parcel, base: String) -> Pending<Answer> {
        let (client, limit) = (self.client.clone(), self.limit.clone());
        Box::pin(async move {
            let Parcel { envelope, bytes } = parcel;
            let rate = limit.upload_rate(bytes.len());
            // Whatever slows it here does not make it late.
            let time = upload_time(bytes.len()) + Duration::from_secs(secs(bytes.len() as u64, rate));
            let body = match rate {
                Some(rate) => reqwest::Body::wrap(PacedBody::new(limit, rate, bytes)),
                None => bytes.into(),
            };
            client.send(&base, envelope.kind.as_str(), &envelope.file_name, &headers(&envelope), body, time).await
        })
    }
}

/// The agent's part of the envelope as headers. The origin is the agent's GUID until enrolment exists.
fn headers(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let mut headers = vec![(header::AGENT, envelope.origin.to_string()), (header::SHA256, envelope.digest.to_string())];
    if let Some(stream) = &envelope.stream {
        headers.push((header::STREAM, escape_header(stream.as_str())));
    }
    if let Some(sequence) = envelope.sequence {
        headers.push((header::EPOCH, sequence.epoch.to_string()));
        headers.push((header::SEQUENCE, sequence.number.to_string()));
    }
    if let Some(collected_at) = envelope.collected_at {
        headers.push((header::COLLECTED_AT, collected_at.to_rfc3339()));
    }
    headers
}
