//! What a node writes beside the bytes when it takes custody.

use crate::formats::wire::{self, UploadHead, UploadName};
use crate::id::{Digest, Guid};
use crate::model::package::{Envelope, Hop, Kind, Origin, Sequence, Stream};
use crate::time::Timestamp;
use crate::upload::ledger::CLOCK_BAD_BEFORE;

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
    // A node whose clock has not been set yet stands in 1970: what it took is not 50 years old.
    let first_received =
        hops.iter().map(|hop| hop.received).find(|at| *at >= CLOCK_BAD_BEFORE).map_or(now, |at| at.min(now));
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
    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn name() -> UploadName {
        upload_name("Inventories", "root%20on%20a%20at%2020250314T031522%20(Full).ndi.gz").unwrap()
    }

    fn taken(head: UploadHead) -> Envelope {
        envelope(head, name(), 9, Digest::of(b"x"), NOW, NODE)
    }

    #[test]
    fn the_first_hop_sets_the_origin_and_a_relay_keeps_it() {
        let agent = Guid::from_random([7; 16]);
        let first = taken(UploadHead { agent: Some(agent), ..UploadHead::default() });
        assert_eq!(first.origin, Origin::agent(agent));
        assert_eq!(first.stream, Some(Stream("Inventories/root/Full".into())));
        assert_eq!((first.first_received, first.hops.len(), first.unproven), (NOW, 1, true));
        let via = vec![Via { node: agent, received: NOW.plus_ms(-600) }];
        let relayed = taken(UploadHead { agent: Some(NODE), origin: Some("o".into()), via, ..UploadHead::default() });
        assert_eq!(relayed.origin, Origin("o".into()));
        assert_eq!((relayed.first_received, relayed.hops.len()), (NOW.plus_ms(-600), 2));
    }

    #[test]
    fn files_of_strangers_have_origins_of_their_own() {
        let stranger = taken(UploadHead::default());
        assert_eq!(stranger.origin.as_str(), format!("anon/{NODE}/{}", name().name));
    }

    #[test]
    fn a_hop_with_a_clock_ahead_does_not_move_the_first_custody_into_the_future() {
        let via = vec![Via { node: NODE, received: NOW.plus_ms(9_999) }];
        assert_eq!(taken(UploadHead { origin: Some("o".into()), via, ..UploadHead::default() }).first_received, NOW);
    }

    #[test]
    fn a_hop_before_its_clock_was_set_does_not_make_a_package_old() {
        let hop = |received| Via { node: NODE, received };
        let via = vec![hop(Timestamp(5)), hop(NOW.plus_ms(-40))];
        let head = UploadHead { origin: Some("o".into()), via, ..UploadHead::default() };
        assert_eq!(taken(head).first_received, NOW.plus_ms(-40));
    }
}
