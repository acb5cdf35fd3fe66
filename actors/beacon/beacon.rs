//! The beacon's actor: its core in the frame of every role, and the hands that do what it wants.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use bytes::Bytes;
use muster::id::TenantId;
use muster::model::aside::AsideFact;
use muster::model::fact::FactKey;
use muster::model::package::PackageKey;
use muster::model::stored;
use muster::rng::{RngStream, mix};
use muster::roles::beacon::{
    Aside, BeaconCore, BeaconDurable, BeaconInput, BeaconIntent, BeaconSettings, PackageNumber, Parent, Waiting,
};
use muster::roles::{Core, IntentNumber};
use muster::time::Timestamp;
use tracing::{error, info, warn};

use super::aside::purge;
use super::relay::{Outcome, Relay};
use super::upward::Upward;
use crate::clock::SharedClock;
use crate::errors::Chain;
use crate::intake::PackagesArrived;
use crate::log::{Handle, Held, PackageRequest};
use crate::node::{Logs, Unsettled};
use crate::role::{Hands, Role, SLEEP_MAX, when_done};
use crate::supervision::DeathWatch;

/// Packages that are taken out of the index in one turn.
const PULL_MAX: usize = 1_000;
/// Packages that one step of the daily look goes through.
const RESCAN_PAGE: usize = 4_000;

/// What the actor needs of the world.
#[derive(Clone)]
pub struct BeaconWorld {
    /// Its logs.
    pub logs: Logs,
    /// Whose packages it carries.
    pub tenant: TenantId,
    /// The present.
    pub clock: SharedClock,
    /// Sends packages.
    pub relay: Arc<dyn Relay>,
    /// Asks for policy and reports the status.
    pub upward: Arc<dyn Upward>,
    /// What it is set to.
    pub settings: Arc<BeaconSettings>,
}

/// Stops relaying: the node is about to end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopRelaying;

/// See the module's head.
pub type Beacon = Role<BeaconHands>;

/// Does what a beacon's core wants.
pub struct BeaconHands {
    world: BeaconWorld,
    /// The youngest package the core was told of.
    seen: Option<Handle>,
    /// The parent of the last status.
    in_use: Option<Parent>,
    /// What was delivered is not let go of, which was told: the disk is full.
    keeps_delivered: bool,
}

impl Beacon {
    /// Begins a life from what the logs hold.
    pub fn begin(world: BeaconWorld, watch: DeathWatch) -> Beacon {
        let guid_seed = world.logs.node.seed();
        let rng = RngStream::new(guid_seed, guid_seed, mix(world.logs.incarnation, world.clock.now().0 as u64));
        let (seen, held) = world.logs.unsettled(None, usize::MAX);
        let durable = BeaconDurable { settings: world.settings.clone(), guid_seed, held: waiting(held) };
        let core = BeaconCore::recover(durable, rng, world.clock.now());
        Role::new(core, BeaconHands { world, seen, in_use: None, keeps_delivered: false }, Some(watch))
    }
}

impl Hands for BeaconHands {
    type Core = BeaconCore;

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn sleep_max(&self, _: &BeaconCore) -> Duration {
        SLEEP_MAX
    }

    fn before_wake(&mut self, core: &BeaconCore, _: &mut Context<Beacon>) -> Option<BeaconInput> {
        if core.next_due() <= self.now() { self.pull() } else { None }
    }

    fn carry_out(&mut self, number: IntentNumber, intent: BeaconIntent, _: &BeaconCore, ctx: &mut Context<Beacon>) {
        match intent {
            BeaconIntent::Forward { package, to } => self.forward(number, package, to, ctx),
            BeaconIntent::Release(package) => self.release(package, ctx),
            BeaconIntent::SetAside { package, why } => self.set_aside(package, why, ctx),
            BeaconIntent::AskPolicy(from) => {
                let answered = self.world.upward.ask_policy(from.clone());
                when_done(ctx, answered, |(asked, parents), beacon, ctx| {
                    beacon.tell(BeaconInput::PolicyAnswered { from, asked, parents }, ctx);
                });
            }
            BeaconIntent::SendStatus(from) => {
                if let Some(before) = self.in_use.replace(from.clone()).filter(|before| *before != from) {
                    info!(parent = %from, %before, "another parent is in use");
                }
                let sent = self.world.upward.send_status(from.clone());
                when_done(ctx, sent, |asked, beacon, ctx| {
                    beacon.tell(BeaconInput::StatusAnswered { from, asked }, ctx);
                });
            }
            BeaconIntent::Purge => {
                let purged = purge(self.world.logs.clone(), self.world.tenant.clone(), self.now());
                when_done(ctx, purged, |purged, beacon, ctx| {
                    match purged {
                        Ok(0) => {}
                        Ok(packages) => info!(packages, "packages left quarantine after their time"),
                        Err(error) => warn!(error = %Chain(&error), "quarantine is not cleared, tried again tomorrow"),
                    }
                    beacon.tell(BeaconInput::Done, ctx);
                });
            }
            BeaconIntent::Rescan { after } => self.rescan(after, ctx),
        }
    }
}

impl BeaconHands {
    /// What came since the last look, a page at a time.
    fn pull(&mut self) -> Option<BeaconInput> {
        loop {
            let (seen, packages) = self.world.logs.unsettled(self.seen, PULL_MAX);
            if seen == self.seen {
                return None;
            }
            self.seen = seen;
            if !packages.is_empty() {
                return Some(BeaconInput::Arrived(waiting(packages)));
            }
        }
    }

    /// A page of what is held, of what the core was told of: what came later is told by itself.
    fn rescan(&self, after: Option<PackageNumber>, ctx: &mut Context<Beacon>) {
        let (through, packages) = self.world.logs.unsettled(after.map(|after| Handle(after.0)), RESCAN_PAGE);
        let seen = self.seen;
        let told = |handle: &Handle| Some(*handle) <= seen;
        let through = through.filter(told).map(|handle| PackageNumber(handle.0)).filter(|last| Some(*last) != after);
        let packages = waiting(packages.into_iter().filter(|package| told(&package.handle)).collect());
        // A step of its own, so that thousands of pages hold nobody up.
        ctx.run_later(Duration::from_millis(1), move |beacon: &mut Beacon, ctx| {
            beacon.tell(BeaconInput::Rescanned { after, through, packages }, ctx);
        });
    }

    fn forward(&self, intent: IntentNumber, package: PackageNumber, to: Parent, ctx: &mut Context<Beacon>) {
        let sent = self.world.relay.forward(Handle(package.0), to);
        when_done(ctx, sent, move |outcome, beacon, ctx| {
            let input = match outcome {
                Outcome::Answered(verdict) => BeaconInput::Forwarded { intent, verdict },
                // Let go of before: nothing is left to do.
                Outcome::Gone => BeaconInput::Gone { intent },
                Outcome::Postponed => BeaconInput::Postponed { intent },
                Outcome::Unsendable(why) => BeaconInput::Unsendable { intent, why },
            };
            beacon.tell(input, ctx);
        });
    }

    fn release(&self, package: PackageNumber, ctx: &mut Context<Beacon>) {
        let Some(held) = held(&self.world, package) else { return };
        let packages = self.world.logs.packages.clone();
        let released = async move { packages.ask(PackageRequest::Release(vec![held.key])).await };
        when_done(ctx, released, |released, beacon, ctx| {
            let had_kept = std::mem::replace(&mut beacon.hands_mut().keeps_delivered, released.is_err());
            if let (Err(error), false) = (released, had_kept) {
                warn!(error = %Chain(&error), "delivered packages are not let go of, they are sent once more after a restart");
            }
            beacon.tell(BeaconInput::Done, ctx);
        });
    }

    fn set_aside(&self, package: PackageNumber, why: Aside, ctx: &mut Context<Beacon>) {
        let Some(held) = held(&self.world, package) else { return };
        let Some((tenant, key)) = PackageKey::decode(&held.key) else { return };
        error!(package = %key.digest, origin = %key.origin, ?why, "package set aside, it stays in quarantine here");
        let fact = stored::pack(&AsideFact { why, since: self.now(), acknowledged: None });
        let write = (Bytes::from(FactKey::Package(tenant, key).encode()), Some(Bytes::from(fact)));
        let facts = self.world.logs.facts.clone();
        let committed = async move { facts.ask(vec![write]).await };
        when_done(ctx, committed, |committed, beacon, ctx| {
            if let Err(error) = committed {
                error!(error = %Chain(&error), "the reason was not noted, the package is tried again after a restart");
            }
            beacon.tell(BeaconInput::Done, ctx);
        });
    }
}

fn held(world: &BeaconWorld, package: PackageNumber) -> Option<Held> {
    world
        .logs
        .package_index
        .after(package.0.checked_sub(1).map(Handle), 1)
        .into_iter()
        .find(|held| held.handle.0 == package.0)
}

fn waiting(packages: Vec<Unsettled>) -> Vec<Waiting> {
    let waiting = |Unsettled { handle, key, .. }: Unsettled| Waiting {
        package: PackageNumber(handle.0),
        kind: key.kind,
        origin: key.origin.as_str().bytes().fold(0, |hash, byte| mix(hash, u64::from(byte))),
    };
    packages.into_iter().map(waiting).collect()
}

impl Handler<PackagesArrived> for Beacon {
    type Result = ();

    fn handle(&mut self, hint: PackagesArrived, ctx: &mut Context<Beacon>) {
        drop(hint);
        // On the minute it looks by itself: only one that relays at once has to look now.
        if self.hands().world.settings.relay_on_arrival {
            while let Some(arrived) = self.hands_mut().pull() {
                self.hear(arrived, ctx);
            }
            self.turn(ctx);
        }
    }
}

impl Handler<StopRelaying> for Beacon {
    type Result = ();

    fn handle(&mut self, _: StopRelaying, ctx: &mut Context<Beacon>) {
        self.stop(ctx);
    }
}
