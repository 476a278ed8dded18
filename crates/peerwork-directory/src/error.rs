//! What can go wrong, and whose fault it is.

use std::{fmt::Display, sync::Arc};

use crate::protocol::RefusedReason;

/// Starting the directory failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its bounds.
    #[error("setting {setting}: {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
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
    /// What is wrong with it.
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
    /// Larger than [`crate::protocol::ENVELOPE_BYTES_MAX`].
    #[error("the announcement has {0} bytes, more than allowed")]
    TooLarge(usize),
    /// Not an announcement, or a field is outside its bounds.
    #[error("the announcement is malformed: {0}")]
    Malformed(String),
    /// The signature is wrong.
    #[error("the announcement is forged: {0}")]
    Forged(&'static str),
    /// It belongs to another network.
    #[error("the announcement is of another network")]
    OtherNetwork,
    /// It was issued in the future.
    #[error("the announcement was issued {ahead_ms} ms in the future")]
    ClockSkew {
        /// How far.
        ahead_ms: u64,
    },
    /// It has expired.
    #[error("the announcement has expired")]
    Outdated,
    /// A newer one of the same node is known.
    #[error("a newer announcement is known")]
    Stale {
        /// The newest signed one.
        newest: Arc<[u8]>,
    },
    /// The node announces itself too often.
    #[error("announcements come too often")]
    TooFrequent,
    /// The node that handed it on, or its network address, brings too many unknown nodes.
    #[error("its source brings too many unknown nodes")]
    Crowded,
    /// The directory is full.
    #[error("the directory is full")]
    Full,
    /// A heartbeat of an advertisement that is not known.
    #[error("the advertisement this heartbeat keeps alive is not known")]
    UnknownAdvertisement,
}

impl Refusal {
    /// The sender made it, or let it pass when it should not have, on purpose.
    /// What depends on clocks, order or load is nobody's offence.
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

    /// Nobody's offence once, and noise when it comes again and again.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        matches!(
            self,
            Self::ClockSkew { .. } | Self::Outdated | Self::Stale { .. } | Self::TooFrequent
        )
    }

    /// Its code on the wire.
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
            // Nodes without a word for it wait and try again, as they do when all is full.
            Self::Crowded | Self::Full => RefusedReason::Full,
            Self::UnknownAdvertisement => RefusedReason::UnknownAdvertisement,
        }
    }
}
