//! Times in milliseconds since 1970, as files and figures contain them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds from 1970 to `at`; 0 for earlier times.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 at this moment.
pub(crate) fn millis_since_1970() -> u64 {
    millis(SystemTime::now())
}
