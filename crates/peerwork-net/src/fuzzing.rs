//! Opens the private decoders of this crate to the fuzz targets; no part of the public interface.

use crate::relay::server::wire;

/// Reads bytes as the messages of circuit relay v2, as a relay reads them from strangers.
///
/// # Panics
/// When a message does not read as itself again.
pub fn relay_message(bytes: &[u8]) {
    wire::check_any_bytes(bytes);
}
