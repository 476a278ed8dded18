//! Logs the failures of a forwarder's connections, each kind at most once a minute: a client that
//! retries would fill the log otherwise.

use std::{borrow::Cow, collections::HashMap, io, mem::Discriminant, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    connect::{ConnectError, Destination},
    wire::{Reason, RequestId},
};

/// The pause between two warnings about the same kind of failure.
const PAUSE: Duration = Duration::from_secs(60);

/// The reason why a forwarded connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    /// The tunnel to the port did not open.
    #[error("no tunnel to the port: {0}")]
    Connect(#[from] ConnectError),
    /// The client, the tunnel or the app broke off.
    #[error("the connection broke off: {0}")]
    Copy(#[from] io::Error),
}

/// The kind of a failure, without the details of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Refused(Reason),
    Connect(Discriminant<ConnectError>),
    BrokeOff,
}

impl Kind {
    fn of(error: &CarryError) -> Self {
        match error {
            CarryError::Connect(ConnectError::Refused(refusal)) => Self::Refused(refusal.reason),
            CarryError::Connect(error) => Self::Connect(std::mem::discriminant(error)),
            CarryError::Copy(_) => Self::BrokeOff,
        }
    }
}

/// The failures that were logged as warnings. The map has at most one entry for each reason of a
/// refusal and each variant of [`ConnectError`].
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Kind, Logged>>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    /// Failures of this kind since the last warning.
    silent: u64,
}

impl Failures {
    /// Logs the failure of one connection: as a warning, or at the level debug where a warning about
    /// the same kind was logged within [`PAUSE`].
    pub(super) fn log(&self, to: &Destination, request_id: RequestId, error: &CarryError) {
        match self.due(Kind::of(error), Instant::now()) {
            // The texts of other nodes are printed with escapes: they might contain control characters.
            Some(repeated) => tracing::warn!(
                %request_id,
                repeated,
                cause = %error.to_string().escape_debug(),
                "no connection to {to:?}: {}",
                explained(error)
            ),
            None => {
                tracing::debug!(?to, %request_id, cause = %error.to_string().escape_debug(), "connection failed");
            }
        }
    }

    /// Whether a failure of this kind is logged as a warning; then the number of failures since the
    /// last warning.
    fn due(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock();
        let last = match logged.get_mut(&kind) {
            Some(last) if now.saturating_duration_since(last.at) < PAUSE => {
                last.silent += 1;
                return None;
            }
            Some(last) => last.silent,
            None => 0,
        };
        logged.insert(kind, Logged { at: now, silent: 0 });
        Some(last)
    }
}

/// Explains a failure to the person who runs the forwarder, with the way out.
fn explained(error: &CarryError) -> Cow<'static, str> {
    match error {
        CarryError::Connect(ConnectError::Refused(refusal)) => refused(refusal.reason).into(),
        CarryError::Connect(ConnectError::UnknownNode) => {
            "no node of this name is known in the network; check the id, and that the node runs"
                .into()
        }
        CarryError::Connect(ConnectError::NoEdge) => {
            "the node is no edge, so none of its ports can be reached".into()
        }
        CarryError::Connect(ConnectError::Unreachable(_)) => {
            "the node is known and cannot be reached at this moment".into()
        }
        CarryError::Connect(error) => error.to_string().into(),
        CarryError::Copy(_) => "a connection broke off".into(),
    }
}

fn refused(reason: Reason) -> &'static str {
    match reason {
        Reason::PortNotAllowed => "the owner of the edge does not allow this port",
        Reason::AppUnreachable => "nothing listens at this port of the edge",
        Reason::AppTimeout => "the app at this port of the edge takes no connection in time",
        Reason::KeyMissing => {
            "the edge demands a key: `peerwork key create` makes one there, --edge-key sends it"
        }
        Reason::KeyInvalid => "the edge does not know the key, or the key has expired",
        Reason::CallerNotAllowed => {
            "the edge does not allow this caller, or the key is for another port"
        }
        Reason::Full => "the edge has as many connections as it allows",
        Reason::ShuttingDown => "the edge is stopping",
        Reason::Malformed | Reason::MayHaveArrived => {
            "the edge refused for a reason that this version does not know"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Refusal;

    fn refusal(reason: Reason, detail: &str) -> CarryError {
        let detail = detail.to_owned();
        ConnectError::Refused(Refusal { reason, detail }).into()
    }

    #[test]
    fn each_kind_of_failure_is_a_warning_once_a_minute() {
        let failures = Failures::default();
        let start = Instant::now();
        let port = Kind::of(&refusal(Reason::PortNotAllowed, "port 1"));
        let key = Kind::of(&refusal(Reason::KeyMissing, ""));
        assert_eq!(failures.due(port, start), Some(0));
        assert_eq!(failures.due(key, start), Some(0));
        let almost = start + PAUSE.saturating_sub(Duration::from_nanos(1));
        for _ in 0..1000 {
            assert_eq!(failures.due(port, almost), None);
        }
        assert_eq!(failures.due(port, start + PAUSE), Some(1000));
        assert_eq!(failures.due(port, start + PAUSE), None);
        assert_eq!(failures.due(key, start + PAUSE), Some(0));
    }

    #[test]
    fn the_details_of_one_connection_make_no_new_kind() {
        let kinds = |errors: [CarryError; 2]| errors.map(|error| Kind::of(&error));
        let [a, b] = kinds(["port 1", "port 2"].map(|d| refusal(Reason::AppUnreachable, d)));
        assert_eq!(a, b);
        let unreachable = |text: &str| ConnectError::Unreachable(text.to_owned()).into();
        let [a, b] = kinds(["no route", "timed out"].map(unreachable));
        assert_eq!(a, b);
        let [a, b] = kinds([
            ConnectError::UnknownNode.into(),
            ConnectError::NoEdge.into(),
        ]);
        assert_ne!(a, b);
    }
}
