//! `ServiceError` describes a failed call of a service, before an API maps it to its own status
//! code.

/// A failed call of a service, with a message that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// The kind of the failure, from which each API derives its status code.
    pub kind: ErrorKind,
    /// The failed action and its cause: lower case, no full stop.
    pub message: String,
}

/// The kinds of failure. They tell which side is at fault and whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The requested object does not exist. The caller is at fault.
    NotFound,
    /// The call is invalid and a retry never helps. The caller is at fault.
    InvalidArgument,
    /// The caller sent no valid credentials. The caller is at fault.
    Unauthenticated,
    /// A limit is reached; a retry can succeed after other users of the resource have released it.
    Busy,
    /// The node cannot serve the call at this moment; a later retry can succeed.
    Unavailable,
    /// The node missed the deadline; a retry may help.
    Deadline,
    /// The node does not support this call.
    Unsupported,
    /// The node failed because of a defect of its own.
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

    /// The requested object does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The call is invalid.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The node cannot serve the call at this moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The node does not support this call.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The node failed because of a defect of its own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
