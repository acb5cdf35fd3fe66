//! True bytes of simulated packages, for runs in which nodes store them in their deployed logs.

use bytes::Bytes;
use muster::formats::gzip;
use muster::id::{Digest, Guid, TenantId};
use muster::model::package::{Envelope, Hop, Kind, Origin, PackageKey, Sequence, Stream};
use muster::model::stored;

use super::event::{PackageId, Parcel};

/// The only tenant.
pub fn tenant() -> TenantId {
    TenantId::default_tenant()
}

/// The stream that every agent publishes.
pub fn stream() -> Stream {
    Stream::new(Kind::Inventories, "root", "Full")
}

/// The origin of an agent's packages.
pub fn origin(agent: u32) -> Origin {
    Origin(format!("agent-{agent}").into())
}

/// The inventory that stands for a parcel: small, and like no other.
pub fn body(parcel: &Parcel) -> Bytes {
    let PackageId { agent, number } = parcel.id;
    let stamp = parcel.collected.to_stamp();
    let xml = format!(
        r#"<Inventory Tracker="1" Audience="Machine" MachineName="pc{agent}" UserName="root" Type="Full" DateTime="{stamp}">
<Hardware Class="MGS_ComputerSystem" Name="pc{agent}"><Property Name="Model" Value="{number}"/></Hardware></Inventory>"#
    );
    Bytes::from(gzip::compress(xml.as_bytes()))
}

/// The envelope of a parcel with its body, as a node that took custody of it writes it.
pub fn envelope(parcel: &Parcel, body: &Bytes) -> Envelope {
    Envelope {
        origin: origin(parcel.id.agent),
        kind: Kind::Inventories,
        stream: Some(stream()),
        file_name: "x.ndi.gz".into(),
        size: body.len() as u64,
        digest: Digest::of(body),
        sequence: Some(Sequence { epoch: 1, number: u64::from(parcel.id.number) }),
        collected_at: Some(parcel.collected),
        first_received: parcel.first_received,
        unproven: true,
        hops: vec![Hop { node: Guid::NIL, received: parcel.first_received }; usize::from(parcel.hops)],
    }
}

/// The parcel that an envelope was made of; `None` for one of another maker. Sizes are those of the simulation and not of
/// these small bodies, so they are told.
pub fn parcel(envelope: &Envelope, bytes: u32) -> Option<Parcel> {
    let agent = envelope.origin.as_str().strip_prefix("agent-")?.parse().ok()?;
    let number = u32::try_from(envelope.sequence?.number).ok()?;
    let (hops, collected) = (envelope.hops.len() as u8, envelope.collected_at?);
    let first_received = envelope.first_received;
    // Clocks are all that an envelope knows.
    Some(Parcel {
        id: PackageId { agent, number },
        bytes,
        hops,
        collected,
        first_received,
        made: collected,
        taken: first_received,
    })
}

/// Key, head and body as the package log takes them.
pub fn stored_form(parcel: &Parcel) -> (Bytes, Bytes, Bytes) {
    let body = body(parcel);
    let envelope = envelope(parcel, &body);
    (envelope.key().encode(&tenant()).into(), stored::pack(&envelope).into(), body)
}

/// The key of a parcel.
pub fn key(parcel: &Parcel) -> PackageKey {
    envelope(parcel, &body(parcel)).key()
}
