//! Does to the nodes what a plan says, in its time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use muster_actors::agent::status::AgentStatus;

use super::hierarchy::Role;
use super::plan::{NodeFault, Plan, Strike};
use super::small_disk::SmallDisk;
use super::{KillError, Node, world};
use crate::proxy::Proxy;

/// From look to look at nodes that have ended of themselves and at the agent's policy.
const LOOK_MS: i64 = 200;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Struck {
    /// Kills by node.
    pub kills: BTreeMap<&'static str, u32>,
    /// Faults by kind; what could not be done is not among them.
    pub faults: BTreeMap<&'static str, u64>,
    /// Nodes that ended of themselves, and were started again.
    pub ended: BTreeMap<&'static str, u32>,
    /// Looks at the revision of the agent's policy.
    pub policy_looks: u64,
    /// Times at which it was lower than before; none is expected.
    pub policy_went_down: Vec<String>,
}

/// What a fault's end needs.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Start(Role),
    Resume(Role),
    Unreserve(Role),
    Free,
    SetRight(Role),
}

/// See the module's head.
pub struct Striker<'r> {
    /// In the order of [`Role::ALL`].
    pub nodes: &'r mut [Node],
    /// The run's folder.
    pub folder: &'r Path,
    /// The links.
    pub proxy: &'r Proxy,
    /// The disk of the failover beacon, when it has one of its own.
    pub disk: Option<&'r SmallDisk>,
}

impl Striker<'_> {
    /// Follows the plan to its end. Then no fault is under way, but a node may be off.
    pub fn follow(mut self, plan: &Plan) -> Result<Struck, KillError> {
        let began = Instant::now();
        let now_ms = || i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut struck = Struck::default();
        let mut endings: Vec<(i64, Ending)> = Vec::new();
        let (mut strikes, mut revision) = (plan.strikes.iter().peekable(), 0);
        loop {
            self.look(&mut struck, &mut revision)?;
            let now = now_ms();
            let ended = endings.iter().position(|(at, _)| *at <= now);
            if let Some(place) = ended {
                let (_, ending) = endings.swap_remove(place);
                self.end(ending)?;
            } else if let Some(strike) = strikes.next_if(|strike| strike.at_ms <= now) {
                if let Some(ending) = self.strike(strike, &mut struck)? {
                    // A point that was waited for has taken its time.
                    endings.push((now_ms() + strike.for_ms, ending));
                }
            } else {
                let next = endings.iter().map(|(at, _)| *at).chain(strikes.peek().map(|strike| strike.at_ms)).min();
                if next.is_none() && now >= plan.length_ms {
                    return Ok(struck);
                }
                let wait_ms = next.unwrap_or(plan.length_ms).saturating_sub(now).clamp(1, LOOK_MS);
                std::thread::sleep(Duration::from_millis(wait_ms as u64));
            }
        }
    }

    fn node(&mut self, role: Role) -> &mut Node {
        &mut self.nodes[role as usize]
    }

    fn look(&mut self, struck: &mut Struck, revision: &mut u64) -> Result<(), KillError> {
        for node in self.nodes.iter_mut() {
            if node.has_ended() {
                *struck.ended.entry(node.role().as_str()).or_default() += 1;
                node.spawn()?;
            }
        }
        let status = AgentStatus::read(&self.folder.join(Role::Agent.as_str())).ok();
        if let Some(now) = status.and_then(|status| status.policy_revision?.parse::<u64>().ok()) {
            struck.policy_looks += 1;
            if now < *revision {
                struck.policy_went_down.push(format!("the agent follows policy {now} after {revision}"));
            }
            *revision = now;
        }
        Ok(())
    }

    fn strike(&mut self, strike: &Strike, struck: &mut Struck) -> Result<Option<Ending>, KillError> {
        let (folder, proxy, role) = (self.folder, self.proxy, strike.node);
        let node = &mut self.nodes[role as usize];
        // One that is off begins a life, which may end while it begins.
        if node.pid().is_none() {
            node.spawn()?;
        }
        let mut what = strike.what;
        let ending = match what {
            NodeFault::Kill | NodeFault::Outage => {
                node.kill()?;
                Ending::Start(role)
            }
            NodeFault::KillAt(point) => {
                node.resume()?;
                if !point.kill(node, folder, proxy)? {
                    // It did not come by: then it is killed wherever it is.
                    what = NodeFault::Kill;
                    node.kill()?;
                }
                Ending::Start(role)
            }
            NodeFault::Pause => {
                node.pause()?;
                Ending::Resume(role)
            }
            NodeFault::Reserve => {
                node.kill()?;
                node.keep_free(true);
                node.spawn()?;
                Ending::Unreserve(role)
            }
            NodeFault::DiskFull => {
                let Some(disk) = self.disk else { return Ok(None) };
                disk.fill().map_err(world("fill a disk"))?;
                Ending::Free
            }
            NodeFault::ClockAhead | NodeFault::ClockBehind => {
                let Some(clock) = node.clock() else { return Ok(None) };
                let days = if what == NodeFault::ClockAhead { 1 } else { -1 };
                clock.step(days).map_err(world("step a clock"))?;
                Ending::SetRight(role)
            }
        };
        if what.kills() {
            *struck.kills.entry(role.as_str()).or_default() += 1;
        }
        *struck.faults.entry(what.as_str()).or_default() += 1;
        Ok(Some(ending))
    }

    fn end(&mut self, ending: Ending) -> Result<(), KillError> {
        match ending {
            Ending::Start(role) => {
                let node = self.node(role);
                if node.pid().is_none() { node.spawn() } else { Ok(()) }
            }
            Ending::Resume(role) => self.node(role).resume(),
            Ending::Unreserve(role) => {
                let node = self.node(role);
                node.kill()?;
                node.keep_free(false);
                node.spawn()
            }
            Ending::Free => self.disk.map_or(Ok(()), |disk| disk.free().map_err(world("free a disk"))),
            Ending::SetRight(role) => {
                let clock = self.node(role).clock();
                clock.map_or(Ok(()), |clock| clock.step(0).map_err(world("step a clock")))
            }
        }
    }
}
