//! What a node writes beside the bytes when it takes custody.

use crate::formats::wire::{self, UploadHead, UploadName};
use crate::id::{Digest, Guid};
use crate::model::package::{Envelope, Hop, Kind, Origin, Sequence, Stream};
use crate::time::Timestamp;

/// The kind of upload a checked name belongs to.
pub fn kind_of(name: &UploadName) -> Kind {
    name.folder.parse().expect("a test holds that every folder is a kind")
}

/// The origin of an upload. It is the first hop's word when the package was relayed, else the GUID that the sender
/// gave, else an origin of the file's own.
///
/// Source: delivery contract, section 1.
pub fn origin(head: &UploadHead, name: &UploadName, node: Guid) -> Origin {
    match (&head.origin, head.agent) {
        (Some(origin), _) => Origin(origin.clone()),
        (None, Some(agent)) => Origin::agent(agent),
        (None, None) => Origin::anonymous(node, &name.name),
    }
}

/// The envelope of a package that `node` takes at `now`, with its own hop at the end.
pub fn envelope(head: UploadHead, name: UploadName, size: u64, digest: Digest, now: Timestamp, node: Guid) -> Envelope {
    let mut hops: Vec<Hop> = head.via.iter().map(|via| Hop { node: via.node, received: via.received }).collect();
    let first_received = hops.first().map_or(now, |hop| hop.received.min(now));
    hops.push(Hop { node, received: now });
    Envelope {
        origin: origin(&head, &name, node),
        kind: kind_of(&name),
        stream: Some(Stream(head.stream.unwrap_or_else(|| wire::stream_of_name(name.folder, &name.name)))),
        file_name: name.name.into(),
        size,
        digest,
        sequence: head.sequence.map(|(epoch, number)| Sequence { epoch, number }),
        collected_at: head.collected_at,
        first_received,
        unproven: !head.proven,
        hops,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wire::{Via, upload_name};

    const NODE: Guid = Guid::NIL;

    fn name() -> UploadName {
        upload_name("Inventories", "root%20on%20a%20at%2020250314T031522%20(Full).ndi.gz").unwrap()
    }

    fn taken(head: UploadHead) -> Envelope {
        envelope(head, name(), 9, Digest::of(b"x"), Timestamp(1_000), NODE)
    }

    #[test]
    fn the_first_hop_sets_the_origin_and_a_relay_keeps_it() {
        let agent = Guid::from_random([7; 16]);
        let first = taken(UploadHead { agent: Some(agent), ..UploadHead::default() });
        assert_eq!(first.origin, Origin::agent(agent));
        assert_eq!(first.stream, Some(Stream("Inventories/root/Full".into())));
        assert_eq!((first.first_received, first.hops.len(), first.unproven), (Timestamp(1_000), 1, true));
        let via = vec![Via { node: agent, received: Timestamp(400) }];
        let relayed = taken(UploadHead { agent: Some(NODE), origin: Some("o".into()), via, ..UploadHead::default() });
        assert_eq!(relayed.origin, Origin("o".into()));
        assert_eq!((relayed.first_received, relayed.hops.len()), (Timestamp(400), 2));
    }

    #[test]
    fn files_of_strangers_have_origins_of_their_own() {
        let stranger = taken(UploadHead::default());
        assert_eq!(stranger.origin.as_str(), format!("anon/{NODE}/{}", name().name));
    }

    #[test]
    fn a_hop_with_a_clock_ahead_does_not_move_the_first_custody_into_the_future() {
        let via = vec![Via { node: NODE, received: Timestamp(9_999) }];
        assert_eq!(
            taken(UploadHead { origin: Some("o".into()), via, ..UploadHead::default() }).first_received,
            Timestamp(1_000)
        );
    }
}
