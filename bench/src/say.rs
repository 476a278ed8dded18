//! Writes figures and addresses to standard output, where `println!` would panic without a reader.

use std::{fmt::Display, io::Write as _};

/// Writes a line.
///
/// # Errors
/// When standard output cannot be written, also because its reader has closed the pipe.
pub(crate) fn line(text: impl Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
