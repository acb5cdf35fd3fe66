//! A listening socket and the HTTP server behind it, with the limits that the framework keeps.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt::net::TcpStream;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpResponse, HttpServer};
use tracing::warn;

use super::gate::{Gate, IntakeTimes};

/// Connections of one node.
const CONNECTIONS_MAX: usize = 10_000;
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
}

impl Listener {
    /// Stops taking connections and ends; answers under way get their time when `graceful`.
    pub async fn stop(&self, graceful: bool) {
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
    TcpListener::bind(address).map_err(|source| ListenError::Bind { address, option, source })
}

/// Serves `routes` on `socket` until stopped. Must be called within a running system.
pub fn serve(socket: TcpListener, gate: Option<Arc<Gate>>, workers: usize, routes: Routes) -> io::Result<Listener> {
    let address = socket.local_addr()?;
    let times = gate.as_ref().map_or_else(IntakeTimes::default, |gate| gate.times());
    let server: Server = HttpServer::new(move || {
        let routes = routes.clone();
        App::new().configure(move |config| routes(config)).default_service(actix_web::web::to(not_found))
    })
    .workers(workers)
    .max_connections(CONNECTIONS_MAX / workers.max(1))
    .client_request_timeout(times.head)
    .client_disconnect_timeout(Duration::from_secs(1))
    .keep_alive(times.idle)
    .shutdown_timeout(STOP_SECS)
    .disable_signals()
    .on_connect(move |connection, data| {
        if let (Some(gate), Some(stream)) = (&gate, connection.downcast_ref::<TcpStream>()) {
            let _ = stream.set_nodelay(true);
            data.insert(gate.connected(stream.peer_addr().ok().map(|peer| peer.ip())));
        }
    })
    .listen(socket)?
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Listener { address, handle })
}

async fn not_found() -> HttpResponse {
    let refusal = muster::formats::wire::Refusal::new(404, "not-found", "there is nothing at this address");
    super::answer::refuse(&refusal, None)
}
