//! Errors of the directory, and reasons to refuse an announcement with the party at fault.

use std::{fmt::Display, sync::Arc};

use crate::protocol::RefusedReason;

/// Starting the directory failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its bounds.
    #[error("setting {setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The reason.
        reason: String,
    },
    /// The directory's gossip topic could not be joined.
    #[error("joining the directory's topic")]
    Topic(#[source] peerwork_net::error::TopicError),
    /// The directory's protocol could not be served.
    #[error("serving the directory's protocol")]
    Serve(#[source] peerwork_net::error::ServeError),
}

/// A field of a wire message is outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {reason}")]
pub struct Invalid {
    /// The field.
    pub field: &'static str,
    /// The reason.
    pub reason: String,
}

impl Invalid {
    pub(crate) fn new(field: &'static str, reason: impl Display) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }
}

/// Why an announcement was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The announcement is larger than [`crate::protocol::ENVELOPE_BYTES_MAX`].
    #[error("the announcement has {0} bytes, more than allowed")]
    TooLarge(usize),
    /// The bytes are not an announcement, or a field is outside its bounds.
    #[error("the announcement is malformed: {0}")]
    Malformed(String),
    /// The signature is wrong.
    #[error("the announcement is forged: {0}")]
    Forged(&'static str),
    /// The announcement belongs to another network.
    #[error("the announcement is of another network")]
    OtherNetwork,
    /// The announcement was issued in the future.
    #[error("the announcement was issued {ahead_ms} ms in the future")]
    ClockSkew {
        /// Milliseconds by which the announcement is ahead of this node's clock.
        ahead_ms: u64,
    },
    /// The announcement has expired.
    #[error("the announcement has expired")]
    Outdated,
    /// A newer announcement of the same node is known.
    #[error("a newer announcement is known")]
    Stale {
        /// The newest signed announcement.
        newest: Arc<[u8]>,
    },
    /// The node announces itself too often.
    #[error("announcements come too often")]
    TooFrequent,
    /// The node that forwarded the announcement, or its network address, brings too many unknown nodes.
    #[error("its source brings too many unknown nodes")]
    Crowded,
    /// The directory is full.
    #[error("the directory is full")]
    Full,
    /// The advertisement that a heartbeat keeps alive is not known.
    #[error("the advertisement this heartbeat keeps alive is not known")]
    UnknownAdvertisement,
}

impl Refusal {
    /// Whether the sender is at fault: it made the announcement, or forwarded it without validation.
    /// Refusals that depend on clocks, order or load are no offence.
    #[must_use]
    pub fn is_offence(&self) -> bool {
        match self {
            Self::TooLarge(_) | Self::Malformed(_) | Self::Forged(_) | Self::OtherNetwork => true,
            Self::ClockSkew { .. }
            | Self::Outdated
            | Self::Stale { .. }
            | Self::TooFrequent
            | Self::Crowded
            | Self::Full
            | Self::UnknownAdvertisement => false,
        }
    }

    /// Whether the refusal is no offence alone, but an offence when it repeats.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        matches!(
            self,
            Self::ClockSkew { .. } | Self::Outdated | Self::Stale { .. } | Self::TooFrequent
        )
    }

    /// The reason's code on the wire.
    #[must_use]
    pub fn reason(&self) -> RefusedReason {
        match self {
            Self::TooLarge(_) => RefusedReason::TooLarge,
            Self::Malformed(_) => RefusedReason::Malformed,
            Self::Forged(_) => RefusedReason::Forged,
            Self::OtherNetwork => RefusedReason::OtherNetwork,
            Self::ClockSkew { .. } => RefusedReason::ClockSkew,
            Self::Outdated => RefusedReason::Outdated,
            Self::Stale { .. } => RefusedReason::Stale,
            Self::TooFrequent => RefusedReason::TooFrequent,
            // The wire has one code for both: the sender waits and tries again.
            Self::Crowded | Self::Full => RefusedReason::Full,
            Self::UnknownAdvertisement => RefusedReason::UnknownAdvertisement,
        }
    }
}
