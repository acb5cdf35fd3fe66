//! Anything at all on the wire: the node never falls, never answers with a fault of its own, and goes on serving.

use muster::rng::RngStream;
use tokio::io::AsyncWriteExt;

use super::node::{Node, Put, agent, body, limits, node, until_closed};
use super::{header, wire};

/// Sends `bytes` and no more, and gives the first status that comes back, if one does.
async fn first_status(node: &Node, bytes: &[u8]) -> Option<u16> {
    let mut stream = node.connect().await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let text = until_closed(&mut stream).await;
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Statuses that a sender may be told. 501, 503, 507 and 508 speak of the request or the node, not of a fault in it.
fn is_honest(status: Option<u16>) -> bool {
    status.is_none_or(|status| status < 500 || matches!(status, 501 | 503 | 507 | 508))
}

fn good(number: usize) -> Vec<u8> {
    let mut put = Put { body: body(number), ..Put::default() };
    let digest = muster::id::Digest::of(&put.body);
    put.with(header::AGENT, agent(1)).with(header::SHA256, digest);
    put.with(header::STREAM, "Inventories/root/Full").with(header::EPOCH, 7).with(header::SEQUENCE, 1);
    put.with(header::VIA, format!("{};1", agent(2))).with(header::ORIGIN, "o");
    put.bytes()
}

#[actix::test]
async fn random_bytes_never_stop_a_node() {
    let node = node(limits());
    let mut rng = RngStream::new(7, 1, 0);
    for _ in 0..150 {
        let length = rng.below(600) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| rng.bits() as u8).collect();
        let status = first_status(&node, &bytes).await;
        assert!(is_honest(status), "{status:?} to {bytes:?}");
    }
    assert_eq!(node.held(), 0);
    assert_eq!(node.put(|_| ()).await.status, 200);
    node.stop().await;
}

#[actix::test]
async fn a_request_with_random_damage_is_refused_or_taken_whole() {
    let node = node(limits());
    let mut rng = RngStream::new(8, 1, 0);
    let pieces: [&[u8]; 14] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"%",
        b"%00",
        b"..",
        b"/",
        b":",
        b"\xff",
        b" ",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"expect: 100-continue\r\n",
        b"upgrade: websocket\r\nconnection: upgrade\r\n",
    ];
    let mut taken = 0;
    for round in 0..400 {
        let mut bytes = good(round);
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as i64) as usize;
            match rng.below(5) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes[at] = rng.bits() as u8,
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.remove(at)),
                _ => {
                    let piece = pieces[rng.below(pieces.len() as i64) as usize];
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        let status = first_status(&node, &bytes).await;
        assert!(is_honest(status), "round {round}: {status:?} to {:?}", String::from_utf8_lossy(&bytes));
        taken += usize::from(status == Some(200));
    }
    // Whatever was held is what its envelope says.
    for held in node.logs.package_index.after(None, usize::MAX) {
        let record = node.logs.package_index.read(held.handle).unwrap().unwrap();
        let envelope: muster::model::package::Envelope = muster::model::stored::unpack(&record.head).unwrap();
        assert_eq!((envelope.size, envelope.digest), (record.body.len() as u64, muster::id::Digest::of(&record.body)));
        assert!(envelope.file_name.len() <= wire::NAME_BYTES_MAX && !envelope.file_name.contains(['/', '\\', '%']));
    }
    assert!(node.held() <= taken, "what is held had a receipt");
    assert_eq!(node.put(|put| put.body = body(100_000)).await.status, 200);
    node.stop().await;
}
