//! The wire format of `/peerwork/tunnel/1`: one [`Head`] from the opener, one [`Answer`] from the edge,
//! then raw bytes in both directions.
//!
//! Both messages are protobuf behind a varint length, at most [`MESSAGE_BYTES_MAX`] bytes. Unknown
//! fields are ignored.

use std::{fmt, io, time::Duration};

use bytes::{Bytes, BytesMut};
use peerwork_net::Protocol;
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The protocol name of tunnels.
pub const PROTOCOL: Protocol = Protocol::answered("/peerwork/tunnel/1");
/// The largest head or answer in bytes, without its length.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// The longest key in a head.
pub const KEY_BYTES_MAX: usize = 256;
/// The longest detail of a refusal; longer texts are cut.
pub const DETAIL_BYTES_MAX: usize = 256;
/// The longest time an opener may give the edge to reach the app.
pub const OPEN_DEADLINE_MAX: Duration = Duration::from_secs(60);

/// The id of one request in logs, responses and metrics of all nodes on its path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// A random id.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kind of bytes that a tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP from an ingress in the version that the edge's answer names: several requests, one after the
    /// other.
    Http,
    /// Raw TCP: any bytes, and each side may end its direction alone.
    Tcp,
}

/// The message by which an opener requests a tunnel from an edge.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The port of the app, never 0.
    pub port: u16,
    /// The id of the request for which the tunnel is opened; later requests may use the tunnel too.
    pub request_id: RequestId,
    /// How long the edge may take to reach the app; 1 ms to [`OPEN_DEADLINE_MAX`].
    pub open_deadline: Duration,
    /// The kind of bytes that the tunnel will carry.
    pub kind: Kind,
    /// The edge's bearer key, at most [`KEY_BYTES_MAX`] bytes.
    pub key: Option<String>,
    /// Whether the opener sends one HTTP request after the other on the tunnel. The edge then remembers
    /// how many bytes reached the app, and passes no request to an app that has ended its direction.
    pub keeps: bool,
    /// The failed request that is to be sent again on this tunnel.
    pub repeats: Option<Repeated>,
    /// Whether the opener can send HTTP/2 where the app speaks it; earlier versions cannot.
    pub http2: bool,
}

/// A request that failed on a kept tunnel, and which must not reach the app twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// The request id of the head of the tunnel on which it failed.
    pub tunnel: RequestId,
    /// The bytes that the opener had sent on that tunnel before the request.
    pub offset: u64,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("port", &self.port)
            .field("request_id", &self.request_id)
            .field("kind", &self.kind)
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

/// The reason why an edge refuses a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Reason {
    /// The head could not be parsed. The value also stands for reasons that this version does not know.
    Malformed = 0,
    /// The edge's configuration does not name this port.
    PortNotAllowed = 1,
    /// The edge demands a key.
    KeyMissing = 2,
    /// The key is unknown, expired or revoked.
    KeyInvalid = 3,
    /// The calling node, or this key, may not call this port.
    CallerNotAllowed = 4,
    /// The edge could not connect to the app's port.
    AppUnreachable = 5,
    /// The app did not accept the connection in time.
    AppTimeout = 6,
    /// The edge's bound of open tunnels is reached; a retry later can succeed.
    Full = 7,
    /// The edge is stopping.
    ShuttingDown = 8,
    /// Bytes of the request that is to be sent again may have reached the app.
    MayHaveArrived = 9,
}

/// An edge's refusal of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason as a code.
    pub reason: Reason,
    /// A text for people, at most [`DETAIL_BYTES_MAX`] bytes.
    pub detail: String,
}

/// The version of HTTP that an app speaks on a tunnel of the kind [`Kind::Http`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Speaks {
    /// HTTP/1.1. Earlier versions of an edge say nothing, which means the same.
    Http1 = 0,
    /// HTTP/2 with prior knowledge. An edge answers so only to a head with [`Head::http2`].
    Http2 = 1,
}

/// An open tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The version of HTTP that the app speaks.
    pub speaks: Speaks,
    /// Whether the edge vouches that no byte of [`Head::repeats`] has reached the app, nor will. An edge
    /// that does not know that field accepts without this.
    pub unsent: bool,
}

/// The edge's answer to a head.
pub type Answer = Result<Accepted, Refusal>;

/// The reason why a message could not be read or parsed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The length before a message is malformed or above the limit.
    #[error("message of {0} bytes exceeds the limit of {MESSAGE_BYTES_MAX}")]
    TooLarge(u64),
    /// The message is not protobuf.
    #[error("message is not protobuf")]
    Protobuf(#[from] prost::DecodeError),
    /// A field is outside its bounds.
    #[error("field {0} is missing or out of bounds")]
    Field(&'static str),
    /// The stream failed or ended.
    #[error("reading or writing the stream")]
    Io(#[from] io::Error),
}

#[derive(Clone, PartialEq, Message)]
struct HeadMessage {
    #[prost(uint32, tag = "1")]
    port: u32,
    #[prost(bytes = "bytes", tag = "2")]
    request_id: Bytes,
    #[prost(uint32, tag = "3")]
    open_deadline_ms: u32,
    #[prost(enumeration = "KindMessage", tag = "4")]
    kind: i32,
    #[prost(string, optional, tag = "5")]
    key: Option<String>,
    #[prost(bool, tag = "6")]
    keeps: bool,
    #[prost(message, optional, tag = "7")]
    repeats: Option<RepeatedMessage>,
    #[prost(bool, tag = "8")]
    http2: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RepeatedMessage {
    #[prost(bytes = "bytes", tag = "1")]
    tunnel: Bytes,
    #[prost(uint64, tag = "2")]
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum KindMessage {
    Http = 0,
    Tcp = 1,
}

#[derive(Clone, PartialEq, Message)]
struct AnswerMessage {
    #[prost(message, optional, tag = "1")]
    refused: Option<RefusedMessage>,
    #[prost(enumeration = "Speaks", tag = "2")]
    speaks: i32,
    #[prost(bool, tag = "3")]
    unsent: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RefusedMessage {
    #[prost(enumeration = "Reason", tag = "1")]
    reason: i32,
    #[prost(string, tag = "2")]
    detail: String,
}

impl Head {
    /// Parses a head, without its length.
    ///
    /// # Errors
    /// [`WireError`] names the wrong field.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(WireError::TooLarge(bytes.len() as u64));
        }
        let HeadMessage {
            port,
            request_id,
            open_deadline_ms,
            kind,
            key,
            keeps,
            repeats,
            http2,
        } = HeadMessage::decode(bytes)?;
        let port = u16::try_from(port).ok().filter(|port| *port != 0);
        let request_id = request_id[..].try_into().map(RequestId);
        let kind = match KindMessage::try_from(kind) {
            Ok(KindMessage::Http) => Kind::Http,
            Ok(KindMessage::Tcp) => Kind::Tcp,
            Err(_) => return Err(WireError::Field("kind")),
        };
        if key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(WireError::Field("key"));
        }
        let repeats = repeats.map(RepeatedMessage::decoded).transpose()?;
        let open_deadline = Duration::from_millis(u64::from(open_deadline_ms.max(1)));
        Ok(Self {
            port: port.ok_or(WireError::Field("port"))?,
            request_id: request_id.map_err(|_| WireError::Field("request_id"))?,
            open_deadline: open_deadline.min(OPEN_DEADLINE_MAX),
            kind,
            key,
            keeps,
            repeats,
            http2,
        })
    }

    /// Encodes the head with its length. The edge refuses a key above [`KEY_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let millis = self.open_deadline.as_millis();
        let kind = match self.kind {
            Kind::Http => KindMessage::Http,
            Kind::Tcp => KindMessage::Tcp,
        };
        HeadMessage {
            port: self.port.into(),
            request_id: Bytes::copy_from_slice(&self.request_id.0),
            open_deadline_ms: u32::try_from(millis).unwrap_or(u32::MAX),
            kind: kind.into(),
            key: self.key.clone(),
            keeps: self.keeps,
            repeats: self.repeats.map(|repeated| RepeatedMessage {
                tunnel: Bytes::copy_from_slice(&repeated.tunnel.0),
                offset: repeated.offset,
            }),
            http2: self.http2,
        }
        .encode_length_delimited_to_vec()
    }
}

impl RepeatedMessage {
    fn decoded(self) -> Result<Repeated, WireError> {
        let tunnel = self.tunnel[..].try_into().map(RequestId);
        Ok(Repeated {
            tunnel: tunnel.map_err(|_| WireError::Field("repeats.tunnel"))?,
            offset: self.offset,
        })
    }
}

/// Parses an answer, without its length.
///
/// # Errors
/// [`WireError`] names the wrong field.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, WireError> {
    let AnswerMessage {
        refused,
        speaks,
        unsent,
    } = AnswerMessage::decode(bytes)?;
    let Some(refused) = refused else {
        let speaks = Speaks::try_from(speaks).map_err(|_| WireError::Field("speaks"))?;
        return Ok(Ok(Accepted { speaks, unsent }));
    };
    Ok(Err(Refusal {
        reason: Reason::try_from(refused.reason).unwrap_or(Reason::Malformed),
        detail: shortened(refused.detail),
    }))
}

/// Encodes an answer with its length.
#[must_use]
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let refused = answer.as_ref().err().map(|refusal| RefusedMessage {
        reason: refusal.reason.into(),
        detail: shortened(refusal.detail.clone()),
    });
    let accepted = answer.as_ref().ok();
    AnswerMessage {
        refused,
        speaks: accepted
            .map_or(Speaks::Http1, |accepted| accepted.speaks)
            .into(),
        unsent: accepted.is_some_and(|accepted| accepted.unsent),
    }
    .encode_length_delimited_to_vec()
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
    text
}

/// Reads one message, and no bytes behind it.
///
/// # Errors
/// [`WireError::TooLarge`] and [`WireError::Io`].
pub(crate) async fn read_message<R>(stream: &mut R) -> Result<BytesMut, WireError>
where
    R: AsyncRead + Unpin,
{
    // Two bytes of varint hold 16383, which is more than the limit.
    let first = usize::from(stream.read_u8().await?);
    let size = if first < 0x80 {
        first
    } else {
        (usize::from(stream.read_u8().await?) << 7) | (first & 0x7f)
    };
    if size > MESSAGE_BYTES_MAX {
        return Err(WireError::TooLarge(size as u64));
    }
    let mut message = BytesMut::zeroed(size);
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message that [`Head::encode`] or [`encode_answer`] made.
pub(crate) async fn write_message<W>(stream: &mut W, message: &[u8]) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    stream.write_all(message).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests;
