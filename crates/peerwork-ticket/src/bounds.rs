//! The bounds of tickets and tokens.

use std::time::Duration;

/// The most relays that a ticket names.
pub const RELAYS_MAX: usize = 8;

/// The largest contents of a ticket, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

/// The longest lifetime of a token. It bounds how long a relay remembers used tokens.
pub const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The lifetime of a one-time token without a named expiry.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(24 * 3600);
