//! The output of `peerwork store add`: progress, a line for each entry, and the sum.

use std::io::{self, Write as _};

use cid::Cid;
use peerwork_store::unixfs::Kind;
use serde_json::json;

use super::flags::AddFlags;
use crate::cli::{
    output::{Form, print_line, remark},
    printable::printable,
    size::size,
    store::progress::Meter,
};

/// The report of a run: how far it is, and what was added.
pub(super) struct Report {
    form: Form,
    verbosity: Verbosity,
    is_stored: bool,
    is_pinned: bool,
    meter: Meter,
    files: u64,
    directories: u64,
    bytes: u64,
}

/// The lines that a run prints as text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    All,
    /// The CIDs of the entries, as with `--quiet`.
    Cids,
    /// The last CID, as with `--quieter`.
    LastCid,
}

/// An entry that was added.
pub(super) struct Added<'a> {
    pub(super) cid: Cid,
    pub(super) path: &'a str,
    /// The bytes of the DAG.
    pub(super) size: u64,
    pub(super) kind: Kind,
}

impl Report {
    pub(super) fn new(flags: &AddFlags, form: Form) -> Self {
        let verbosity = match (flags.quieter, flags.quiet) {
            (true, _) => Verbosity::LastCid,
            (false, true) => Verbosity::Cids,
            (false, false) => Verbosity::All,
        };
        Self {
            form,
            verbosity,
            is_stored: !flags.only_hash,
            is_pinned: flags.pin && !flags.only_hash,
            meter: Meter::new("add", form, flags.shown()),
            files: 0,
            directories: 0,
            bytes: 0,
        }
    }

    /// Counts bytes of files that were read; `total` is the sum of all, where it is known.
    pub(super) fn read(&mut self, bytes: u64, total: Option<u64>) {
        self.meter.set_total(total);
        self.bytes += bytes;
        self.meter.add(bytes);
    }

    /// Counts an entry and prints its line.
    ///
    /// # Errors
    /// When standard output takes nothing.
    pub(super) fn added(&mut self, entry: &Added<'_>) -> anyhow::Result<()> {
        let Added {
            cid,
            path,
            size,
            kind,
        } = entry;
        match kind {
            Kind::Directory => self.directories += 1,
            Kind::File | Kind::Symlink => self.files += 1,
        }
        let line = match (self.form, self.verbosity) {
            (_, Verbosity::LastCid) => return Ok(()),
            (Form::Json, _) => json!({
                "event": "added",
                "cid": cid.to_string(),
                "path": path,
                "size": size,
                "kind": kind_of(*kind),
            })
            .to_string(),
            (Form::Text, Verbosity::Cids) => cid.to_string(),
            (Form::Text, Verbosity::All) => format!("added {cid} {}", printable(path)),
        };
        self.meter.beside(|| print_line(&line))
    }

    /// Says that everything is stored.
    ///
    /// # Errors
    /// When standard output takes nothing.
    pub(super) fn finish(self, last: Option<Cid>, blocks: u64) -> anyhow::Result<()> {
        let Self {
            form,
            verbosity,
            is_stored,
            is_pinned,
            meter,
            files,
            directories,
            bytes,
        } = self;
        drop(meter);
        match (form, verbosity) {
            (Form::Json, _) => print_line(
                &json!({
                    "event": "total",
                    "cid": last.map(|cid| cid.to_string()),
                    "files": files,
                    "directories": directories,
                    "bytes": bytes,
                    "blocks": blocks,
                    "stored": is_stored,
                    "pinned": is_pinned,
                })
                .to_string(),
            ),
            (Form::Text, Verbosity::LastCid) => match last {
                Some(cid) => print_line(&cid.to_string()),
                None => Ok(()),
            },
            (Form::Text, Verbosity::Cids) => Ok(()),
            (Form::Text, Verbosity::All) => {
                io::stdout().flush().ok();
                let end = match (is_stored, is_pinned) {
                    (false, _) => "nothing was stored",
                    (true, true) => "stored and pinned",
                    (true, false) => "stored and not pinned",
                };
                remark(&format!(
                    "{files} files, {directories} directories, {} in {blocks} blocks: {end}",
                    size(bytes)
                ));
                Ok(())
            }
        }
    }
}

/// The word of a kind in JSON.
pub(in crate::cli::store) fn kind_of(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
    }
}
