//! The reasons for which a connection of yamux ends, as an error in the chain of the transport's error.

use std::io;

/// The reason of a connection's end, beside errors of the socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    /// The other node sent a GoAway frame with an error code.
    #[error("the other node ended it with the yamux error {}", code(*.0))]
    ByOther(u32),
    /// This node's muxer sent a GoAway frame with an error code.
    #[error("the other node broke the rules of yamux: {}", code(*.0))]
    ByThis(u32),
    /// The muxer could not go on.
    #[error("the other node broke the rules of yamux: {0}")]
    Rules(String),
    /// The connection's streams hold more unread bytes than they may.
    #[error("too many of its bytes were unread")]
    Unread,
}

/// The meaning of a GoAway code in the yamux specification.
fn code(code: u32) -> String {
    match code {
        1 => "protocol error".to_owned(),
        2 => "internal error".to_owned(),
        other => format!("code {other}"),
    }
}

impl End {
    /// Finds the reason in the error of a connection.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        let inner = error.get_ref()?;
        let nested = || inner.downcast_ref::<io::Error>().and_then(Self::of);
        inner.downcast_ref::<Self>().or_else(nested)
    }

    /// Whether this node ended the connection, and not the other one.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self, Self::ByOther(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_below_the_errors_of_the_layers_around_it() {
        let nested = io::Error::other(io::Error::other(io::Error::other(End::ByThis(1))));
        let text = "the other node broke the rules of yamux: protocol error";
        assert_eq!(End::of(&nested), Some(&End::ByThis(1)));
        assert_eq!(nested.to_string(), text);
        let other = io::Error::other(io::Error::other("reset by peer"));
        assert_eq!(End::of(&other), None);
        assert_eq!(End::of(&io::ErrorKind::BrokenPipe.into()), None);
    }

    #[test]
    fn an_end_by_the_other_node_is_not_this_node_s_own() {
        assert!(!End::ByOther(2).is_own());
        let own = [End::ByThis(1), End::Rules("x".to_owned()), End::Unread];
        assert!(own.iter().all(End::is_own));
    }
}
