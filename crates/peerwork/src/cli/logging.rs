//! Sets up the log: to standard error or a file, as text or as JSON lines.

use std::{fs::OpenOptions, io::IsTerminal as _, path::Path, sync::Mutex};

use anyhow::Context as _;
use peerwork_identity::advice;
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::{output::Form, values::LogLevel};

/// The environment variable with a whole log filter, as in `info,peerwork_net=trace`.
pub(crate) const VARIABLE: &str = "PEERWORK_LOG";

/// Libraries that log only warnings, unless the filter names their level.
const QUIET: [&str; 12] = [
    "libp2p",
    "multistream_select",
    "yamux",
    "quinn",
    "rustls",
    "hickory",
    "netlink",
    "h2",
    "hyper",
    "tower",
    "tonic",
    "igd",
];

/// Libraries that log only errors, because they warn of everyday events such as knowing no other node.
const QUIETER: [&str; 1] = ["libp2p_kad"];

/// The settings of the log.
pub(crate) struct Log<'a> {
    pub(crate) level: LogLevel,
    pub(crate) form: Form,
    /// The file that the log is appended to; `None` is standard error.
    pub(crate) file: Option<&'a Path>,
}

/// Starts the log of this process.
///
/// # Errors
/// When the file cannot be opened, or the filter in `PEERWORK_LOG` is malformed.
pub(crate) fn start(log: &Log<'_>) -> anyhow::Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).with_context(|| {
            format!("{VARIABLE} = `{text}` is no log filter: write it like info,peerwork_net=debug")
        })?,
        _ => EnvFilter::new(default_filter(log.level)),
    };
    // Colours are only for a terminal, not for files and journals.
    let layer = fmt::layer().with_ansi(std::io::stderr().is_terminal());
    let layer = match (log.file, log.form) {
        (None, Form::Text) => layer.with_writer(std::io::stderr).boxed(),
        (None, Form::Json) => layer.json().with_writer(std::io::stderr).boxed(),
        (Some(path), form) => {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| {
                    let (path, advice) = (path.display(), advice(&error));
                    anyhow::anyhow!("cannot open the log file {path}: {error}; {advice}")
                })?;
            let layer = layer.with_ansi(false).with_writer(Mutex::new(file));
            match form {
                Form::Text => layer.boxed(),
                Form::Json => layer.json().boxed(),
            }
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .context("cannot start the log")
}

fn default_filter(level: LogLevel) -> String {
    let library_level = match level.0 {
        "off" => "off",
        "error" => "error",
        _ => "warn",
    };
    let quieter_level = match library_level {
        "off" => "off",
        _ => "error",
    };
    let quiet = QUIET.map(|name| format!("{name}={library_level}"));
    let quieter = QUIETER.map(|name| format!("{name}={quieter_level}"));
    format!("{},{},{}", level.0, quiet.join(","), quieter.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn libraries_are_never_louder_than_the_program() {
        let filter = |level: &str| default_filter(level.parse().unwrap());
        assert!(filter("trace").starts_with("trace,libp2p=warn,"));
        assert!(filter("off").contains("libp2p=off"));
        assert!(EnvFilter::try_new(filter("info")).is_ok());
    }
}
