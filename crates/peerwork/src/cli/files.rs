//! Writes the files that commands create.

use std::{io, path::Path};

use peerwork_identity::{WriteMode, atomic_write};

/// Writes a file that must not exist yet, with the permission bits `mode` where the system has such
/// bits.
///
/// # Errors
/// When the file exists or cannot be written; the text names the file and says what to do.
pub(crate) fn write_new(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    atomic_write(path, contents, WriteMode::CreateNew(mode)).map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!(
                    "{} exists: move it away, or name another file",
                    path.display()
                )
            }
            _ => format!("{}: {error}", path.display()),
        };
        io::Error::new(error.kind(), text)
    })
}
