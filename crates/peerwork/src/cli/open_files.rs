//! Raises the limit of open files, because each connection of a node takes one.
//!
//! Shells and service managers set the soft limit to 1024 for programs that use `select`, and leave the
//! hard limit far above. A node allows 8192 connections by default.

/// The limit below which a node warns: the connections that it allows by default.
#[cfg(unix)]
const ENOUGH: u64 = 8192;
/// The limit to ask for where the hard limit is higher than the system permits, as on macOS.
#[cfg(unix)]
const MODEST: u64 = 10_240;

/// Raises the soft limit to the hard limit, and warns when that is low.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Nofile);
    let with = |current| Rlimit { current, ..before };
    let raised = setrlimit(Resource::Nofile, with(before.maximum));
    if raised.is_err() && before.current.is_some_and(|current| current < MODEST) {
        // Where this fails too, the limit stays, and the warning names it.
        let _ = setrlimit(Resource::Nofile, with(Some(MODEST)));
    }
    let now = getrlimit(Resource::Nofile).current;
    if let Some(files) = now.filter(|files| *files < ENOUGH) {
        tracing::warn!(
            files,
            "the limit of open files is below the {ENOUGH} connections that a node allows by default; \
             raise it (ulimit -Hn, LimitNOFILE=) or lower the limits of connections"
        );
    }
}

/// Does nothing: other systems have no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() {}
