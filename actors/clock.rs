//! The one place that reads the time of day.

use std::sync::Arc;
use std::time::SystemTime;

use muster::time::Timestamp;

/// The present, for stamps and decisions. Waiting goes by the runtime's own monotonic clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Shared by everything in a node.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's time of day.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
