//! How the agent's actor sends a package, and what it says of the answer.

use std::sync::PoisonError;
use std::time::Instant;

use actix::Context;
use muster::id::Guid;
use muster::roles::IntentNumber;
use muster::roles::agent::{AgentInput, AgentServer, PackageNumber};
use muster::upload::answer::{Answer, STRANGE_HINT, Verdict, verdict};
use tracing::{error, info, warn};

use super::{Agent, AgentHands};
use crate::agent::outbox::OutboxError;
use crate::agent::status::LastReceipt;
use crate::errors::Chain;
use crate::role::{Hands, when_done};

/// Why a server is asked that no list in force has put where it stands.
pub(in crate::agent) fn why_unordered(is_of_policy: bool) -> &'static str {
    if is_of_policy {
        "named by the policy's list, which is not ordered yet"
    } else {
        "named in the agent's own configuration"
    }
}

impl AgentHands {
    pub(super) fn upload(
        &self,
        intent: IntentNumber,
        package: PackageNumber,
        to: Option<AgentServer>,
        ctx: &mut Context<Agent>,
    ) {
        let (outbox, uploader) = (self.world.outbox.clone(), self.world.uploader.clone());
        let Some(AgentServer { id, upload: base, .. }) = to else {
            // The list has changed under the intent; the core is told, or it would wait for ever.
            when_done(ctx, std::future::ready(()), move |(), agent, ctx| agent.tell(later(intent), ctx));
            return;
        };
        let (began, server) = (Instant::now(), base.clone());
        let sent = async move {
            let load = move || outbox.lock().unwrap_or_else(PoisonError::into_inner).load(package);
            let parcel = match tokio::task::spawn_blocking(load).await {
                Ok(loaded) => loaded?,
                Err(_) => return Ok((Answer::Nothing("its bytes were not read".into()), None)),
            };
            let key = (parcel.envelope.digest, parcel.envelope.size);
            Ok::<_, OutboxError>((uploader.upload(parcel, base).await, Some(key)))
        };
        when_done(ctx, sent, move |sent, agent, ctx| {
            let input = match sent {
                Ok((answer, Some((digest, size)))) => {
                    let verdict = verdict(&answer, digest, size);
                    agent.note(&answer, verdict, id, server);
                    let ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
                    AgentInput::Uploaded { intent, verdict, transfer: Some((size, ms)) }
                }
                Err(error @ (OutboxError::Damaged { .. } | OutboxError::Gone)) => {
                    warn!(error = %Chain(&error), "queued report not sent");
                    AgentInput::Unsendable { intent }
                }
                // The disk failed, not the package.
                Ok((_, None)) => later(intent),
                Err(error) => {
                    warn!(error = %Chain(&error), "queued report not sent, tried again later");
                    later(intent)
                }
            };
            agent.tell(input, ctx);
        });
    }
}

impl Agent {
    fn note(&mut self, answer: &Answer, verdict: Verdict, id: Guid, server: String) {
        match (verdict, answer) {
            (Verdict::Delivered, Answer::Status { receipt: Some(receipt), .. }) => {
                let chosen = self.why(id);
                info!(digest = %receipt.digest, server, chosen, state = ?receipt.state, "report delivered");
                let at = self.hands().now().to_rfc3339();
                self.hands_mut().last_receipt = Some(LastReceipt { receipt: *receipt, server, at });
            }
            (Verdict::Revoked, _) => error!(server, "this agent's identity is revoked, tried again in a day"),
            (Verdict::Loop, _) => error!(server, "the server says that reports run in a circle: check its parents"),
            (Verdict::Refused, _) => warn!(server, why = %answer, "report refused for good"),
            _ if answer.is_strange() => warn!(server, why = %answer, hint = STRANGE_HINT, "report not taken, kept"),
            _ => warn!(server, why = %answer, "report not taken, kept"),
        }
    }

    /// Why a server stands where it stands in the agent's order.
    fn why(&self, id: Guid) -> String {
        let order = self.core().servers().order();
        let choice = order.and_then(|order| order.choices.iter().find(|choice| choice.id == id));
        let is_of_policy = self.core().rules().is_of_policy(id);
        choice.map_or_else(|| why_unordered(is_of_policy).to_owned(), |choice| choice.reason.to_string())
    }
}

fn later(intent: IntentNumber) -> AgentInput {
    AgentInput::Uploaded { intent, verdict: Verdict::Later { retry_after_ms: None, broken: true }, transfer: None }
}
