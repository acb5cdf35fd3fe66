//! Reads a body as it comes: timed, bounded, hashed.

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use muster::formats::wire::{self, Refusal, UploadName};
use muster::id::Digest;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::gate::{BodyBytes, IntakeTimes};

/// Once its first bytes are there, a body gets room for so many at once: most are no longer, and none is moved then.
const FIRST_ROOM: u64 = 64 << 10;

/// Reads exactly `length` bytes. Errors: 408 for a slow sender and for a body that ends early, since a link that broke says
/// nothing against the package; 400 for one that ends late; 415 for first bytes that are not those of the name's ending;
/// 503 without room for them.
///
/// With a `declared` digest first bytes count only when the whole body has it: else they were changed on the way, and it is
/// the caller's to say so.
pub async fn read(
    mut payload: Payload,
    length: u64,
    name: &UploadName,
    declared: Option<Digest>,
    times: IntakeTimes,
    room: &mut BodyBytes,
) -> Result<(Bytes, Digest), Refusal> {
    let whole = Instant::now() + times.whole(length);
    let mut hash = Sha256::new();
    // Grown as bytes come: a declared length alone takes no memory.
    let mut body = BytesMut::new();
    let (mut checked, mut strange) = (false, None);
    loop {
        let next = std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut payload), cx));
        let chunk = match timeout_at((Instant::now() + times.silence).min(whole), next).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) => return Err(cut_short()),
            Ok(None) => break,
            Err(_) => return Err(Refusal::new(408, "slow", "the body came too slowly")),
        };
        if body.len() as u64 + chunk.len() as u64 > length {
            return Err(Refusal::new(400, "body", "the body is longer than its declared length"));
        }
        room.grow(chunk.len() as u64)?;
        hash.update(&chunk);
        if body.is_empty() {
            body.reserve(length.min(FIRST_ROOM) as usize);
        }
        body.extend_from_slice(&chunk);
        // Four bytes tell every ending's beginning; a shorter body is judged at its end.
        if !checked && body.len() >= 4 {
            checked = true;
            strange = wire::check_first_bytes(name, &body).err();
            if let (Some(refusal), None) = (&strange, declared) {
                return Err(refusal.clone());
            }
        }
    }
    if body.len() as u64 != length {
        return Err(cut_short());
    }
    if !checked {
        strange = wire::check_first_bytes(name, &body).err();
    }
    let digest = Digest(hash.finalize().into());
    match strange {
        Some(refusal) if declared.is_none_or(|declared| declared == digest) => Err(refusal),
        _ => Ok((body.freeze(), digest)),
    }
}

fn cut_short() -> Refusal {
    Refusal::new(408, "body", "the body ended before its declared length: send it again")
}
