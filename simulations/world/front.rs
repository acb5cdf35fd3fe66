//! What the server is to a region that is stepped apart from it.
//!
//! Where only sizes are simulated, what the server answers hangs on its troubles and on the time, and on nothing that it
//! did before. So a region answers itself, at once, by the same function, and the server hears the requests later, in their order.

use muster::time::Timestamp;

use super::Stage;
use super::event::{Event, NodeId};
use super::place::{Change, Place, refuse};
use super::server::reply_of;

/// See the module's head.
pub struct Front {
    at: Place,
}

impl Front {
    /// Before the server is installed.
    pub fn new() -> Front {
        Front { at: Place::new(NodeId::SERVER) }
    }

    /// One millisecond of it, as [`Node::step`](super::Node::step). The server itself measures what happens.
    pub fn step(&mut self, now: Timestamp, events: &[Event], stage: &mut Stage) {
        stage.record.is_muted = true;
        for event in events {
            if event.body.befalls() {
                if self.at.befall(event) == Change::GoesOn {
                    for event in self.at.take_backlog(now, stage) {
                        self.answer(now, &event, stage);
                    }
                }
            } else if !self.at.runs() {
                refuse(now, event, stage);
            } else if self.at.lets_in(now, event, stage) {
                self.answer(now, event, stage);
            }
        }
        stage.record.is_muted = false;
    }

    fn answer(&self, now: Timestamp, event: &Event, stage: &mut Stage) {
        if let Some(reply) = reply_of(&self.at, now, event, stage) {
            stage.answer(now, event, reply);
        }
    }
}
