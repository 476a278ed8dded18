//! Encodes and decodes the messages of data channels: protobuf, each with its length in front
//! (libp2p's specification of WebRTC, "Multiplexing").

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;

/// Bytes of a received message with its length.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a sent message with its length. go-libp2p reads the length and what comes with it into a
/// buffer of 4096 bytes, and resets the stream when the message is larger (io.ErrShortBuffer).
const SENT_FRAME_BYTES_MAX: usize = 4096;
/// Bytes of payload in a sent message: the lengths and tags around it have at most eight.
pub(super) const PAYLOAD_BYTES_MAX: usize = SENT_FRAME_BYTES_MAX - 8;
/// A length has at most three bytes within the bound; more are not waited for.
const LENGTH_BYTES_MAX: usize = 3;

/// The flag of a message, beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
pub(super) enum Flag {
    /// The sender sends no further bytes.
    Fin = 0,
    /// The sender reads no further bytes.
    StopSending = 1,
    /// The sender gives the stream up.
    Reset = 2,
    /// Everything up to the other side's [`Flag::Fin`] has arrived.
    FinAck = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(enumeration = "Flag", optional, tag = "1")]
    flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
}

/// A message; flags that this version does not know are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) flag: Option<Flag>,
    pub(super) payload: Bytes,
}

/// The other side sent bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a WebRTC stream")]
pub(super) struct Malformed;

/// A message of payload alone, at most [`PAYLOAD_BYTES_MAX`] of it.
pub(super) fn data(payload: Bytes) -> Vec<u8> {
    let message = Some(payload);
    Wire {
        flag: None,
        message,
    }
    .encode_length_delimited_to_vec()
}

/// A message of a flag alone.
pub(super) fn flag(flag: Flag) -> Vec<u8> {
    let flag = Some(flag.into());
    Wire {
        flag,
        message: None,
    }
    .encode_length_delimited_to_vec()
}

/// Takes messages out of the received bytes, however these are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes of memory that the beginning of a message holds.
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Gives back the memory that no beginning of a message needs.
    pub(super) fn shrink(&mut self) {
        if self.buffer.capacity() > self.buffer.len() {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }

    /// The next whole message, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let mut rest = &self.buffer[..];
        let Ok(length) = prost::decode_length_delimiter(&mut rest) else {
            let incomplete = self.buffer.len() < LENGTH_BYTES_MAX;
            return incomplete.then_some(None).ok_or(Malformed);
        };
        if length > FRAME_BYTES_MAX {
            return Err(Malformed);
        }
        if rest.len() < length {
            return Ok(None);
        }
        let prefix = self.buffer.len() - rest.len();
        self.buffer.advance(prefix);
        let wire = Wire::decode(self.buffer.split_to(length).freeze()).map_err(|_| Malformed)?;
        Ok(Some(Frame {
            flag: wire.flag.and_then(|flag| Flag::try_from(flag).ok()),
            payload: wire.message.unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_message_agrees_with_its_schema() {
        let schema = peerwork_schema::Schema::load("webrtc.proto");
        let full = Wire {
            flag: Some(Flag::FinAck.into()),
            message: Some(Bytes::from_static(b"payload")),
        };
        schema.check("Message", &full);
        schema.check_enum::<Flag>("Message.Flag");
    }

    #[test]
    fn the_largest_sent_message_fits_into_the_buffer_of_go_libp2p() {
        let largest = data(Bytes::from(vec![7; PAYLOAD_BYTES_MAX]));
        assert!(largest.len() <= SENT_FRAME_BYTES_MAX, "{}", largest.len());
    }

    #[test]
    fn the_largest_received_message_fits_and_a_larger_one_is_malformed() {
        let length = FRAME_BYTES_MAX - 8;
        let largest = data(Bytes::from(vec![7; length]));
        let mut decoder = Decoder::default();
        decoder.push(&largest);
        let frame = decoder.next().unwrap().unwrap();
        assert_eq!(frame.payload.len(), length);
        decoder.push(&data(Bytes::from(vec![7; FRAME_BYTES_MAX])));
        assert_eq!(decoder.next(), Err(Malformed));
    }

    #[test]
    fn an_endless_length_and_an_unknown_flag() {
        let mut decoder = Decoder::default();
        decoder.push(&[0xff, 0xff]);
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(&[0xff]);
        assert_eq!(decoder.next(), Err(Malformed));
        let mut decoder = Decoder::default();
        decoder.push(&[2, 8, 9]);
        assert_eq!(decoder.next().unwrap().unwrap().flag, None);
    }

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
            cut in 1..64_usize,
        ) {
            let mut all: Vec<u8> = Vec::new();
            for payload in &payloads {
                all.extend(data(Bytes::from(payload.clone())));
                all.extend(flag(Flag::FinAck));
            }
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            for part in all.chunks(cut) {
                decoder.push(part);
                while let Some(frame) = decoder.next().unwrap() {
                    out.push(frame);
                }
            }
            prop_assert_eq!(out.len(), payloads.len() * 2);
            for (pair, payload) in out.chunks(2).zip(&payloads) {
                prop_assert_eq!(&pair[0].payload[..], &payload[..]);
                prop_assert_eq!(pair[1].flag, Some(Flag::FinAck));
            }
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
