//! The line of a terminal that is drawn again and again.

use std::{io, sync::Arc};

use crossterm::{
    cursor::MoveToColumn,
    style::Print,
    terminal::{Clear, ClearType},
};
use parking_lot::Mutex;

/// The line on the terminal. The cursor stays behind its last letter, so that what the terminal itself writes
/// there, such as `^C`, goes with it. Clones are the same line.
#[derive(Clone, Default)]
pub(super) struct StatusLine {
    shown: Arc<Mutex<Option<String>>>,
}

impl StatusLine {
    /// Draws the line.
    pub(super) fn draw(&self, text: String) {
        *self.shown.lock() = Some(drawn(text));
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        cleared(&mut self.shown.lock());
    }

    /// Writes something above the line.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        let mut shown = self.shown.lock();
        let text = cleared(&mut shown);
        let written = write();
        *shown = text.map(drawn);
        written
    }
}

fn drawn(text: String) -> String {
    // Progress is lost when standard error is closed: there is no other place to write it.
    let (begin, clear) = (MoveToColumn(0), Clear(ClearType::CurrentLine));
    let _ = crossterm::execute!(io::stderr(), begin, clear, Print(&text));
    text
}

fn cleared(shown: &mut Option<String>) -> Option<String> {
    let text = shown.take()?;
    let (begin, clear) = (MoveToColumn(0), Clear(ClearType::CurrentLine));
    let _ = crossterm::execute!(io::stderr(), begin, clear);
    Some(text)
}
