//! Wire messages of tickets and of `/peerwork/join/1`, their limits and their framing.
//!
//! The schema is `proto/peer/ticket.proto`. A stream carries one request of the joiner and one response
//! of the relay, each with its length before it (four bytes, most significant first).

use std::io;

use multiaddr::Multiaddr;
use peerwork_identity::{
    NetworkFile, NetworkSecret, NodeAddress,
    network_file::{ENTRIES_MAX, NAME_BYTES_MAX, SECRETS_MAX},
    network_secret::SECRET_BYTES,
};
use peerwork_net::Protocol;
use prost::{Enumeration, Message, Oneof};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::error::Refusal;

/// A joiner shows its token to a relay, and gets the contents of the network file. Joiners have not
/// proven the network's secret, so the protocol is for guests.
pub const PROTOCOL: Protocol = Protocol::answered("/peerwork/join/1").for_guests();

/// The largest request, in bytes; a token has about 110.
pub const REQUEST_BYTES_MAX: usize = 512;
/// The largest response, in bytes: a network file of the largest size, which has fewer bytes in this
/// form than as a file.
pub const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// The contents of a ticket.
#[derive(Clone, PartialEq, Message)]
pub struct Ticket {
    /// The number of the network.
    #[prost(int64, tag = "1")]
    pub network_id: i64,
    /// The name of the network.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Binary multiaddresses with the node's id.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub relays: Vec<Vec<u8>>,
    /// The secrets of the network.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub secrets: Vec<Vec<u8>>,
    /// The token.
    #[prost(message, optional, tag = "5")]
    pub token: Option<Token>,
}

/// A right to join, which one relay redeems.
#[derive(Clone, PartialEq, Message)]
pub struct Token {
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// The binary id of the relay.
    #[prost(bytes = "vec", tag = "2")]
    pub relay: Vec<u8>,
    /// Seconds since 1970.
    #[prost(uint64, tag = "3")]
    pub expires: u64,
    /// Whether only one node may use the token.
    #[prost(bool, tag = "4")]
    pub once: bool,
    /// 32 bytes of HMAC-SHA256.
    #[prost(bytes = "vec", tag = "5")]
    pub mac: Vec<u8>,
}

/// The joiner's request.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// The token to redeem.
    #[prost(message, optional, tag = "1")]
    pub token: Option<Token>,
}

/// The relay's response.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// The response's kind.
    #[prost(oneof = "Kind", tags = "1, 2")]
    pub kind: Option<Kind>,
}

/// The kinds of responses.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// The token was redeemed.
    #[prost(message, tag = "1")]
    Network(Network),
    /// The token was not redeemed.
    #[prost(enumeration = "Reason", tag = "2")]
    Refused(i32),
}

/// The contents of the network file.
#[derive(Clone, PartialEq, Message)]
pub struct Network {
    /// The name of the network.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The number of the network.
    #[prost(int64, tag = "2")]
    pub network_id: i64,
    /// Binary multiaddresses with the node's id.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub bootnodes: Vec<Vec<u8>>,
    /// Binary multiaddresses with the node's id.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub relaynodes: Vec<Vec<u8>>,
    /// The secrets of the network, the newest first.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub secrets: Vec<Vec<u8>>,
}

/// The reasons of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Reason {
    /// A reason that this version does not know.
    Unspecified = 0,
    /// Another node used the one-time token.
    UsedUp = 1,
    /// The token has expired.
    Expired = 2,
    /// The MAC fits no key of the relay.
    Unknown = 3,
    /// The token names another relay.
    OtherRelay = 4,
    /// Later may be better.
    Busy = 5,
    /// The relay could not record the use.
    NotRecorded = 6,
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UsedUp => Self::UsedUp,
            Refusal::Expired => Self::Expired,
            Refusal::Unknown => Self::Unknown,
            Refusal::OtherRelay => Self::OtherRelay,
            Refusal::Busy => Self::Busy,
            Refusal::NotRecorded => Self::NotRecorded,
            Refusal::Other => Self::Unspecified,
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::UsedUp => Self::UsedUp,
            Reason::Expired => Self::Expired,
            Reason::Unknown => Self::Unknown,
            Reason::OtherRelay => Self::OtherRelay,
            Reason::Busy => Self::Busy,
            Reason::NotRecorded => Self::NotRecorded,
            Reason::Unspecified => Self::Other,
        }
    }
}

impl From<&NetworkFile> for Network {
    fn from(file: &NetworkFile) -> Self {
        let NetworkFile {
            name,
            network_id,
            bootnodes,
            relaynodes,
            secrets: known,
        } = file;
        Self {
            name: name.clone(),
            network_id: *network_id,
            bootnodes: addresses(bootnodes),
            relaynodes: addresses(relaynodes),
            secrets: secrets(known),
        }
    }
}

impl TryFrom<&Network> for NetworkFile {
    type Error = String;

    fn try_from(message: &Network) -> Result<Self, String> {
        let Network {
            name,
            network_id,
            bootnodes,
            relaynodes,
            secrets,
        } = message;
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("a name has at most {NAME_BYTES_MAX} bytes"));
        }
        Ok(Self {
            name: name.clone(),
            network_id: *network_id,
            bootnodes: read_addresses(bootnodes, ENTRIES_MAX)?,
            relaynodes: read_addresses(relaynodes, ENTRIES_MAX)?,
            secrets: read_secrets(secrets)?,
        })
    }
}

pub(crate) fn addresses(addresses: &[NodeAddress]) -> Vec<Vec<u8>> {
    addresses.iter().map(address_bytes).collect()
}

pub(crate) fn read_addresses(all: &[Vec<u8>], max: usize) -> Result<Vec<NodeAddress>, String> {
    if all.len() > max {
        return Err(format!(
            "it names {} nodes and not at most {max}",
            all.len()
        ));
    }
    all.iter().map(|bytes| read_address(bytes)).collect()
}

/// The bytes of an address with the node's id.
fn address_bytes(address: &NodeAddress) -> Vec<u8> {
    address.to_multiaddr().to_vec()
}

/// Reads the bytes of an address with the node's id.
fn read_address(bytes: &[u8]) -> Result<NodeAddress, String> {
    let address = Multiaddr::try_from(bytes.to_vec())
        .map_err(|error| format!("an address of a relay: {error}"))?;
    NodeAddress::from_multiaddr(&address).map_err(|error| format!("an address of a relay: {error}"))
}

pub(crate) fn secrets(secrets: &[NetworkSecret]) -> Vec<Vec<u8>> {
    let bytes = secrets.iter().map(|secret| secret.as_bytes().to_vec());
    bytes.collect()
}

pub(crate) fn read_secrets(all: &[Vec<u8>]) -> Result<Vec<NetworkSecret>, String> {
    if all.len() > SECRETS_MAX {
        return Err(format!(
            "it has {} secrets and not at most {SECRETS_MAX}",
            all.len()
        ));
    }
    let read = |bytes: &Vec<u8>| {
        let bytes = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice());
        let bytes = bytes.map_err(|_| format!("a secret has not {SECRET_BYTES} bytes"))?;
        Ok(NetworkSecret::from_bytes(bytes))
    };
    all.iter().map(read).collect()
}

/// Reads a message of at most `bytes_max` bytes.
///
/// # Errors
/// `InvalidData` for a frame beyond the limit or one that is no such message.
pub(crate) async fn read<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> io::Result<M> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(invalid(format!("a message of {length} bytes")));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut frame).await?;
    M::decode(frame.as_slice()).map_err(|error| invalid(error.to_string()))
}

/// Writes a message with its length and ends this direction of the stream.
///
/// # Errors
/// `InvalidInput` for a message of more than `bytes_max` bytes.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
    bytes_max: usize,
) -> io::Result<()> {
    let body = Zeroizing::new(message.encode_to_vec());
    let length = u32::try_from(body.len()).ok();
    let Some(length) = length.filter(|_| body.len() <= bytes_max) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut frame = Zeroizing::new(Vec::with_capacity(4 + body.len()));
    frame.extend(length.to_be_bytes());
    frame.extend(body.iter());
    stream.write_all(&frame).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const BYTES_MAX: usize = 64;

    fn request(bytes: usize) -> Request {
        let relay = vec![7; bytes];
        let token = Token {
            relay,
            ..Token::default()
        };
        Request { token: Some(token) }
    }

    async fn carried(written: &Request, write_max: usize) -> io::Result<Request> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        write(&mut near, written, write_max).await?;
        read(&mut far, BYTES_MAX).await
    }

    #[tokio::test]
    async fn messages_are_written_and_read_at_their_limit_and_not_beyond() {
        let at = request(BYTES_MAX - 4);
        assert_eq!(at.encoded_len(), BYTES_MAX);
        assert_eq!(carried(&at, BYTES_MAX).await.unwrap(), at);
        let beyond = request(BYTES_MAX - 3);
        let unwritten = carried(&beyond, BYTES_MAX).await.unwrap_err();
        assert_eq!(unwritten.kind(), io::ErrorKind::InvalidInput);
        let unread = carried(&beyond, BYTES_MAX + 1).await.unwrap_err();
        assert_eq!(unread.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_largest_network_file_fits_into_a_response() {
        let node = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";
        let host = "a".repeat(420);
        let entry: NodeAddress = format!("/dns4/{host}/tcp/65535/p2p/{node}")
            .parse()
            .unwrap();
        let file = NetworkFile {
            name: "n".repeat(NAME_BYTES_MAX),
            network_id: i64::MIN,
            bootnodes: vec![entry.clone(); ENTRIES_MAX],
            relaynodes: vec![entry; ENTRIES_MAX],
            secrets: vec![NetworkSecret::generate(); SECRETS_MAX],
        };
        let json = file.to_json();
        assert!(NetworkFile::parse(json.as_bytes()).is_ok());
        assert!(json.len() > RESPONSE_BYTES_MAX * 9 / 10, "{}", json.len());
        let network = Network::from(&file);
        assert!(network.encoded_len() + 8 <= RESPONSE_BYTES_MAX);
        assert_eq!(NetworkFile::try_from(&network).unwrap(), file);
        let changed = |change: fn(&mut Network)| {
            let mut network = network.clone();
            change(&mut network);
            NetworkFile::try_from(&network).unwrap_err()
        };
        let many = changed(|n| n.bootnodes.push(n.bootnodes[0].clone()));
        assert!(many.contains("1025"), "{many}");
        assert!(changed(|n| n.relaynodes.push(Vec::new())).contains("1025"));
        assert!(changed(|n| n.secrets.push(vec![0; 32])).contains("3 secrets"));
        assert!(changed(|n| n.name.push('n')).contains("256"));
    }

    #[test]
    fn every_refusal_crosses_the_wire_and_later_reasons_are_others() {
        for number in 0..=6 {
            let reason = Reason::try_from(number).unwrap();
            assert_eq!(Reason::from(Refusal::from(reason)), reason);
        }
        assert!(Reason::try_from(7).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(network) = Network::decode(bytes.as_slice()) {
                let _ = NetworkFile::try_from(&network);
            }
            let _ = Request::decode(bytes.as_slice());
            let _ = Response::decode(bytes.as_slice());
        }
    }
}
