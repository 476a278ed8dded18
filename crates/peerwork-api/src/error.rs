//! Why a call to the node failed, before any contract gives it a code.

/// Why a call failed, in words that a caller may see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What kind of failure it is; the codes of all contracts follow from it.
    pub kind: ErrorKind,
    /// What failed and why: lower case, no full stop.
    pub message: String,
}

/// Kinds of failure, by whose fault it is and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was asked for does not exist. The caller's.
    NotFound,
    /// The call itself is wrong; trying again never helps. The caller's.
    InvalidArgument,
    /// The caller did not show that it may do this. The caller's.
    Unauthenticated,
    /// A limit is reached; try again when something has been given back.
    Busy,
    /// The node cannot do it at this moment; try again later.
    Unavailable,
    /// The node took too long; trying again may help.
    Deadline,
    /// This node does not do this at all.
    Unsupported,
    /// The node broke a promise. Ours.
    Internal,
}

impl ServiceError {
    /// A failure of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What was asked for does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The call itself is wrong.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The node cannot do it at this moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// This node does not do this at all.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The node broke a promise.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
