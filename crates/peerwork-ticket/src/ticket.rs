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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use peerwork_identity::{KeyType, Keypair};
    use proptest::prelude::*;

    use super::*;
    use crate::{Issuer, Terms};

    fn relay(keypair: &Keypair, port: u16) -> NodeAddress {
        let text = format!("/ip4/192.0.2.1/tcp/{port}/p2p/{}", keypair.node_id());
        text.parse().unwrap()
    }

    fn ticket(pass: Pass, relays: Vec<NodeAddress>) -> Ticket {
        Ticket {
            network_id: 1 << 52,
            name: "MyNetwork".to_owned(),
            relays,
            pass,
        }
    }

    fn token(keypair: &Keypair) -> Token {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let issuer = Issuer::of_relay(keypair, 1 << 52);
        issuer.issue(Terms::once(), now).unwrap()
    }

    fn round_trip(ticket: &Ticket) {
        let text = ticket.to_text().unwrap();
        assert_eq!(text.parse::<Ticket>().unwrap(), *ticket);
    }

    #[test]
    fn every_kind_of_ticket_is_read_as_it_was_written() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let at = vec![relay(&key, 1), relay(&key, 2)];
        round_trip(&ticket(Pass::Open, at.clone()));
        round_trip(&ticket(Pass::Open, Vec::new()));
        for count in 1..=SECRETS_MAX {
            let secrets = vec![NetworkSecret::generate(); count];
            round_trip(&ticket(Pass::Secrets(secrets), at.clone()));
        }
        round_trip(&ticket(Pass::Token(token(&key)), at));
    }

    /// The documented values were computed with Python's `hmac` and `base64` modules.
    #[test]
    fn the_documented_ticket_and_token_are_those_of_the_documented_values() {
        const PAGE: &str = include_str!("../../../proto/peer/README.md");
        let at =
            "/ip4/192.0.2.1/tcp/4001/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
        let at: NodeAddress = at.parse().unwrap();
        assert!(PAGE.contains(&at.to_string()));
        let secret = NetworkSecret::from_bytes([1; 32]);
        let documented = Ticket {
            network_id: 1000,
            name: "Example".to_owned(),
            relays: vec![at.clone()],
            pass: Pass::Secrets(vec![secret.clone()]),
        };
        let text = documented.to_text().unwrap();
        assert!(PAGE.contains(&format!("\n{}\n", *text)), "{}", *text);
        let token = Token::documented(&secret, at.node);
        assert!(PAGE.contains(&hex::encode(token.mac)));
    }

    #[test]
    fn a_ticket_with_one_relay_and_a_secret_fits_into_a_message() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let secrets = vec![NetworkSecret::generate()];
        let text = ticket(Pass::Secrets(secrets), vec![relay(&key, 1)]).to_text();
        assert!(text.unwrap().len() < 240);
        let text = ticket(Pass::Token(token(&key)), vec![relay(&key, 1)]).to_text();
        assert!(text.unwrap().len() < 340);
    }

    #[test]
    fn tickets_are_written_at_their_limits_and_not_beyond() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let mut full = ticket(Pass::Open, vec![relay(&key, 1); RELAYS_MAX]);
        full.name = "n".repeat(NAME_BYTES_MAX);
        round_trip(&full);
        full.name.push('n');
        assert_eq!(full.to_text(), Err(BoundsError::Name(NAME_BYTES_MAX + 1)));
        full.name.clear();
        full.relays.push(relay(&key, 2));
        assert_eq!(full.to_text(), Err(BoundsError::Relays(RELAYS_MAX + 1)));
        full.relays.pop();
        for count in [0, SECRETS_MAX + 1] {
            full.pass = Pass::Secrets(vec![NetworkSecret::generate(); count]);
            assert_eq!(full.to_text(), Err(BoundsError::Secrets(count)));
        }
        let other = Keypair::generate(KeyType::Secp256k1);
        full.pass = Pass::Token(token(&other));
        assert_eq!(full.to_text(), Err(BoundsError::NoRelay(other.node_id())));
        let host = "a".repeat(600);
        let long = format!("/dnsaddr/{host}/p2p/{}", key.node_id());
        let long = ticket(Pass::Open, vec![long.parse().unwrap(); RELAYS_MAX]);
        assert!(matches!(long.to_text(), Err(BoundsError::Bytes(_))));
    }

    fn refused(change: impl FnOnce(&mut wire::Ticket)) -> String {
        let key = Keypair::generate(KeyType::Secp256k1);
        let whole = ticket(Pass::Token(token(&key)), vec![relay(&key, 1)]);
        let mut message = wire::Ticket::from(&whole);
        change(&mut message);
        let text = text::write(&message.encode_to_vec());
        match text.parse::<Ticket>() {
            Err(ParseTicketError::Contents(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whole_tickets_with_wrong_contents_are_refused_with_the_reason() {
        assert!(refused(|t| t.secrets = vec![vec![1; 32]]).contains("a token and secrets"));
        let wrong = refused(|t| (t.token, t.secrets) = (None, vec![vec![1; 31]]));
        assert!(wrong.contains("32 bytes"), "{wrong}");
        let many = refused(|t| (t.token, t.secrets) = (None, vec![vec![1; 32]; SECRETS_MAX + 1]));
        assert!(many.contains("3 secrets"), "{many}");
        assert!(refused(|t| t.relays = vec![t.relays[0].clone(); 9]).contains("9 nodes"));
        assert!(refused(|t| t.relays[0].truncate(8)).contains("address"));
        assert!(refused(|t| t.relays.clear()).contains("no address of the relay"));
        assert!(refused(|t| t.name = "n".repeat(257)).contains("257"));
        let token = |change: fn(&mut wire::Token)| refused(|t| change(t.token.as_mut().unwrap()));
        assert!(token(|t| t.id.push(1)).contains("17 bytes and not 16"));
        assert!(token(|t| t.mac.truncate(31)).contains("31 bytes and not 32"));
        assert!(token(|t| t.relay.clear()).contains("relay"));
        let text = text::write(&[0xff; 20]);
        let error = text.parse::<Ticket>().unwrap_err();
        assert!(matches!(error, ParseTicketError::Contents(_)));
    }

    #[test]
    fn debug_output_and_errors_hold_no_secret() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let secret = NetworkSecret::generate();
        let whole = ticket(Pass::Secrets(vec![secret.clone()]), Vec::new());
        assert!(format!("{whole:?}").contains("NetworkSecret(…)"));
        let token = token(&key);
        let mac = format!("{:?}", token.mac);
        assert!(!format!("{token:?}").contains(&mac[1..20]));
        assert!(token.expires_at() > SystemTime::UNIX_EPOCH);
    }

    proptest! {
        #[test]
        fn any_contents_round_trip(
            network_id in any::<i64>(),
            name in "\\PC{0,60}",
            ports in proptest::collection::vec(any::<u16>(), 0..=RELAYS_MAX),
            secrets in proptest::collection::vec(any::<[u8; 32]>(), 0..=SECRETS_MAX),
        ) {
            let key = Keypair::generate(KeyType::Ed25519);
            let relays = ports.into_iter().map(|port| relay(&key, port)).collect();
            let secrets: Vec<_> = secrets.into_iter().map(NetworkSecret::from_bytes).collect();
            let pass = match secrets.is_empty() {
                true => Pass::Open,
                false => Pass::Secrets(secrets),
            };
            let ticket = Ticket { network_id, name, relays, pass };
            let text = ticket.to_text().unwrap();
            prop_assert_eq!(text.parse::<Ticket>().unwrap(), ticket);
        }

        #[test]
        fn any_payload_is_a_ticket_or_refused_without_a_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(ticket) = text::write(&payload).parse::<Ticket>() {
                prop_assert!(ticket.to_text().is_ok());
            }
        }
    }
}
