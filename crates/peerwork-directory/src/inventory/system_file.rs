//! Reads the files of the system that the inventory is made of.

use std::path::Path;

/// Reads a small file of `/proc` or `/sys`.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))
}
