//! Configuration files of a fleet on one loopback address: server, beacons, agent.

use std::path::{Path, PathBuf};

use super::shipped;

/// Configuration files of one test, which has a loopback address for itself, so that ports are the shipped ones.
pub struct Files<'f> {
    /// Where files and data folders stand.
    pub folder: &'f Path,
    /// The test's own address.
    pub address: &'static str,
}

impl Files<'_> {
    fn data(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The server, which imports on arrival.
    pub fn server(&self) -> PathBuf {
        let changes = [("/var/lib/muster/server", &*self.data("server")), ("127.0.0.1", self.address)];
        let text = shipped("server.toml", &changes).replace("on_arrival = false", "on_arrival = true");
        self.write("server", &text)
    }

    /// A beacon on `port` below the node on `parent`; agents are told of it when it has an endpoint.
    pub fn beacon(&self, name: &str, port: u16, parent: u16, endpoint: Option<u16>, site: &str) -> PathBuf {
        let listen = format!("listen = \"{}:{port}\"", self.address);
        let changes = [
            ("/var/lib/muster/beacon", &*self.data(name)),
            ("listen = \"127.0.0.1:7081\"", &listen),
            ("127.0.0.1:7080", &format!("{}:{parent}", self.address)),
            ("interval_secs = 60", "interval_secs = 1"),
            ("policy_interval_secs = 900", "policy_interval_secs = 1"),
            ("name = \"beacon\"", &format!("name = \"{name}\"")),
            ("site = \"\"", &format!("site = \"{site}\"")),
        ];
        let mut text = shipped("beacon.toml", &changes);
        match endpoint {
            Some(port) => {
                text = text.replace("endpoint = \"\"", &format!("endpoint = \"http://{}:{port}\"", self.address))
            }
            None => text = text.replace("for_agents = true", "for_agents = false"),
        }
        self.write(name, &text)
    }

    /// An agent of the site `lab` that begins at the beacon on `bootstrap`.
    pub fn agent(&self, bootstrap: u16) -> PathBuf {
        let changes = [
            ("/var/lib/muster/agent", &*self.data("agent")),
            ("127.0.0.1:7081", &format!("{}:{bootstrap}", self.address)),
            ("site = \"\"", "site = \"lab\""),
        ];
        self.write("agent", &shipped("agent.toml", &changes))
    }
}
