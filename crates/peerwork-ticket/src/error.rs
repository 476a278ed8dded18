//! The errors of this crate, in words for the person who holds the ticket.

use std::io;

use peerwork_identity::{
    NodeId,
    network_file::{NAME_BYTES_MAX, SECRETS_MAX},
};
use peerwork_net::error::OpenError;

use crate::bounds::{LIFETIME_MAX, PAYLOAD_BYTES_MAX, RELAYS_MAX};

/// The reason why a text is not a ticket that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTicketError {
    /// The text holds no ticket.
    #[error(
        "this is not a ticket: a ticket begins with peerwork1 and is printed by: peerwork invite"
    )]
    NotATicket,
    /// The ticket has another version of the format.
    #[error(
        "the ticket has version {0}, and this program reads version 1: install a program of the version that made the ticket"
    )]
    Version(u8),
    /// Characters are missing or were changed.
    #[error("the ticket is incomplete or was changed: copy all of it again, up to its last letter")]
    Damaged,
    /// The text has more bytes than the longest ticket.
    #[error("the text is too long for a ticket: copy the ticket alone")]
    TooLong,
    /// The ticket is whole, and its contents make no sense.
    #[error("the ticket is not valid: {0}; ask for another")]
    Contents(String),
}

/// The reason why a ticket cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// The ticket names too many relays.
    #[error("a ticket names at most {RELAYS_MAX} relays, this one {0}")]
    Relays(usize),
    /// The name of the network is too long.
    #[error("a network's name has at most {NAME_BYTES_MAX} bytes, this one {0}")]
    Name(usize),
    /// The ticket carries no secret where it says so, or too many.
    #[error("a ticket carries 1 to {SECRETS_MAX} secrets, this one {0}")]
    Secrets(usize),
    /// The ticket has no address of the relay that redeems its token.
    #[error("the ticket has no address of the relay {0}, which alone redeems it")]
    NoRelay(NodeId),
    /// The contents as a whole are too long.
    #[error(
        "the contents of a ticket have at most {PAYLOAD_BYTES_MAX} bytes, these {0}: name fewer relays"
    )]
    Bytes(usize),
}

/// The reason why a token cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The lifetime is zero or too long.
    #[error("a ticket can be valid for a second up to {} days", LIFETIME_MAX.as_secs() / 86_400)]
    Lifetime,
    /// The clock of this machine is before 1970.
    #[error("the clock of this machine is wrong: set it first")]
    Clock,
}

/// The relay's reason for not redeeming a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another node used the one-time token.
    #[error("the ticket was used by another node already: ask for another ticket")]
    UsedUp,
    /// The token has expired, by the relay's clock.
    #[error("the ticket has expired: ask for another ticket")]
    Expired,
    /// The MAC is of no key of the relay.
    #[error(
        "the relay does not know the ticket: it was changed, or the network's secret or the relay's key was changed since; ask for another ticket"
    )]
    Unknown,
    /// The token names another relay.
    #[error("the ticket was made for another relay: use an address of the relay that it names")]
    OtherRelay,
    /// The relay is full, or this network address showed too many wrong tokens.
    #[error("the relay is busy: try again in a minute")]
    Busy,
    /// The relay cannot record that the one-time token is used, so it does not redeem the token.
    #[error(
        "the relay cannot write down that the ticket is used, so it does not redeem it; its log says why: try again once that is mended"
    )]
    NotRecorded,
    /// The reason is one of a later version of the protocol.
    #[error("the relay refuses the ticket for a reason that this program does not know")]
    Other,
}

impl Refusal {
    /// Whether the same ticket may be redeemed later.
    #[must_use]
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Busy | Self::NotRecorded)
    }
}

/// Redeeming a token failed.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The relay refused.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The node is not a relay, or its program is older than tickets.
    #[error(
        "the node that the ticket names redeems no tickets: it is not a relay, or its program is too old"
    )]
    NotARelay,
    /// No stream to the relay was opened; without a connection, dial first.
    #[error("asking the relay to redeem the ticket")]
    Open(#[source] OpenError),
    /// The stream to the relay failed.
    #[error("speaking with the relay that redeems the ticket")]
    Io(#[source] io::Error),
    /// The relay's answer cannot be used.
    #[error("the relay sent no usable network file: {0}")]
    Answer(String),
    /// The deadline passed. The relay may have redeemed the token: this node may redeem it again.
    #[error("the relay gave no answer in time: try again")]
    Deadline,
}
