//! Work that must not be felt by others: collecting on a host, reading packages on a server.

use tracing::debug;

/// For a thread that only takes what nobody else wants.
pub const LEAST: i32 = 19;
/// For a thread that gives way to others, but still gets its tenth of a busy processor.
pub const LOW: i32 = 10;

/// Lowers the calling thread to CPU priority `nice`, for as long as it lives: only root could raise it again. So it is
/// called on a thread made for such work, never on one that serves requests.
///
/// Linux counts this priority per thread, though POSIX says process.
#[cfg(target_os = "linux")]
pub fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        debug!(%error, "priority of a thread is not lowered");
    }
}

/// Elsewhere priorities belong to processes; the agent's own stays as it is.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority(_: i32) {
    debug!("priority of a thread is not lowered on this platform");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_is_lowered() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let lowered = std::thread::spawn(move || {
            lower_priority(LEAST);
            nice()
        });
        assert_eq!(lowered.join().unwrap(), LEAST);
        assert_eq!(nice(), before);
    }
}
