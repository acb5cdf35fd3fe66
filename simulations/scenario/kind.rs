//! The kinds of what can go wrong, and whom each can befall.
//!
//! Source: simulation reference, section 5, the list of faults.

use super::fault::Target;

/// What happens to a node while the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It is off. What it had synced is there when it is back.
    Outage,
    /// Its process is killed and started again at the end: as an outage, but short.
    Crash,
    /// Its process stands still; what reached it meanwhile it takes all at once afterwards.
    Pause,
    /// Its clock is a day ahead.
    ClockAhead,
    /// Its clock is a day behind.
    ClockBehind,
    /// What it sends upward never arrives.
    CutRequests,
    /// The answers to what it sends upward never arrive.
    CutAnswers,
    /// Nobody listens where it calls.
    Refuse,
    /// It cannot find out whom to call.
    NoNames,
    /// The connection of each upload ends amid its body.
    Reset,
    /// Something between passes only a part of each upload's body on.
    Truncate,
    /// Whatever it sends arrives twice.
    Doubled,
    /// Whatever it sends arrives a second time up to six hours later.
    Reordered,
    /// The bytes of what it uploads are changed on the way.
    Corrupted,
    /// Everything takes twenty times as long on its way.
    Latency,
    /// Neighbours lose their connections one by one and get them back in another order.
    Swizzle,
    /// Its disk is full: uploads are answered 507.
    DiskFull,
    /// Its disk takes a hundred times as long.
    DiskSlow,
    /// It refuses every upload for good: 413.
    Rejects,
    /// Loading fails: what was loaded is loaded again.
    LoaderFails,
    /// The policy lets all agents begin at one moment.
    PolicyHerd,
    /// The policy's failover list has no server.
    ListEmpty,
    /// The policy's failover list has servers first that are there no more.
    ListStale,
    /// The policy gives beacons other parents.
    ParentsMoved,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 24] = [
        FaultKind::Outage,
        FaultKind::Crash,
        FaultKind::Pause,
        FaultKind::ClockAhead,
        FaultKind::ClockBehind,
        FaultKind::CutRequests,
        FaultKind::CutAnswers,
        FaultKind::Refuse,
        FaultKind::NoNames,
        FaultKind::Reset,
        FaultKind::Truncate,
        FaultKind::Doubled,
        FaultKind::Reordered,
        FaultKind::Corrupted,
        FaultKind::Latency,
        FaultKind::Swizzle,
        FaultKind::DiskFull,
        FaultKind::DiskSlow,
        FaultKind::Rejects,
        FaultKind::LoaderFails,
        FaultKind::PolicyHerd,
        FaultKind::ListEmpty,
        FaultKind::ListStale,
        FaultKind::ParentsMoved,
    ];

    /// Its name in scenarios and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Outage => "outage",
            FaultKind::Crash => "crash",
            FaultKind::Pause => "pause",
            FaultKind::ClockAhead => "clock-ahead",
            FaultKind::ClockBehind => "clock-behind",
            FaultKind::CutRequests => "cut-requests",
            FaultKind::CutAnswers => "cut-answers",
            FaultKind::Refuse => "refuse",
            FaultKind::NoNames => "no-names",
            FaultKind::Reset => "reset",
            FaultKind::Truncate => "truncate",
            FaultKind::Doubled => "doubled",
            FaultKind::Reordered => "reordered",
            FaultKind::Corrupted => "corrupted",
            FaultKind::Latency => "latency",
            FaultKind::Swizzle => "swizzle",
            FaultKind::DiskFull => "disk-full",
            FaultKind::DiskSlow => "disk-slow",
            FaultKind::Rejects => "rejects",
            FaultKind::LoaderFails => "loader-fails",
            FaultKind::PolicyHerd => "policy-herd",
            FaultKind::ListEmpty => "list-empty",
            FaultKind::ListStale => "list-stale",
            FaultKind::ParentsMoved => "parents-moved",
        }
    }

    /// Whether it changes what the server tells others to do.
    pub fn is_of_policy(self) -> bool {
        use FaultKind::{ListEmpty, ListStale, ParentsMoved, PolicyHerd};
        matches!(self, PolicyHerd | ListEmpty | ListStale | ParentsMoved)
    }

    /// Whether it is one of a node's own clock.
    pub fn is_of_clock(self) -> bool {
        matches!(self, FaultKind::ClockAhead | FaultKind::ClockBehind)
    }

    /// Whether it ends a life.
    pub fn kills(self) -> bool {
        matches!(self, FaultKind::Outage | FaultKind::Crash)
    }

    /// Why it cannot befall these.
    pub(super) fn problem(self, of: Target) -> Option<&'static str> {
        let is_agent = matches!(of, Target::Agent | Target::Laptop | Target::OneAgent(_));
        if matches!(self, FaultKind::DiskFull | FaultKind::Rejects) && is_agent {
            return Some("is no node that takes uploads, write `leaf`, `middle` or `server`");
        }
        let is_servers_own = self == FaultKind::LoaderFails || self.is_of_policy();
        (is_servers_own && of != Target::Server).then_some("has no part in that, only the server has: write `server`")
    }
}
