//! The plain facts from which services are told.

use std::net::IpAddr;

use super::oracle::OracleSkipped;
use super::{database, oracle};
use crate::formats::disco::Address;
use crate::formats::host::InstalledPackage;
use crate::formats::host::net_tcp::ListeningSocket;
use crate::formats::host::oratab::OratabEntry;
use crate::formats::inventory_settings::{InventorySettings, ORACLE_INVENTORY};
use crate::id::Guid;

/// What a host is and what runs on it, as the caller read it. Nothing here holds an argument or a variable of the
/// environment of a process: [`Process::title`] and [`Process::listener`] come from
/// [`read_command`](crate::formats::host::process::read_command), which drops the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Short name.
    pub machine_name: String,
    /// Domain; empty when not known.
    pub domain: String,
    /// GUID of the agent.
    pub agent: Option<Guid>,
    /// Whether the host is a UNIX system; on Windows nobody is root.
    pub is_unix: bool,
    /// Whether the agent runs as root.
    pub is_root: bool,
    /// Every address of the host.
    pub addresses: Vec<Address>,
    /// The processes of the host that [`HostFacts::concerns`] takes, more do no harm; those of its containers left out: they are services of the containers.
    pub processes: Vec<Process>,
    /// Where they listen.
    pub sockets: Vec<OwnedSocket>,
    /// Entries of `oratab`.
    pub oratab: Vec<OratabEntry>,
    /// `InventorySettings.xml`; `None` when the preference that names it or the file itself is missing.
    pub settings: Option<InventorySettings>,
    /// The installed packages.
    pub packages: Vec<InstalledPackage>,
}

impl HostFacts {
    /// Whether Oracle may be looked for, else why not: nothing of it is read before.
    pub fn may_look_for_oracle(&self) -> Result<(), OracleSkipped> {
        let settings = self.settings.as_ref().ok_or(OracleSkipped::NoSettings)?;
        if !settings.feature(ORACLE_INVENTORY).is_some_and(|feature| feature.enabled) {
            return Err(OracleSkipped::NotEnabled);
        }
        if self.is_unix && !self.is_root {
            return Err(OracleSkipped::NotRoot);
        }
        Ok(())
    }

    /// Whether `process` can be told of, by its name and its program; the facts need no others.
    pub fn concerns(&self, process: &Process) -> bool {
        database::is_program(process) || self.needs_title(process)
    }

    /// Whether it also takes the title of `process` to tell what it is: that of Oracle's, and only where it may be
    /// looked for.
    pub fn needs_title(&self, process: &Process) -> bool {
        oracle::can_be(process) && self.may_look_for_oracle().is_ok()
    }
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Number of its parent.
    pub parent: u32,
    /// Account it acts as.
    pub uid: u32,
    /// Its name as the kernel has it, cut to 15 bytes.
    pub name: String,
    /// First word of its title.
    pub title: String,
    /// Name of the listener in `tnslsnr NAME`; empty for every other program.
    pub listener: String,
    /// Path of its program; empty when it cannot be read.
    pub executable: String,
}

/// A listening socket and one process that holds it; a socket that several hold is there once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnedSocket {
    /// Number of the process.
    pub pid: u32,
    /// Where it listens.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// Joins the listening sockets with the sockets that processes hold, given as (pid, inode) in any order.
///
/// Sockets that nobody is known to hold are left out: whose they are cannot be told.
pub fn owned_sockets(sockets: &[ListeningSocket], held: &[(u32, u64)]) -> Vec<OwnedSocket> {
    let mut held: Vec<(u64, u32)> = held.iter().map(|&(pid, inode)| (inode, pid)).collect();
    held.sort_unstable();
    held.dedup();
    let mut owned = Vec::new();
    for socket in sockets.iter().filter(|socket| socket.inode != 0) {
        let from = held.partition_point(|&(inode, _)| inode < socket.inode);
        let holders = held[from..].iter().take_while(|(inode, _)| *inode == socket.inode);
        let own = |&(_, pid): &(u64, u32)| OwnedSocket { pid, address: socket.address, port: socket.port };
        owned.extend(holders.map(own));
    }
    owned
}

/// The processes of one program, each family of parent and children as one.
#[derive(Debug)]
pub(super) struct Family<'f> {
    /// The one whose parent is none of them.
    pub(super) head: &'f Process,
    /// Ports, ascending.
    pub(super) ports: Vec<u16>,
    /// Addresses they listen on, ascending, an unspecified one for everywhere.
    pub(super) listens_on: Vec<IpAddr>,
}

/// Parents that are followed from a process to the head of its family.
const GENERATIONS_MAX: usize = 64;

/// The families among the processes that `is_one` takes, by number of their head.
pub(super) fn families<'f>(facts: &'f HostFacts, is_one: impl Fn(&Process) -> bool) -> Vec<Family<'f>> {
    let mut members: Vec<&Process> = facts.processes.iter().filter(|process| is_one(process)).collect();
    members.sort_by_key(|process| process.pid);
    members.dedup_by_key(|process| process.pid);
    let member = |pid: u32| members.binary_search_by_key(&pid, |process| process.pid).ok();
    // The head of each member; a circle of parents, which no kernel makes, ends somewhere in it.
    let head_of = |place: usize| {
        let mut at = place;
        for _ in 0..GENERATIONS_MAX {
            match member(members[at].parent).filter(|&parent| parent != at) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at
    };
    let mut sockets: Vec<(usize, &OwnedSocket)> =
        facts.sockets.iter().filter_map(|socket| Some((head_of(member(socket.pid)?), socket))).collect();
    sockets.sort_by_key(|(head, _)| *head);
    let heads = (0..members.len()).filter(|&place| head_of(place) == place);
    heads
        .map(|head| {
            let from = sockets.partition_point(|(of, _)| *of < head);
            let own: Vec<&OwnedSocket> =
                sockets[from..].iter().take_while(|(of, _)| *of == head).map(|(_, socket)| *socket).collect();
            let mut ports: Vec<u16> = own.iter().map(|socket| socket.port).collect();
            let mut listens_on: Vec<IpAddr> = own.iter().map(|socket| socket.address).collect();
            ports.sort_unstable();
            ports.dedup();
            listens_on.sort_unstable();
            listens_on.dedup();
            Family { head: members[head], ports, listens_on }
        })
        .collect()
}

/// The file name of a program's path. A deleted one keeps its name: the process of an upgraded program still runs.
pub(super) fn file_name(executable: &str) -> &str {
    let path = executable.strip_suffix(" (deleted)").unwrap_or(executable);
    path.rsplit('/').next().unwrap_or_default()
}
