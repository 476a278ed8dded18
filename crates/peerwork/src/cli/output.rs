//! Prints results and failures: text for people, one line of JSON with `--json`.
//!
//! The text form is that of the EdgeMatrix program: a blank line, a heading in brackets, rows whose
//! values stand below each other, a blank line.

use std::{fmt::Write as _, io::Write as _};

use serde::Serialize;

use super::printable::harmless;

/// The answer of a command.
pub(crate) trait Answer: Serialize {
    /// The answer as text for people, without a final line break.
    fn text(&self) -> String;
}

/// The output form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// One line of JSON.
    Json,
}

impl Form {
    /// Writes `answer` to standard output.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn show(self, answer: &impl Answer) -> anyhow::Result<()> {
        match self {
            Self::Text => print_line(&answer.text()),
            Self::Json => print_line(&serde_json::to_string(answer)?),
        }
    }

    /// Shows an answer of a node that runs. The node goes on when the answer cannot be written.
    pub(crate) fn announce(self, answer: &impl Answer) {
        if let Err(error) = self.show(answer) {
            log_unwritten(&error);
        }
    }
}

/// Writes a line about a node that runs. The node goes on when the line cannot be written.
pub(crate) fn announce_line(line: &str) {
    if let Err(error) = print_line(line) {
        log_unwritten(&error);
    }
}

fn log_unwritten(error: &anyhow::Error) {
    tracing::warn!("the node goes on: {}", failure_text(error));
}

/// Writes one line to standard output.
///
/// # Errors
/// When standard output cannot be written. A reader that has closed the pipe is no error.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    print_of_many(line).map(|_| ())
}

/// Writes one line of many to standard output, and says whether further lines have a reader.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print_of_many(line: &str) -> anyhow::Result<Reader> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        Ok(()) => Ok(Reader::There),
    }
}

/// The reader of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    /// The pipe is closed at its other end.
    Gone,
}

/// Writes a remark for the person at the terminal to standard error.
pub(crate) fn remark(line: &str) {
    // The remark is lost when standard error is closed: there is no other place to write it.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a failure to standard error: its text, or `{"error":"…"}`.
pub(crate) fn show_failure(form: Form, message: &str) {
    match form {
        Form::Text => remark(&format!("error: {}", harmless(message))),
        Form::Json => remark(&serde_json::json!({ "error": message }).to_string()),
    }
}

/// Writes a warning to standard error: its text, or `{"warning":"…"}`.
pub(crate) fn show_warning(form: Form, message: &str) {
    match form {
        Form::Text => remark(&format!("warning: {message}")),
        Form::Json => remark(&serde_json::json!({ "warning": message }).to_string()),
    }
}

/// Writes a note about an answer to standard error: its text, or `{"note":"…"}`.
pub(crate) fn show_note(form: Form, message: &str) {
    match form {
        Form::Text => remark(&format!("note: {message}")),
        Form::Json => remark(&serde_json::json!({ "note": message }).to_string()),
    }
}

/// The text of a failure and its causes. A cause that the text already contains is left out.
pub(crate) fn failure_text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A heading in brackets and rows of names and values.
pub(crate) fn block(heading: &str, rows: &[(&str, String)]) -> String {
    section(heading, &aligned(rows))
}

/// A heading in brackets and lines below it.
pub(crate) fn section(heading: &str, lines: &str) -> String {
    format!("\n[{heading}]\n{}\n", lines.trim_end_matches('\n'))
}

/// Rows `name = value` with the equal signs below each other; an empty value is `<none>`.
pub(crate) fn aligned(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for (name, value) in rows {
        let value = match value.trim() {
            "" => "<none>",
            value => value,
        };
        writeln!(text, "{name:width$} = {value}").expect("invariant: writing to a String succeeds");
    }
    text
}

/// A numbered list with its length above, or `none` when it is empty.
pub(crate) fn numbered(count_label: &str, none: &str, entries: &[String]) -> String {
    if entries.is_empty() {
        return none.to_owned();
    }
    let names: Vec<String> = (0..entries.len()).map(|i| format!("[{i}]")).collect();
    let rows: Vec<(&str, String)> = names
        .iter()
        .map(String::as_str)
        .zip(entries.iter().cloned())
        .collect();
    format!("{count_label}: {}\n\n{}", entries.len(), aligned(&rows))
}

/// Rows of cells in columns two spaces apart; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let lines: Vec<String> = rows.iter().map(|row| table_line(row, &widths)).collect();
    lines.join("\n")
}

fn table_line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}", width = *width))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_blank_line_heading_aligned_rows_blank_line() {
        let text = block(
            "SECRETS INIT",
            &[
                ("Public key (address)", "0x1a64".to_owned()),
                ("Node ID", "16Uiu2".to_owned()),
            ],
        );
        let expected =
            "\n[SECRETS INIT]\nPublic key (address) = 0x1a64\nNode ID              = 16Uiu2\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_cause_is_printed_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read x: no such file");
        assert_eq!(failure_text(&error), "cannot read x: no such file");
        let error = anyhow::anyhow!("no such file").context("cannot read x");
        assert_eq!(failure_text(&error), "cannot read x: no such file");
    }

    #[test]
    fn an_empty_value_is_shown_as_none() {
        assert_eq!(aligned(&[("Node ID", String::new())]), "Node ID = <none>\n");
    }

    #[test]
    fn a_list_shows_its_length_and_numbers_its_entries() {
        let entries: Vec<String> = (0..11).map(|i| format!("peer{i}")).collect();
        let text = numbered("Number of peers", "No peers found", &entries);
        assert!(text.starts_with("Number of peers: 11\n\n[0]  = peer0\n[1]  = peer1\n"));
        assert!(text.ends_with("[10] = peer10\n"));
        assert_eq!(
            numbered("Number of peers", "No peers found", &[]),
            "No peers found"
        );
    }

    #[test]
    fn columns_of_a_table_stand_two_spaces_apart() {
        let rows = [["ID", "LABEL"], ["abc", "x"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "ID   LABEL\nabc  x");
    }
}
