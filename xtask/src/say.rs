//! Writes to the person who started a chore.
//!
//! `println!` panics when the reader has closed the pipe, as in `cargo xtask tidy | head -1`. A chore goes
//! on without a reader, because its exit code is its answer.

use std::io::{self, Write};

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    print(&format!("{}\n", text.as_ref()));
}

/// Writes a text to standard output.
pub(crate) fn print(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// Writes a failure to standard error.
pub(crate) fn failure(text: &str) {
    write(&mut io::stderr().lock(), &format!("error: {text}\n"));
}

fn write(to: &mut impl Write, text: &str) {
    // There is no other place to write a text that finds no reader.
    let _unread = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
