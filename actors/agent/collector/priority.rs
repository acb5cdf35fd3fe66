//! Collecting must not be felt by those who work on the host.

use tracing::debug;

/// Lowers the calling thread to the least CPU priority, for as long as it lives: only root could raise it again. So it
/// is called on a thread made for collecting, never on one that serves requests.
///
/// Linux counts this priority per thread, though POSIX says process.
#[cfg(target_os = "linux")]
pub fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        debug!(%error, "priority of the collecting thread is not lowered");
    }
}

/// Elsewhere priorities belong to processes; the agent's own stays as it is.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority() {
    debug!("priority of the collecting thread is not lowered on this platform");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_is_lowered() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let lowered = std::thread::spawn(move || {
            lower_priority();
            nice()
        });
        assert_eq!(lowered.join().unwrap(), 19);
        assert_eq!(nice(), before);
    }
}
