//! Does to the nodes what a plan says, in its time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use muster::id::Digest;
use muster_actors::agent::status::AgentStatus;

use super::hierarchy::Role;
use super::operator::Revisions;
use super::plan::{Lane, NodeFault, Plan, Strike};
use super::small_disk::SmallDisk;
use super::{KillError, Node, world};
use crate::proxy::Proxy;

/// From look to look at nodes that have ended of themselves and at the agent's status.
const LOOK_MS: i64 = 200;
/// A node may still end for want of room when its disk was freed so long ago: it ends its work first.
const AFTER_FULL: Duration = Duration::from_secs(2);

/// What was done, and seen meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Struck {
    /// Kills by node.
    pub kills: BTreeMap<&'static str, u32>,
    /// Faults by kind; what could not be done is not among them.
    pub faults: BTreeMap<&'static str, u64>,
    /// Nodes that ended of themselves, and were started again.
    pub ended: BTreeMap<&'static str, u32>,
    /// How those ended whose disk was not full; none is expected.
    pub crashed: Vec<String>,
    /// Looks at whether a node has ended of itself.
    pub looks: u64,
    /// What the agent of this host had receipts for, as far as it was seen.
    pub host_receipts: BTreeSet<Digest>,
    /// Revisions of the policies that nodes follow.
    pub revisions: Revisions,
    /// Settings that the server took from its operator.
    pub policies_set: u64,
    is_disk_full: bool,
    disk_freed: Option<Instant>,
}

impl Struck {
    /// Looks whether `node` has ended of itself, which only a full disk excuses. It is reaped then.
    pub fn look_at(&mut self, node: &mut Node) {
        self.looks += 1;
        let Some(how) = node.has_ended() else { return };
        *self.ended.entry(node.role().as_str()).or_default() += 1;
        let was_full = self.is_disk_full || self.disk_freed.is_some_and(|freed| freed.elapsed() < AFTER_FULL);
        if node.role() != Role::Spare || !was_full {
            self.crashed.push(format!("the {} ended of itself: {how}: {}", node.role().as_str(), node.last_line()));
        }
    }

    fn look_at_agent(&mut self, status: AgentStatus) {
        let agent = Role::Agent.as_str();
        self.host_receipts.extend(status.last_receipt.map(|last| last.receipt.digest));
        match status.policy_revision.and_then(|revision| revision.parse().ok()) {
            Some(revision) => self.revisions.saw(agent, revision),
            None => self.revisions.saw_none(agent),
        }
    }
}

/// What a fault's end needs.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Start,
    Resume,
    Unreserve,
    Free,
    SetRight,
}

/// A fault that is under way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    until_ms: i64,
    node: Role,
    lane: Lane,
    ending: Ending,
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
    /// Follows the plan to its end. Then no fault is under way. A strike that would undo one that is under way at its
    /// node waits for the end of that.
    pub fn follow(mut self, plan: &Plan) -> Result<Struck, KillError> {
        let began = Instant::now();
        let now_ms = || i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let mut struck = Struck::default();
        let mut under_way: Vec<UnderWay> = Vec::new();
        let mut strikes: Vec<Strike> = plan.strikes.iter().map(|strike| self.shown(*strike)).collect();
        loop {
            self.look(&mut struck)?;
            let now = now_ms();
            if let Some(place) = under_way.iter().position(|fault| fault.until_ms <= now) {
                let UnderWay { node, ending, .. } = under_way.swap_remove(place);
                self.end(node, ending, &mut struck)?;
            } else if let Some(place) = due(&strikes, &under_way, now) {
                let strike = strikes.remove(place);
                if let Some(ending) = self.strike(strike, &mut struck)? {
                    // A point that was waited for has taken its time.
                    let until_ms = now_ms() + strike.for_ms;
                    under_way.push(UnderWay { until_ms, node: strike.node, lane: strike.what.lane(), ending });
                }
            } else {
                // What is due and waits for an end is done at that end.
                let coming = strikes.iter().map(|strike| strike.at_ms).find(|at| *at > now);
                let next = under_way.iter().map(|fault| fault.until_ms).chain(coming).min();
                if next.is_none() && now >= plan.length_ms {
                    return Ok(struck);
                }
                let wait_ms = next.unwrap_or(plan.length_ms).saturating_sub(now).clamp(1, LOOK_MS);
                std::thread::sleep(Duration::from_millis(wait_ms as u64));
            }
        }
    }

    /// As what this host can show a strike: where no disk can be filled, the node takes it for full.
    fn shown(&self, strike: Strike) -> Strike {
        match strike.what {
            NodeFault::DiskFull if self.disk.is_none() => Strike { what: NodeFault::Reserve, ..strike },
            _ => strike,
        }
    }

    fn look(&mut self, struck: &mut Struck) -> Result<(), KillError> {
        for node in self.nodes.iter_mut().filter(|node| node.pid().is_some()) {
            struck.look_at(node);
            if node.pid().is_none() {
                node.spawn()?;
            }
        }
        if let Ok(status) = AgentStatus::read(&self.folder.join(Role::Agent.as_str())) {
            struck.look_at_agent(status);
        }
        Ok(())
    }

    fn strike(&mut self, strike: Strike, struck: &mut Struck) -> Result<Option<Ending>, KillError> {
        let (folder, proxy, role) = (self.folder, self.proxy, strike.node);
        let node = &mut self.nodes[role as usize];
        let mut what = strike.what;
        let ending = match what {
            NodeFault::Kill | NodeFault::Outage => {
                node.kill()?;
                Ending::Start
            }
            NodeFault::KillAt(point) => {
                if !point.kill(node, folder, proxy)? {
                    // It did not come by: then it is killed wherever it is.
                    what = NodeFault::Kill;
                    node.kill()?;
                }
                Ending::Start
            }
            NodeFault::Pause => {
                node.pause()?;
                Ending::Resume
            }
            NodeFault::Reserve => {
                node.kill()?;
                node.keep_free(true);
                proxy.mark_full(role.as_str());
                node.spawn()?;
                Ending::Unreserve
            }
            NodeFault::DiskFull => {
                let Some(disk) = self.disk else { return Ok(None) };
                struck.is_disk_full = true;
                disk.fill().map_err(world("fill a disk"))?;
                Ending::Free
            }
            NodeFault::ClockAhead | NodeFault::ClockBehind => {
                let Some(clock) = node.clock() else { return Ok(None) };
                let days = if what == NodeFault::ClockAhead { 1 } else { -1 };
                clock.step(days).map_err(world("step a clock"))?;
                Ending::SetRight
            }
        };
        if what.kills() {
            *struck.kills.entry(role.as_str()).or_default() += 1;
        }
        *struck.faults.entry(what.as_str()).or_default() += 1;
        Ok(Some(ending))
    }

    fn end(&mut self, role: Role, ending: Ending, struck: &mut Struck) -> Result<(), KillError> {
        let node = &mut self.nodes[role as usize];
        match ending {
            Ending::Start => node.spawn(),
            Ending::Resume => node.resume(),
            Ending::Unreserve => {
                self.proxy.unmark_full(role.as_str());
                node.kill()?;
                node.keep_free(false);
                node.spawn()
            }
            Ending::Free => {
                struck.is_disk_full = false;
                struck.disk_freed = Some(Instant::now());
                self.disk.map_or(Ok(()), |disk| disk.free().map_err(world("free a disk")))
            }
            Ending::SetRight => node.clock().map_or(Ok(()), |clock| clock.step(0).map_err(world("step a clock"))),
        }
    }
}

/// Place of the first strike whose moment has come and that undoes nothing.
fn due(strikes: &[Strike], under_way: &[UnderWay], now_ms: i64) -> Option<usize> {
    let come = strikes.iter().take_while(|strike| strike.at_ms <= now_ms);
    let undoes =
        |strike: &Strike| under_way.iter().any(|fault| fault.node == strike.node && fault.lane == strike.what.lane());
    come.enumerate().find(|(_, strike)| !undoes(strike)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strike_waits_for_the_end_of_what_it_would_undo_and_others_go_before_it() {
        let strike = |at_ms, node, what| Strike { at_ms, node, what, for_ms: 50 };
        let strikes = [
            strike(10, Role::Child, NodeFault::Kill),
            strike(20, Role::Child, NodeFault::ClockAhead),
            strike(30, Role::Parent, NodeFault::Kill),
        ];
        let under = |node, lane| UnderWay { until_ms: 90, node, lane, ending: Ending::Start };
        assert_eq!(due(&strikes, &[], 9), None);
        assert_eq!(due(&strikes, &[], 10), Some(0));
        let outage = under(Role::Child, Lane::Process);
        assert_eq!([10, 20].map(|now| due(&strikes, &[outage], now)), [None, Some(1)], "a clock is no process");
        assert_eq!(due(&strikes, &[outage, under(Role::Child, Lane::Clock)], 30), Some(2));
    }
}
