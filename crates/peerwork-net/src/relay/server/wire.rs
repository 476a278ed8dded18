//! The messages of circuit relay v2, as its specification numbers them.

use std::{io, time::Duration};

use multiaddr::Multiaddr;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The specification's bound of one message.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Bytes of a length that can still be within that bound.
const LENGTH_BYTES_MAX: usize = 2;

/// What a client asks of a relay, and the answer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hop {
    #[prost(enumeration = "HopKind", optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) peer: Option<Peer>,
    #[prost(message, optional, tag = "3")]
    pub(super) reservation: Option<Reservation>,
    #[prost(message, optional, tag = "4")]
    pub(super) limit: Option<Limit>,
    #[prost(enumeration = "Status", optional, tag = "5")]
    pub(super) status: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum HopKind {
    Reserve = 0,
    Connect = 1,
    Status = 2,
}

/// What a relay asks of a holder, and the answer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Stop {
    #[prost(enumeration = "StopKind", optional, tag = "1")]
    pub(super) kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) peer: Option<Peer>,
    #[prost(message, optional, tag = "3")]
    pub(super) limit: Option<Limit>,
    #[prost(enumeration = "Status", optional, tag = "4")]
    pub(super) status: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum StopKind {
    Connect = 0,
    Status = 1,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Peer {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(super) id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Reservation {
    /// Seconds since 1970.
    #[prost(uint64, required, tag = "1")]
    pub(super) expire: u64,
    /// The relay's addresses, each with its peer id.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) addresses: Vec<Vec<u8>>,
}

/// Zero and nothing are no limit.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Limit {
    /// Seconds.
    #[prost(uint32, optional, tag = "1")]
    pub(super) duration: Option<u32>,
    /// Bytes in each direction by the specification; both together here, as in all implementations.
    #[prost(uint64, optional, tag = "2")]
    pub(super) data: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Status {
    Unused = 0,
    Ok = 100,
    ReservationRefused = 200,
    ResourceLimitExceeded = 201,
    PermissionDenied = 202,
    ConnectionFailed = 203,
    NoReservation = 204,
    MalformedMessage = 400,
    UnexpectedMessage = 401,
}

impl Hop {
    pub(super) fn answer(status: Status) -> Self {
        Self {
            kind: Some(HopKind::Status.into()),
            status: Some(status.into()),
            ..Self::default()
        }
    }

    pub(super) fn reserved(expire: u64, addresses: &[Multiaddr], limit: Option<Limit>) -> Self {
        Self {
            reservation: Some(Reservation {
                expire,
                addresses: addresses.iter().map(Multiaddr::to_vec).collect(),
            }),
            limit,
            ..Self::answer(Status::Ok)
        }
    }
}

impl Limit {
    /// `None` without any limit: clients take a circuit with limits for one to be careful with.
    pub(super) fn of(duration: Option<Duration>, data: Option<u64>) -> Option<Self> {
        // Zero would be none.
        let whole = |d: Duration| d.as_secs() + u64::from(d.subsec_nanos() > 0);
        let seconds = |d: Duration| u32::try_from(whole(d).max(1)).unwrap_or(u32::MAX);
        let duration = duration.map(seconds);
        (duration.is_some() || data.is_some()).then_some(Self { duration, data })
    }
}

/// Writes one message behind its length.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
    patience: Duration,
) -> io::Result<()> {
    let bytes = message.encode_length_delimited_to_vec();
    let write = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout(patience, write).await?
}

/// Reads one message, and not a byte behind it.
///
/// # Errors
/// `InvalidData` when it is none or too large, `TimedOut` when it does not come.
pub(super) async fn receive<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> io::Result<M> {
    let read = async {
        let mut message = vec![0; length(stream).await?];
        stream.read_exact(&mut message).await?;
        M::decode(message.as_slice()).map_err(|error| malformed(error.to_string()))
    };
    timeout(patience, read).await?
}

async fn length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    let mut length = 0;
    for nth in 0..LENGTH_BYTES_MAX {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7f) << (7 * nth);
        if byte & 0x80 == 0 && length <= MESSAGE_BYTES_MAX {
            return Ok(length);
        }
    }
    Err(malformed(format!("more than {MESSAGE_BYTES_MAX} bytes")))
}

fn malformed(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn read(mut bytes: &[u8]) -> io::Result<Hop> {
        receive(&mut bytes, PATIENCE).await
    }

    #[test]
    fn the_messages_agree_with_their_schema() {
        let schema = peerwork_schema::Schema::load("relay.proto")
            .without(&["Peer.addrs", "Reservation.voucher"]);
        let peer = Peer { id: vec![1] };
        let limit = Limit {
            duration: Some(1),
            data: Some(2),
        };
        let reservation = Reservation {
            expire: 3,
            addresses: vec![vec![4]],
        };
        let hop = Hop {
            kind: Some(HopKind::Status.into()),
            peer: Some(peer.clone()),
            reservation: Some(reservation.clone()),
            limit: Some(limit),
            status: Some(Status::Ok.into()),
        };
        let stop = Stop {
            kind: Some(StopKind::Connect.into()),
            peer: Some(peer.clone()),
            limit: Some(limit),
            status: Some(Status::Ok.into()),
        };
        schema.check("HopMessage", &hop);
        schema.check("StopMessage", &stop);
        schema.check("Peer", &peer);
        schema.check("Reservation", &reservation);
        schema.check("Limit", &limit);
        schema.check_enum::<HopKind>("HopMessage.Type");
        schema.check_enum::<StopKind>("StopMessage.Type");
        schema.check_enum::<Status>("Status");
    }

    #[tokio::test]
    async fn a_reserve_request_is_two_bytes_behind_their_length() {
        let request = read(&[2, 8, 0]).await.unwrap();
        assert_eq!(request.kind(), HopKind::Reserve);
        let mut written = Vec::new();
        send(&mut written, &request, PATIENCE).await.unwrap();
        assert_eq!(written, [2, 8, 0]);
    }

    #[tokio::test]
    async fn what_is_no_message_is_told_from_silence() {
        for bytes in [
            &[0xff, 0xff, 0xff, 0xff, 7][..],
            &[0x81, 0x20],
            &[1, 0x0a],
            &[2, 0x0f, 0xff],
        ] {
            let error = read(bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let error = read(&[9, 8, 0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn nothing_behind_a_message_is_taken() {
        let mut bytes = &[2, 8, 0, 42][..];
        let _: Hop = receive(&mut bytes, PATIENCE).await.unwrap();
        assert_eq!(bytes, [42]);
    }

    #[test]
    fn limits_are_told_when_there_are_any() {
        assert_eq!(Limit::of(None, None), None);
        let both = Limit::of(Some(Duration::from_secs(600)), Some(9)).unwrap();
        assert_eq!((both.duration, both.data), (Some(600), Some(9)));
        let short = Limit::of(Some(Duration::from_millis(500)), None).unwrap();
        assert_eq!(short.duration, Some(1));
        let data = Limit::of(None, Some(9)).unwrap();
        assert_eq!(data.duration, None);
    }
}
