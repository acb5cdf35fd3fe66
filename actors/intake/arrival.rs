//! Tells a node's actor that something was taken into custody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, Context, Handler, Message};

use super::Arrived;
use crate::supervision::Directory;

/// Something was taken into custody: look. The flag says that such a hint is under way; it is lowered when the message
/// is taken or dropped, before the look, so that no arrival falls between.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PackagesArrived(Arc<AtomicBool>);

impl Drop for PackagesArrived {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What the intake calls: one hint under way is enough, because it makes the actor look at everything.
pub fn hint<A>(directory: Directory<A>) -> Arrived
where
    A: Actor<Context = Context<A>> + Handler<PackagesArrived>,
{
    let hinted = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        if let Some(address) = directory.get()
            && !hinted.swap(true, Ordering::AcqRel)
        {
            let hint = address.send(PackagesArrived(hinted.clone()));
            actix::spawn(async move {
                // A hint that is lost needs no answer: the node also looks by itself.
                let _ = hint.await;
            });
        }
    })
}
