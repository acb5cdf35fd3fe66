//! How the agent's actor asks for policy, and goes by what comes of it.

use std::sync::Arc;

use actix::Context;
use muster::formats::marks::Mark;
use muster::roles::IntentNumber;
use muster::roles::agent::{AgentInput, AgentRules, AgentServer, PolicyAnswer};
use tracing::{info, warn};

use super::{Agent, AgentHands};
use crate::agent::policy::{Answered, InForce, Polled, Question};
use crate::role::{Hands, when_done};

impl AgentHands {
    pub(super) fn ask_policy(&self, intent: IntentNumber, from: Option<AgentServer>, ctx: &mut Context<Agent>) {
        self.look_at_device(ctx);
        let base = from.map(|server| server.download).unwrap_or_default();
        let mut outbox = self.world.outbox();
        let (agent, told) = (outbox.guid(), outbox.told(self.now()));
        drop(outbox);
        let answered = self.world.policy.poll(Question { agent, base, told });
        when_done(ctx, answered, move |answered, agent, ctx| {
            let Answered { polled, resend, refused } = answered;
            if let Some(why) = refused {
                let hands = agent.hands_mut();
                let now = hands.now();
                hands.refusals.add(why, now);
            }
            let answer = match polled {
                Polled::Unchanged => PolicyAnswer::Taken,
                Polled::Updated(in_force) => {
                    agent.go_by(*in_force, ctx);
                    PolicyAnswer::Taken
                }
                Polled::NotTaken => PolicyAnswer::NotTaken,
                Polled::NoneHere => PolicyAnswer::NoneHere,
                Polled::Busy { retry_after_ms } => PolicyAnswer::Busy { retry_after_ms },
                Polled::Silent => PolicyAnswer::Silent,
            };
            agent.tell(AgentInput::PolicyAnswered { intent, answer }, ctx);
            if !resend.is_empty() {
                agent.send_again(&resend, ctx);
            }
        });
    }

    /// Tells the core where this host stands now: a laptop moves.
    pub(super) fn look_at_device(&self, ctx: &mut Context<Agent>) {
        let around = self.world.around.clone();
        when_done(ctx, tokio::task::spawn_blocking(move || around.device()), |device, agent, ctx| {
            if let Ok(device) = device {
                agent.tell(AgentInput::DeviceSeen(Arc::new(device)), ctx);
            }
        });
    }
}

impl Agent {
    /// Queues again, or collects anew, what a server says it never got.
    fn send_again(&mut self, asked: &[Mark], ctx: &mut Context<Agent>) {
        let (mut queued, mut collect) = (Vec::new(), false);
        let now = self.hands().now();
        self.hands().change_queue(|outbox| (queued, collect) = outbox.send_again(asked, now));
        if !queued.is_empty() {
            self.tell(AgentInput::Requeued(queued), ctx);
        }
        if collect {
            info!("an inventory that was delivered never reached the server");
            self.tell(AgentInput::CollectionAsked, ctx);
        }
    }

    fn go_by(&mut self, in_force: InForce, ctx: &mut Context<Agent>) {
        let number = self.core().rules().number.wrapping_add(1);
        let hands = self.hands_mut();
        let rules = AgentRules::new(number, &hands.world.settings, in_force.contents);
        if rules.refused > 0 {
            let servers = rules.refused;
            warn!(servers, "servers of the policy are not used: in plain (see `allow_plain`), or this very host");
        }
        hands.held = in_force.held;
        hands.world.hand_on(&rules);
        hands.look_around(rules.looks_around(), ctx);
        self.tell(AgentInput::RulesChanged(Arc::new(rules)), ctx);
    }
}
