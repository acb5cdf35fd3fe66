//! Sends a queued package to one server, with its envelope as headers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use muster::formats::wire::{escape_header, header};
use muster::model::package::Envelope;
use muster::roles::agent::ServerNumber;
use muster::upload::answer::Answer;

use super::outbox::Parcel;
use crate::upload_client::UploadClient;

/// Something under way on the actor's own thread.
pub type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// Sends packages.
pub trait Upload: Send + Sync {
    /// Sends `parcel` to server `to`, once.
    fn upload(&self, parcel: Parcel, to: ServerNumber) -> Pending<Answer>;
}

/// Sends packages over HTTP.
pub struct Uploader {
    client: UploadClient,
    servers: Arc<[String]>,
}

impl Uploader {
    /// An uploader to these base addresses.
    pub fn new(client: UploadClient, servers: Arc<[String]>) -> Uploader {
        Uploader { client, servers }
    }
}

impl Upload for Uploader {
    fn upload(&self, parcel: Parcel, to: ServerNumber) -> Pending<Answer> {
        let (client, servers) = (self.client.clone(), self.servers.clone());
        Box::pin(async move {
            let Some(server) = servers.get(usize::from(to.0)) else { return Answer::Nothing };
            let Parcel { envelope, bytes } = parcel;
            client.put(server, envelope.kind.as_str(), &envelope.file_name, &headers(&envelope), bytes).await
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
