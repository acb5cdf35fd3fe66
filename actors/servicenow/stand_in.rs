//! The running stand-in: data folder, account, processor and HTTP server.
//!
//! ```text
//! data/password        of the account, made on the first start (mode 0600)
//! data/refresh-token   for `muster export servicenow --token-file` (mode 0600)
//! data/address         http://host:port of the last start
//! data/tables/         log of facts: every record
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use muster::export::servicenow_time;
use muster::id::Guid;

use super::auth::{Auth, Client, TOKEN_CHARS};
use super::faults::{Armed, Faults};
use super::http::{Site, Socket, routes};
use super::imports::{RUNS, is_open, table};
use super::processor::{Processor, Shared};
use super::seed;
use super::store::{Store, StoreError};
use crate::clock::SharedClock;
use crate::secret;

/// Characters of a password that is made here.
const PASSWORD_CHARS: usize = 24;
/// Threads that carry HTTP. The tables are used by one at a time anyway.
const WORKERS: usize = 2;
/// Connections to one of them.
const CONNECTIONS_MAX: usize = 256;
/// How long `stop` waits for answers under way.
const STOP_SECS: u64 = 5;

/// How a stand-in is started.
#[derive(Clone)]
pub struct StandInOptions {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder of everything that survives.
    pub data: PathBuf,
    /// Account. Source: servicenow reference and interfaces, default `admin`.
    pub user: String,
    /// Its password; one is made and kept in the data folder when there is none.
    pub password: Option<String>,
    /// OAuth client that token requests must name; none is asked for when there is none.
    pub client: Option<Client>,
    /// Faults to make.
    pub faults: Faults,
    /// Time of day.
    pub clock: SharedClock,
}

/// Why there is no stand-in.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the data folder.
    #[error("cannot use the file `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address.
    #[error("cannot listen on {listen}: choose another address with --listen")]
    Listen {
        /// As given.
        listen: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A thread.
    #[error("cannot start a thread of the stand-in")]
    Thread(#[source] std::io::Error),
}

/// A stand-in that can be started.
pub struct StandIn;

/// One that runs. It stops when it is dropped; [`RunningStandIn::stop`] also waits.
pub struct RunningStandIn {
    /// Where it listens.
    pub address: SocketAddr,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whether the password was made by this start: then it should be shown, this once.
    pub password_is_new: bool,
    /// A refresh token that does not expire.
    pub refresh_token: String,
    server: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
    processor: Option<Processor>,
    shared: Arc<Shared>,
}

impl StandIn {
    /// Starts a stand-in on threads of its own, whatever runtime the caller has.
    pub fn start(options: StandInOptions) -> Result<RunningStandIn, StandInError> {
        let StandInOptions { listen, data, user, password, client, faults, clock } = options;
        let listener = TcpListener::bind(listen).map_err(|source| StandInError::Listen { listen, source })?;
        let address = listener.local_addr().map_err(|source| StandInError::Listen { listen, source })?;
        let mut store = Store::open(&data, clock)?;
        let kept = |name: &str, length| {
            let path = data.join(name);
            secret::read_or_make(&path, length).map_err(|source| StandInError::File { path, source })
        };
        let (password, password_is_new) = match password {
            Some(password) => (password, false),
            None => kept("password", PASSWORD_CHARS)?,
        };
        let (refresh_token, _) = kept("refresh-token", TOKEN_CHARS)?;
        let path = data.join("address");
        std::fs::write(&path, format!("http://{address}\n")).map_err(|source| StandInError::File { path, source })?;
        seed::seed(&mut store, &user)?;
        if faults.open {
            open_foreign_run(&mut store)?;
        }
        let shared = Shared::new(store);
        let processor = Processor::start(shared.clone()).map_err(StandInError::Thread)?;
        let auth = Auth::new(user.clone(), password.clone(), refresh_token.clone(), client);
        let site = web::Data::new(Site::new(shared.clone(), auth, Armed::new(faults)));
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("servicenow-http".into()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || App::new().app_data(site.clone()).configure(routes))
                    .workers(WORKERS)
                    .max_connections(CONNECTIONS_MAX)
                    .shutdown_timeout(STOP_SECS)
                    .disable_signals()
                    .on_connect(move |connection, data| {
                        // A second handle to the socket, to close it under a request.
                        if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>()
                            && let Ok(socket) = std::os::fd::AsFd::as_fd(stream).try_clone_to_owned()
                        {
                            data.insert(Socket(Arc::new(socket)));
                        }
                    })
                    .listen(listener)?
                    .run();
                // The receiver is gone only when the starter is.
                let _ = send.send(server.handle());
                server.await
            })
        });
        let thread = thread.map_err(StandInError::Thread)?;
        let Ok(server) = receive.recv() else {
            let source = match thread.join() {
                Ok(Err(source)) => source,
                _ => std::io::Error::other("the server ended at once"),
            };
            return Err(StandInError::Listen { listen, source });
        };
        Ok(RunningStandIn {
            address,
            user,
            password,
            password_is_new,
            refresh_token,
            server,
            thread: Some(thread),
            processor: Some(processor),
            shared,
        })
    }
}

impl RunningStandIn {
    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers what is under way, ends every thread and lets go of the data folder. Blocks up to some seconds.
    pub fn stop(mut self) {
        self.end(true);
    }

    fn end(&mut self, graceful: bool) {
        // The future only waits; the order is given by the call.
        drop(self.server.stop(graceful));
        self.processor = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
        self.shared.lock().close();
    }
}

impl Drop for RunningStandIn {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// `--fault open`: somebody else's run, which never gets a segment.
fn open_foreign_run(store: &mut Store) -> Result<(), StoreError> {
    if store.tables().all(table(RUNS)).any(is_open) {
        return Ok(());
    }
    store.edit("system", |edit| {
        let stamp = servicenow_time(edit.now());
        let set = [
            ("number", edit.next_number("IMR")),
            ("run_id", Guid::from_random(secret::random_bytes()).to_string()),
            ("import_type", "Inventory".to_owned()),
            ("state", "New".to_owned()),
            ("created", stamp.clone()),
            ("last_activity", stamp),
            ("message", "opened by --fault open".to_owned()),
        ];
        edit.insert(RUNS, set);
    })
}
