//! The messages of circuit relay v2, as its specification numbers them.

use std::{io, time::Duration};

use futures::FutureExt as _;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The specification's bound of one message.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Bytes of a length that can still be within that bound.
const LENGTH_BYTES_MAX: usize = 2;

/// A client's request to a relay, and the answer.
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

/// A relay's request to a holder, and the answer.
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
    /// The relay's signed statement about the reservation.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) voucher: Option<Vec<u8>>,
}

/// The limits of a circuit; zero and an absent field are no limit.
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

    /// Makes the answer to a reservation; addresses that do not fit into a message are left out.
    pub(super) fn reserved(reservation: Reservation, limit: Option<Limit>) -> Self {
        let mut answer = Self {
            reservation: Some(reservation),
            limit,
            ..Self::answer(Status::Ok)
        };
        while answer.encoded_len() > MESSAGE_BYTES_MAX
            && let Some(reservation) = &mut answer.reservation
            && reservation.addresses.pop().is_some()
        {}
        answer
    }
}

impl Limit {
    /// Makes the limit field; `None` without any limit, because clients use a circuit with limits
    /// sparingly.
    pub(super) fn of(duration: Option<Duration>, data: Option<u64>) -> Option<Self> {
        // Zero would mean that there is no limit.
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
/// `InvalidData` when the bytes are no message or too large, `TimedOut` when they do not come.
pub(super) async fn receive<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> io::Result<M> {
    timeout(patience, read(stream)).await?
}

async fn read<M: Message + Default>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let mut message = vec![0; length(stream).await?];
    stream.read_exact(&mut message).await?;
    M::decode(message.as_slice()).map_err(|error| malformed(error.to_string()))
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

/// Reads bytes as both kinds of message; for the fuzz target and the property tests.
///
/// # Panics
/// When a message does not read as itself again, or more than the largest message was taken.
pub(crate) fn check_any_bytes(bytes: &[u8]) {
    check_as::<Hop>(bytes);
    check_as::<Stop>(bytes);
}

fn check_as<M: Message + Default + PartialEq>(bytes: &[u8]) {
    let mut rest = bytes;
    let message = read::<M>(&mut rest).now_or_never();
    let taken = bytes.len() - rest.len();
    assert!(taken <= LENGTH_BYTES_MAX + MESSAGE_BYTES_MAX);
    // Bytes in memory are all there, so reading ends at once.
    let message = message.expect("reading from memory waits for nothing");
    if let Ok(message) = message {
        let again = M::decode(message.encode_to_vec().as_slice());
        assert!(again.is_ok_and(|again| again == message));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{super::voucher::Voucher, *};

    const TIMEOUT: Duration = Duration::from_secs(5);

    async fn read_hop(mut bytes: &[u8]) -> io::Result<Hop> {
        receive(&mut bytes, TIMEOUT).await
    }

    #[test]
    fn the_messages_agree_with_their_schema() {
        let schema = peerwork_schema::Schema::load("relay.proto").without(&["Peer.addrs"]);
        let peer = Peer { id: vec![1] };
        let limit = Limit {
            duration: Some(1),
            data: Some(2),
        };
        let reservation = Reservation {
            expire: 3,
            addresses: vec![vec![4]],
            voucher: Some(vec![5]),
        };
        let voucher = Voucher {
            relay: vec![6],
            peer: vec![7],
            expiration: 8,
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
        schema.check("Voucher", &voucher);
        schema.check("Limit", &limit);
        schema.check_enum::<HopKind>("HopMessage.Type");
        schema.check_enum::<StopKind>("StopMessage.Type");
        schema.check_enum::<Status>("Status");
    }

    #[tokio::test]
    async fn a_reserve_request_is_two_bytes_behind_their_length() {
        let request = read_hop(&[2, 8, 0]).await.unwrap();
        assert_eq!(request.kind(), HopKind::Reserve);
        let mut written = Vec::new();
        send(&mut written, &request, TIMEOUT).await.unwrap();
        assert_eq!(written, [2, 8, 0]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_message_are_distinguished_from_silence() {
        for bytes in [
            &[0xff, 0xff, 0xff, 0xff, 7][..],
            &[0x81, 0x20],
            &[1, 0x0a],
            &[2, 0x0f, 0xff],
        ] {
            let error = read_hop(bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let error = read_hop(&[9, 8, 0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn bytes_behind_a_message_are_left() {
        let mut bytes = &[2, 8, 0, 42][..];
        let _: Hop = receive(&mut bytes, TIMEOUT).await.unwrap();
        assert_eq!(bytes, [42]);
    }

    #[test]
    fn limits_are_sent_when_there_are_any() {
        assert_eq!(Limit::of(None, None), None);
        let both = Limit::of(Some(Duration::from_secs(600)), Some(9)).unwrap();
        assert_eq!((both.duration, both.data), (Some(600), Some(9)));
        let short = Limit::of(Some(Duration::from_millis(500)), None).unwrap();
        assert_eq!(short.duration, Some(1));
        let data = Limit::of(None, Some(9)).unwrap();
        assert_eq!(data.duration, None);
    }

    /// Makes a message of so many bytes, behind a length of two bytes.
    fn of_length(bytes: usize) -> Hop {
        // Tag and length of two fields, the inner one as long as its content is.
        let id = vec![7; bytes - 6];
        Hop {
            peer: Some(Peer { id }),
            ..Hop::default()
        }
    }

    #[tokio::test]
    async fn a_message_at_the_limit_is_read_and_one_more_byte_is_refused() {
        let largest = of_length(MESSAGE_BYTES_MAX);
        let bytes = largest.encode_length_delimited_to_vec();
        assert_eq!(bytes.len(), LENGTH_BYTES_MAX + MESSAGE_BYTES_MAX);
        assert_eq!(read_hop(&bytes).await.unwrap(), largest);
        let larger = of_length(MESSAGE_BYTES_MAX + 1);
        let bytes = larger.encode_length_delimited_to_vec();
        let error = read_hop(&bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_answer_lists_the_addresses_that_fit_into_a_message() {
        let answer = |addresses: usize, bytes: usize| {
            let reservation = Reservation {
                expire: 1,
                addresses: vec![vec![0; bytes]; addresses],
                voucher: None,
            };
            Hop::reserved(reservation, None)
        };
        let listed = |answer: &Hop| answer.reservation.as_ref().map(|r| r.addresses.len());
        let beside = answer(1, 0).encoded_len();
        // The lengths of a long address and of the reservation around it take a second byte each.
        let largest = MESSAGE_BYTES_MAX - beside - 2;
        let fits = answer(1, largest);
        assert_eq!(
            (listed(&fits), fits.encoded_len()),
            (Some(1), MESSAGE_BYTES_MAX)
        );
        assert_eq!(listed(&answer(1, largest + 1)), Some(0));
        assert_eq!(listed(&answer(16, 400)), Some(10));
    }

    #[test]
    fn the_answer_without_room_is_resource_limit_exceeded() {
        let answer = Hop::answer(Status::ResourceLimitExceeded);
        assert_eq!(
            answer.encode_length_delimited_to_vec(),
            super::super::FULL.0
        );
    }

    fn any_limit() -> impl Strategy<Value = Option<Limit>> {
        let limit = (any::<Option<u32>>(), any::<Option<u64>>());
        proptest::option::of(limit.prop_map(|(duration, data)| Limit { duration, data }))
    }

    fn any_peer() -> impl Strategy<Value = Option<Peer>> {
        let id = proptest::collection::vec(any::<u8>(), 0..64);
        proptest::option::of(id.prop_map(|id| Peer { id }))
    }

    fn any_reservation() -> impl Strategy<Value = Option<Reservation>> {
        let address = proptest::collection::vec(any::<u8>(), 0..64);
        let addresses = proptest::collection::vec(address, 0..20);
        let voucher = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64));
        let reservation = (any::<u64>(), addresses, voucher);
        proptest::option::of(
            reservation.prop_map(|(expire, addresses, voucher)| Reservation {
                expire,
                addresses,
                voucher,
            }),
        )
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            check_any_bytes(&bytes);
            // Behind their own length, more of the bytes are read as messages.
            let mut framed = bytes.clone();
            framed.insert(0, 0);
            if let Ok(length @ ..128) = u8::try_from(bytes.len()) {
                framed[0] = length;
                check_any_bytes(&framed);
            }
        }

        #[test]
        fn requests_and_answers_of_a_relay_read_as_themselves(
            (kind, status) in any::<(Option<i32>, Option<i32>)>(),
            peer in any_peer(),
            reservation in any_reservation(),
            limit in any_limit(),
        ) {
            let hop = Hop { kind, peer: peer.clone(), reservation, limit, status };
            let bytes = hop.encode_length_delimited_to_vec();
            let back = read::<Hop>(&mut bytes.as_slice()).now_or_never().unwrap();
            prop_assert_eq!(back.unwrap(), hop);
            let stop = Stop { kind, peer, limit, status };
            let bytes = stop.encode_length_delimited_to_vec();
            let back = read::<Stop>(&mut bytes.as_slice()).now_or_never().unwrap();
            prop_assert_eq!(back.unwrap(), stop);
        }

        #[test]
        fn a_length_over_the_limit_is_refused_before_its_message_comes(
            length in MESSAGE_BYTES_MAX + 1..1 << 40,
        ) {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(length as u64, &mut bytes);
            let refused = read::<Hop>(&mut bytes.as_slice()).now_or_never().unwrap();
            prop_assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
