//! `Ticket` holds the contents of a ticket.

use std::str::FromStr;

use peerwork_identity::{
    NetworkSecret, NodeAddress,
    network_file::{NAME_BYTES_MAX, SECRETS_MAX},
};
use prost::Message as _;
use zeroize::Zeroizing;

use crate::{
    bounds::{PAYLOAD_BYTES_MAX, RELAYS_MAX},
    error::{BoundsError, ParseTicketError},
    text,
    token::Token,
    wire,
};

/// An invitation to a network. `Debug` shows neither secrets nor the MAC of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The number that identifies the network.
    pub network_id: i64,
    /// The name of the network, at most 256 bytes.
    pub name: String,
    /// Addresses of relays to connect to first, at most [`RELAYS_MAX`].
    pub relays: Vec<NodeAddress>,
    /// The right to take part.
    pub pass: Pass,
}

/// The part of a ticket that lets its holder take part in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// The network has no secret.
    Open,
    /// The secrets of the network, the newest first; one or two.
    Secrets(Vec<NetworkSecret>),
    /// A token, which one relay exchanges for the contents of the network file.
    Token(Token),
}

impl Ticket {
    /// The text form: `peerwork1`, then lowercase base32 (RFC 4648 without padding) of the contents and
    /// the first four bytes of their SHA-256.
    ///
    /// # Errors
    /// [`BoundsError`] when the contents are out of bounds.
    pub fn to_text(&self) -> Result<Zeroizing<String>, BoundsError> {
        self.check()?;
        let payload = Zeroizing::new(wire::Ticket::from(self).encode_to_vec());
        match payload.len() {
            ..=PAYLOAD_BYTES_MAX => Ok(text::write(&payload)),
            bytes => Err(BoundsError::Bytes(bytes)),
        }
    }

    /// The addresses of the relay that redeems the token; all relays when there is no token.
    pub fn first_relays(&self) -> impl Iterator<Item = &NodeAddress> {
        let only = match &self.pass {
            Pass::Token(token) => Some(token.relay),
            Pass::Open | Pass::Secrets(_) => None,
        };
        let fits = move |at: &&NodeAddress| only.is_none_or(|node| at.node == node);
        self.relays.iter().filter(fits)
    }

    fn check(&self) -> Result<(), BoundsError> {
        if self.relays.len() > RELAYS_MAX {
            return Err(BoundsError::Relays(self.relays.len()));
        }
        if self.name.len() > NAME_BYTES_MAX {
            return Err(BoundsError::Name(self.name.len()));
        }
        match &self.pass {
            Pass::Secrets(secrets) if !(1..=SECRETS_MAX).contains(&secrets.len()) => {
                Err(BoundsError::Secrets(secrets.len()))
            }
            Pass::Token(token) if self.first_relays().next().is_none() => {
                Err(BoundsError::NoRelay(token.relay))
            }
            Pass::Open | Pass::Secrets(_) | Pass::Token(_) => Ok(()),
        }
    }
}

impl FromStr for Ticket {
    type Err = ParseTicketError;

    /// Finds the ticket in a text of at most 16 KiB. Case, white space, line breaks, invisible
    /// characters and punctuation have no effect, and text before and after the ticket is skipped.
    fn from_str(text: &str) -> Result<Self, ParseTicketError> {
        let payload = text::read(text)?;
        let contents = |reason: String| ParseTicketError::Contents(reason);
        let message = wire::Ticket::decode(payload.as_slice())
            .map_err(|error| contents(error.to_string()))?;
        let ticket = Self::try_from(&message).map_err(contents)?;
        ticket
            .check()
            .map_err(|error| contents(error.to_string()))?;
        Ok(ticket)
    }
}

impl From<&Ticket> for wire::Ticket {
    fn from(ticket: &Ticket) -> Self {
        let Ticket {
            network_id,
            name,
            relays,
            pass,
        } = ticket;
        let (secrets, token) = match pass {
            Pass::Open => (Vec::new(), None),
            Pass::Secrets(secrets) => (wire::secrets(secrets), None),
            Pass::Token(token) => (Vec::new(), Some(token.into())),
        };
        Self {
            network_id: *network_id,
            name: name.clone(),
            relays: wire::addresses(relays),
            secrets,
            token,
        }
    }
}

impl TryFrom<&wire::Ticket> for Ticket {
    type Error = String;

    fn try_from(message: &wire::Ticket) -> Result<Self, String> {
        let wire::Ticket {
            network_id,
            name,
            relays,
            secrets,
            token,
        } = message;
        let pass = match token {
            Some(_) if !secrets.is_empty() => {
                return Err("it carries a token and secrets".to_owned());
            }
            Some(token) => Pass::Token(token.try_into()?),
            None if secrets.is_empty() => Pass::Open,
            None => Pass::Secrets(wire::read_secrets(secrets)?),
        };
        Ok(Self {
            network_id: *network_id,
            name: name.clone(),
            relays: wire::read_addresses(relays, RELAYS_MAX)?,
            pass,
        })
    }
}
