//! How the agent's actor looks at its host when an event of the schedule waits for what happens there.

use std::time::{Duration, Instant};

use actix::Context;
use muster::roles::agent::{AgentInput, Surroundings};
use muster::schedule::Happening;
use tracing::info;

use super::{Agent, AgentHands};
use crate::role::when_done;

/// From one look at the host to the next; a little less than the longest sleep, so that each of its ends has one.
const LOOK_EVERY: Duration = Duration::from_secs(59);

/// What was seen of the host. A first look tells nothing: there is nothing before it.
#[derive(Default)]
pub(super) struct Around {
    seen: Option<Surroundings>,
    /// When the last look began.
    looked: Option<Instant>,
}

impl AgentHands {
    /// Looks at the host when an event waits for what happens there, once a minute.
    pub(super) fn look_around(&mut self, is_awaited: bool, ctx: &mut Context<Agent>) {
        if !is_awaited {
            self.around = Around::default();
            return;
        }
        if self.around.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return;
        }
        self.around.looked = Some(Instant::now());
        let around = self.world.around.clone();
        when_done(ctx, tokio::task::spawn_blocking(move || around.look()), |seen, agent, ctx| {
            let Ok(seen) = seen else { return };
            let known = &mut agent.hands_mut().around.seen;
            let happened = known.as_ref().map(|before| seen.happened_since(before)).unwrap_or_default();
            *known = Some(seen);
            if happened.contains(&Happening::OnConnect) {
                agent.hands().look_at_device(ctx);
            }
            for happening in happened {
                info!(?happening, "events that wait for it are due");
                agent.tell(AgentInput::Happened(happening), ctx);
            }
        });
    }
}
