//! `sendme` (iroh) on loopback, without its relays and its discovery.

use std::path::Path;

use crate::children::Process;

/// A file that `sendme` offers, until dropped.
pub(super) struct Offered {
    pub(super) ticket: String,
    _process: Process,
}

/// Offers a file; the program keeps its own copy in `folder`.
pub(super) fn offer(sendme: &Path, file: &str, folder: &Path) -> anyhow::Result<Offered> {
    let quiet = ["--relay", "disabled", "--no-progress"];
    let mut arguments = vec!["send", file, "--ticket-type", "addresses"];
    arguments.extend(["--magic-ipv4-addr", "127.0.0.1:0"]);
    arguments.extend(quiet);
    let arguments: Vec<String> = arguments.into_iter().map(String::from).collect();
    let mut process = Process::start_in("sendme", sendme, &arguments, Some(folder))?;
    let ticket = process.line_after("sendme receive ")?;
    Ok(Offered {
        ticket,
        _process: process,
    })
}
