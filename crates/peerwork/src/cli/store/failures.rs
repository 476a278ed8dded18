//! Errors of a node's store as texts for people.

use cid::Cid;
use tonic::{Code, Status};

/// Turns a refusal of a node into a text for a person.
pub(super) fn told(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => crate::cli::operator::refused(status),
        Code::Unimplemented => anyhow::anyhow!(
            "the node has no content store: it runs without a data directory, or its version is older ({message})"
        ),
        // An error of the transport: the node ended, or it stops.
        Code::Unknown | Code::Cancelled => {
            anyhow::anyhow!("the node ended the connection: does it still run? ({message})")
        }
        Code::Unavailable if std::error::Error::source(status).is_some() => {
            anyhow::anyhow!("the node ended the connection: does it still run? ({message})")
        }
        _ => anyhow::anyhow!("the node answered: {message}"),
    }
}

/// The error of a root that cannot be unpinned, because it has no pin of its own.
pub(super) fn not_pinned(root: &Cid) -> anyhow::Error {
    anyhow::anyhow!(
        "{root} is not pinned itself: `peerwork store ls` lists the pins, and each keeps all that is below it"
    )
}
