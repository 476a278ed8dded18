//! Reads files of Linux's `/proc` and `/sys`, from which the inventory takes memory, CPU, graphics cards
//! and MAC address.

use std::path::Path;

/// Reads a small file of `/proc` or `/sys`.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))
}
