//! The proxy that an agent reaches beacons and servers through.

use std::io;
use std::path::PathBuf;

use muster::config::agent::ProxyConfig;
use reqwest::{NoProxy, Proxy};

use crate::secret;
use crate::upload_client::UploadClient;

/// What never goes through a proxy: this host itself.
const OWN: &str = "localhost,127.0.0.0/8,::1";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The password for the proxy.
    #[error("cannot read the proxy's password in `{}`", path.display())]
    Password {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// All else.
    #[error("cannot make the HTTP client")]
    Http(#[from] reqwest::Error),
}

/// A client through the configured proxy; without one, through that of the environment, if any.
pub fn client(config: Option<&ProxyConfig>) -> Result<UploadClient, ClientError> {
    let Some(config) = config else { return Ok(UploadClient::new()?) };
    let beside: Vec<&str> = [OWN].into_iter().chain(config.no_proxy.iter().map(String::as_str)).collect();
    let mut proxy = Proxy::all(&config.url)?.no_proxy(NoProxy::from_string(&beside.join(",")));
    if let Some(account) = &config.account {
        let path = &account.password_file;
        let password = secret::read(path).map_err(|source| ClientError::Password { path: path.clone(), source })?;
        proxy = proxy.basic_auth(&account.user, &password);
    }
    Ok(UploadClient::through(proxy)?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use bytes::Bytes;
    use muster::config::agent::{AgentConfig, AgentFile};
    use muster::upload::answer::Answer;

    use super::super::run::{start_in, world};
    use super::super::tests::{FakeHost, Server, fatal, until};
    use super::*;
    use crate::clock::WallClock;

    /// An agent's configuration with a proxy; the data folder holds the password.
    fn config(data: &std::path::Path, server: &str, proxy: &str) -> AgentConfig {
        let password = data.with_extension("password");
        fs::write(&password, "secret\n").unwrap();
        fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
        let mut file = AgentFile::default();
        file.agent.data = data.into();
        (file.agent.servers, file.agent.allow_plain) = (vec![server.into()], true);
        (file.proxy.url, file.proxy.user, file.proxy.no_proxy) = (proxy.into(), "kim".into(), vec![".lab".into()]);
        file.proxy.password_file = password;
        AgentConfig::checked(file, "test").unwrap()
    }

    #[actix::test]
    async fn reports_go_through_the_proxy_with_its_account() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Server::start(&[]);
        let config = config(&folder.path().join("data"), "http://beacon.example:7081", &proxy.url);
        let host = Arc::new(FakeHost(AtomicUsize::new(0)));
        let agent = start_in(world(&config, Arc::new(WallClock), host).unwrap(), fatal());
        until("delivered", || proxy.arrivals().len() == 1).await;
        agent.stop().await;
        let arrival = &proxy.arrivals()[0];
        assert!(arrival.path.starts_with("http://beacon.example:7081/ManageSoftRL/Inventories/"), "{}", arrival.path);
        // printf kim:secret | base64
        assert_eq!(arrival.headers["proxy-authorization"], "Basic a2ltOnNlY3JldA==");
    }

    #[actix::test]
    async fn this_host_is_reached_directly() {
        let folder = tempfile::tempdir().unwrap();
        let (proxy, server) = (Server::start(&[]), Server::start(&[]));
        let config = config(&folder.path().join("data"), &server.url, &proxy.url);
        let host = Arc::new(FakeHost(AtomicUsize::new(0)));
        let agent = start_in(world(&config, Arc::new(WallClock), host).unwrap(), fatal());
        until("delivered", || server.arrivals().len() == 1).await;
        agent.stop().await;
        assert_eq!((proxy.arrivals().len(), server.arrivals()[0].headers.get("proxy-authorization")), (0, None));
    }

    #[actix::test]
    async fn https_asks_the_proxy_for_a_tunnel_and_hosts_beside_it_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            String::from_utf8(head).unwrap()
        });
        let config = config(&folder.path().join("data"), "https://beacon.example", &format!("http://{address}"));
        let client = client(config.proxy.as_ref()).unwrap();
        let put = |base| client.put(base, "Inventories", "x.ndi.gz", &[], Bytes::from_static(b"x"));
        // Beside the proxy: the name has no address, and nobody asks the proxy for it.
        assert!(matches!(put("https://no.such.name.lab").await, Answer::Nothing(_)));
        assert!(matches!(put("https://beacon.example").await, Answer::Nothing(_)));
        let head = asked.join().unwrap();
        assert!(head.starts_with("CONNECT beacon.example:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(": Basic a2ltOnNlY3JldA=="), "{head}");
    }

    #[test]
    fn a_password_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder.path().join("data"), "https://beacon.example", "http://proxy.example:3128");
        let account = config.proxy.as_ref().unwrap().account.clone().unwrap();
        fs::set_permissions(&account.password_file, Permissions::from_mode(0o640)).unwrap();
        let error = client(config.proxy.as_ref()).err().unwrap();
        assert!(error.to_string().starts_with("cannot read the proxy's password in `/"), "{error}");
    }
}
