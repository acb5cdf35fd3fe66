//! A listening socket and the HTTP server behind it, with the limits that the framework keeps.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Service};
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpResponse};
use tokio::sync::Notify;
use tracing::warn;

use super::gate::{Gate, IntakeTimes};
use super::patience::{Patience, Patient};

/// Connections of one node.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a connection that is being closed may take for its last bytes.
const DISCONNECT_TIME: Duration = Duration::from_secs(1);
/// How long a stopping listener waits for answers that are under way.
const STOP_SECS: u64 = 5;

/// Why a node does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen on {address} ({option}): give another address or stop what uses it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The option that named it.
        option: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The port is not for this account.
    #[error(
        "cannot listen on {address} ({option}): ports below 1024 are for root or the capability CAP_NET_BIND_SERVICE, give \
         another one"
    )]
    Privileged {
        /// The address.
        address: SocketAddr,
        /// The option that named it.
        option: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not loopback, and not switched on by name.
    #[error(
        "{address} ({option}) is not a loopback address and uploads would travel in plain: set `allow_plain = true` to \
         accept that"
    )]
    Plain {
        /// The address.
        address: SocketAddr,
        /// The option that named it.
        option: &'static str,
    },
}

/// What a listener answers to.
pub type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// A running listener.
pub struct Listener {
    /// Where it listens, with the true port.
    pub address: SocketAddr,
    handle: ServerHandle,
    /// Tells kept connections that no further request will be taken.
    stopping: Arc<Notify>,
}

impl Listener {
    /// Stops taking connections and ends; answers under way get their time when `graceful`.
    pub async fn stop(&self, graceful: bool) {
        self.stopping.notify_waiters();
        self.handle.stop(graceful).await;
    }
}

/// Binds `address`, which the option `option` names. Beyond loopback only with `allow_plain`, and then with a warning.
pub fn bind(address: SocketAddr, option: &'static str, allow_plain: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() {
        if !allow_plain {
            return Err(ListenError::Plain { address, option });
        }
        warn!(%address, option, "listening in plain beyond loopback: whoever is on the way can read and change uploads");
    }
    TcpListener::bind(address).map_err(|source| not_bound(address, option, source))
}

fn not_bound(address: SocketAddr, option: &'static str, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => ListenError::Privileged { address, option, source },
        _ => ListenError::Bind { address, option, source },
    }
}

/// Serves `routes` on `socket` until stopped. Must be called within a running system.
pub fn serve(socket: TcpListener, gate: Option<Arc<Gate>>, workers: usize, routes: Routes) -> io::Result<Listener> {
    let address = socket.local_addr()?;
    let times = gate.as_ref().map_or_else(IntakeTimes::default, |gate| gate.times());
    let stopping = Arc::new(Notify::new());
    let told = stopping.clone();
    let connections = move || {
        let (routes, gate, told) = (routes.clone(), gate.clone(), told.clone());
        let app = App::new()
            .wrap_fn(|request, service| {
                // From here on the node is at work: its own waits are bounded elsewhere.
                let patience = request.conn_data::<Patience>().cloned();
                patience.iter().for_each(Patience::begin);
                let answer = service.call(request);
                async move {
                    let answer = answer.await;
                    patience.iter().for_each(Patience::end);
                    answer
                }
            })
            .configure(move |config| routes(config))
            .default_service(actix_web::web::to(not_found));
        let app = app.into_factory().map_err(|error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let told = told.clone();
                async move { told.notified().await }
            })
            .keep_alive(times.idle)
            .client_request_timeout(times.head)
            .client_disconnect_timeout(DISCONNECT_TIME)
            .local_addr(address)
            .on_connect_ext(move |stream: &Patient<TcpStream>, data: &mut actix_http::Extensions| {
                data.insert(stream.patience());
                if let Some(gate) = &gate {
                    data.insert(gate.connected(stream.get().peer_addr().ok().map(|peer| peer.ip())));
                }
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let _ = stream.set_nodelay(true);
            let peer = stream.peer_addr().ok();
            std::future::ready(Ok::<_, DispatchError>((Patient::new(stream, times.idle + times.head), peer)))
        })
        .and_then(http)
    };
    let server: Server = Server::build()
        .workers(workers)
        .max_concurrent_connections(CONNECTIONS_MAX / workers.max(1))
        .shutdown_timeout(STOP_SECS)
        .disable_signals()
        .listen("http", socket, connections)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Listener { address, handle, stopping })
}

async fn not_found() -> HttpResponse {
    let refusal = muster::formats::wire::Refusal::new(404, "not-found", "there is nothing at this address");
    super::answer::refuse(&refusal, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_that_is_in_use_has_somebody_to_be_stopped() {
        let told = |kind: io::ErrorKind| {
            not_bound(SocketAddr::from(([127, 0, 0, 1], 80)), "server.listen", kind.into()).to_string()
        };
        assert!(told(io::ErrorKind::AddrInUse).contains("stop what uses it"));
        let privileged = told(io::ErrorKind::PermissionDenied);
        assert!(privileged.contains("below 1024") && !privileged.contains("stop"), "{privileged}");
    }
}
