//! Bodies of what is sent to this listener, each of at most as many bytes as its address takes.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::PayloadConfig;
use actix_web::{FromRequest, HttpRequest, Resource};
use bytes::Bytes;

use super::problem::Problem;

/// The body of a request.
pub struct Sent(pub Bytes);

/// Bytes that an address takes.
#[derive(Clone, Copy)]
struct BodyMax(usize);

/// The resource, which takes bodies of at most so many bytes.
pub fn taking(resource: Resource, bytes: usize) -> Resource {
    resource.app_data(PayloadConfig::new(bytes)).app_data(BodyMax(bytes))
}

impl Sent {
    /// Refuses one that says anything.
    pub fn none(&self) -> Result<(), Problem> {
        let body = &self.0[..];
        let is_empty = body.iter().all(u8::is_ascii_whitespace) || body == b"{}" || body == b"null";
        if is_empty { Ok(()) } else { Err(Problem::wrong("body", "this address takes no body")) }
    }
}

impl FromRequest for Sent {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Sent, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let most = request.app_data::<BodyMax>().copied();
        let read = Bytes::from_request(request, payload);
        Box::pin(async move {
            read.await.map(Sent).map_err(|error| match (error.as_error::<PayloadError>(), most) {
                (Some(PayloadError::Overflow), Some(BodyMax(most))) => {
                    Problem::too_large(format!("the body is too large: this address takes at most {most} bytes"))
                }
                (Some(PayloadError::Overflow), None) => {
                    Problem::too_large("the body is too large: this address takes none")
                }
                _ => Problem::wrong("body", format!("the body cannot be read: {error}")),
            })
        })
    }
}
