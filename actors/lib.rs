//! The clerks: actors, disks, sockets and clocks around the decisions of `muster`.
