//! What `roles::discover` decides from: the processes that can be database servers, where they listen, `oratab`.
//!
//! Of most processes only `stat` and the link `exe` are read. Of the few that [`HostFacts::concerns`] takes, `status` too,
//! and the sockets they hold; of Oracle's, where it may be looked for, the first word of `cmdline`. `environ` is never
//! opened. What a container runs is its own: a process with a number in an inner namespace, or whose program is no file
//! of this host, is left out. Of an image there are no processes; its `oratab` tells what was set up.
//!
//! Source: manual page `proc(5)`; operating document "Adopted: Normal Operation", step 6.

use std::collections::HashSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use muster::formats::disco::Address;
use muster::formats::host::net_tcp::{ByteOrder, ListeningSocket, read_net_tcp, socket_inode};
use muster::formats::host::oratab::{OratabEntry, read_oratab};
use muster::formats::host::process;
use muster::formats::inventory_settings::InventorySettings;
use muster::id::Guid;
use muster::roles::discover::{HostFacts, Process, owned_sockets};

use super::Identity;
use super::host_root::{EntryKind, HostRoot};
use super::record::HostRecord;

/// Where installers put it: on Linux, and as Solaris has it.
const ORATABS: [&str; 2] = ["etc/oratab", "var/opt/oracle/oratab"];
const ORATAB_BYTES_LIMIT: usize = 1024 * 1024;
/// A host of a hundred thousand connections has 15 MB; those that listen stand in front.
const NET_TCP_BYTES_LIMIT: usize = 32 * 1024 * 1024;
/// Open files looked at in all. A server of a thousand processes has a hundred thousand.
const OPEN_FILES_LIMIT: usize = 200_000;
/// What the kernel adds to the path of a program that was replaced while it ran.
const DELETED: &str = " (deleted)";

/// The facts of the host. `record` is what was collected of it before, `settings` what policy allows.
pub fn facts(
    host: &HostRoot,
    record: &HostRecord,
    identity: &Identity,
    settings: Option<InventorySettings>,
) -> HostFacts {
    let mut facts = HostFacts {
        machine_name: record.name.clone(),
        domain: record.domain.clone(),
        agent: Some(identity.agent).filter(|agent| *agent != Guid::NIL),
        is_unix: true,
        is_root: rustix::process::geteuid().is_root(),
        addresses: addresses(record),
        settings,
        ..HostFacts::default()
    };
    facts.processes = host.list("proc").iter().filter_map(|(name, _)| process_of(host, &facts, name)).collect();
    if !facts.processes.is_empty() {
        let listening = listening(host);
        facts.sockets = owned_sockets(&listening, &held(host, &facts.processes, &listening));
        facts.packages = record.packages.iter().map(|record| record.package.clone()).collect();
    }
    if facts.may_look_for_oracle().is_ok() {
        facts.oratab = oratab(host);
    }
    facts
}

/// The addresses that were collected, with those of their adapters. Their networks stand in the inventory.
fn addresses(record: &HostRecord) -> Vec<Address> {
    let mut addresses = Vec::new();
    for adapter in record.of_class("NetworkAdapterConfiguration") {
        let mac = adapter.value("MACAddress");
        let values = adapter.value("IPAddress").split(';').filter_map(|text| text.parse().ok());
        addresses.extend(values.map(|value| Address { value, mac: mac.into(), subnet: String::new() }));
    }
    addresses
}

/// The process in folder `name` of `proc`, when it is one and of concern. One that ends meanwhile is none.
fn process_of(host: &HostRoot, facts: &HostFacts, name: &str) -> Option<Process> {
    let pid: u32 = name.parse().ok()?;
    let read = |file: &str| read_quietly(host, &format!("proc/{pid}/{file}"));
    let stat = process::read_stat(&read("stat")?)?;
    let executable = host.read_link(&format!("proc/{pid}/exe")).unwrap_or_default();
    let mut process = Process { pid, parent: stat.parent, name: stat.name, executable, ..Process::default() };
    if !facts.concerns(&process) {
        return None;
    }
    let status = read("status")?;
    if process::is_in_inner_namespace(&status) || !is_of_this_host(host, pid, &process.executable) {
        return None;
    }
    process.uid = process::read_uids(&status)?.effective;
    if facts.needs_title(&process) {
        let command = process::read_command(&read("cmdline")?);
        (process.title, process.listener) = (command.name, command.listener);
    }
    Some(process)
}

/// Whether the program is the very file that this host has at `executable`. One that was replaced cannot be asked; where
/// the path cannot be read, the namespace has to do.
fn is_of_this_host(host: &HostRoot, pid: u32, executable: &str) -> bool {
    if executable.is_empty() || executable.ends_with(DELETED) {
        return true;
    }
    match (host.metadata(&format!("proc/{pid}/exe")), host.metadata(executable.trim_start_matches('/'))) {
        (Some(program), Some(file)) => (program.dev(), program.ino()) == (file.dev(), file.ino()),
        _ => false,
    }
}

/// A file of a process; that it is gone, or may not be read, is nothing worth telling.
fn read_quietly(host: &HostRoot, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    host.open(path).ok()??.take(process::BYTES_LIMIT as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Where the host listens, by both protocols.
fn listening(host: &HostRoot) -> Vec<ListeningSocket> {
    let order = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
    let mut sockets = Vec::new();
    for path in ["proc/net/tcp", "proc/net/tcp6"] {
        let (of_family, findings) = read_net_tcp(&host.read_or_empty(path, NET_TCP_BYTES_LIMIT), order);
        host.report_all(path, &findings);
        sockets.extend(of_family);
    }
    sockets
}

/// Which of the sockets each process holds, as (pid, inode).
fn held(host: &HostRoot, processes: &[Process], sockets: &[ListeningSocket]) -> Vec<(u32, u64)> {
    let wanted: HashSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    let mut held = Vec::new();
    let mut looked = 0;
    for process in processes {
        let folder = format!("proc/{}/fd", process.pid);
        for (name, kind) in host.list(&folder) {
            if looked == OPEN_FILES_LIMIT {
                host.report("proc", format_args!("more than {OPEN_FILES_LIMIT} open files, read up to there"));
                return held;
            }
            looked += 1;
            let link = if kind == EntryKind::Link { host.read_link(&format!("{folder}/{name}")) } else { None };
            let inode = link.and_then(|link| socket_inode(&link));
            held.extend(inode.filter(|inode| wanted.contains(inode)).map(|inode| (process.pid, inode)));
        }
    }
    held
}

/// The entries of both files, each once.
fn oratab(host: &HostRoot) -> Vec<OratabEntry> {
    let mut entries: Vec<OratabEntry> = Vec::new();
    for path in ORATABS {
        let (of_file, findings) = read_oratab(&host.read_or_empty(path, ORATAB_BYTES_LIMIT));
        host.report_all(path, &findings);
        for entry in of_file {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    entries
}
