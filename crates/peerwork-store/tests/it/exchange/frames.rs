//! Frames and messages of Bitswap at their bounds.

use std::io::ErrorKind;

use bytes::{Bytes, BytesMut};
use peerwork_store::exchange::wire::{
    ENTRIES_MAX, Entry, MESSAGE_BYTES_MAX, Message, Outgoing, Payload, Presence, WantType,
    WireError, check_any_bytes, cid_of, read_frame,
};
use peerwork_testkit::DEADLINE;
use proptest::prelude::*;
use prost::Message as _;

use super::kit::leaf;

fn frame(len: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    prost::encoding::encode_varint(len as u64, &mut frame);
    frame.extend_from_slice(bytes);
    frame.to_vec()
}

async fn read(mut bytes: &[u8]) -> std::io::Result<Option<Bytes>> {
    read_frame(&mut bytes, &mut |_| (), DEADLINE, DEADLINE).await
}

#[tokio::test]
async fn a_frame_has_at_most_four_mebibytes() {
    let longest = frame(MESSAGE_BYTES_MAX, &vec![7; MESSAGE_BYTES_MAX]);
    let read_back = read(&longest).await.unwrap().unwrap();
    assert_eq!(read_back.len(), MESSAGE_BYTES_MAX);
    let beyond = frame(MESSAGE_BYTES_MAX + 1, &vec![7; MESSAGE_BYTES_MAX + 1]);
    let refused = read(&beyond).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    let refused = read(&[0xff; 10]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    assert_eq!(read(&[]).await.unwrap(), None);
    let cut = read(&frame(5, b"four")).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_message_has_a_bounded_number_of_entries() {
    let entries = |count| vec![Entry::default(); count];
    let of = |count| Bytes::from(Message::of_wants(entries(count)).encode_to_vec());
    assert!(Message::read(of(ENTRIES_MAX)).is_ok());
    let refused = Message::read(of(ENTRIES_MAX + 1));
    assert_eq!(refused, Err(WireError::TooMany("wants")));
    // A wantlist in two parts is one list: protobuf joins them.
    let both = [of(ENTRIES_MAX), of(1)].concat();
    assert_eq!(Message::read(both.into()), Err(WireError::TooMany("wants")));
    let payload = |count| Message {
        payload: vec![Payload::default(); count],
        ..Message::default()
    };
    assert!(Message::read(payload(ENTRIES_MAX).encode_to_vec().into()).is_ok());
    let refused = Message::read(payload(ENTRIES_MAX + 1).encode_to_vec().into());
    assert_eq!(refused, Err(WireError::TooMany("blocks")));
    let presences = |count| Message {
        presences: vec![Default::default(); count],
        ..Message::default()
    };
    assert!(Message::read(presences(ENTRIES_MAX).encode_to_vec().into()).is_ok());
    let refused = Message::read(presences(ENTRIES_MAX + 1).encode_to_vec().into());
    assert_eq!(refused, Err(WireError::TooMany("presences")));
    let legacy = |count| Message {
        blocks: vec![Bytes::new(); count],
        ..Message::default()
    };
    assert!(Message::read(legacy(ENTRIES_MAX).encode_to_vec().into()).is_ok());
    let refused = Message::read(legacy(ENTRIES_MAX + 1).encode_to_vec().into());
    assert_eq!(refused, Err(WireError::TooMany("blocks")));
}

#[tokio::test]
async fn what_is_written_in_pieces_reads_as_one_message() {
    let blocks = [
        leaf(1, 10),
        leaf(2, 20_000),
        leaf(3, 0),
        leaf(4, 300_000),
        leaf(5, 5),
    ];
    let mut outgoing = Outgoing::default();
    for block in &blocks {
        outgoing.add_block(block);
        outgoing.add_presence(block.cid(), Presence::Absent);
    }
    let len = outgoing.len();
    let written = outgoing.into_pieces().concat();
    let body = read(&written).await.unwrap().unwrap();
    assert_eq!(body.len(), len);
    let message = Message::read(body).unwrap();
    assert_eq!(message.payload.len(), blocks.len());
    for (payload, block) in message.payload.iter().zip(&blocks) {
        assert_eq!(payload.data, block.data());
        assert_eq!(&payload.prefix[..], [1, 0x55, 0x12, 32]);
    }
    for (said, block) in message.presences.iter().zip(&blocks) {
        assert_eq!(cid_of(&said.cid), Some(*block.cid()));
        assert_eq!(said.presence, i32::from(Presence::Absent));
    }
}

#[test]
fn a_cid_with_more_bytes_behind_it_is_none() {
    let cid = *leaf(1, 1).cid();
    let mut bytes = cid.to_bytes();
    assert_eq!(cid_of(&bytes), Some(cid));
    bytes.push(0);
    assert_eq!(cid_of(&bytes), None);
    assert_eq!(cid_of(&[1; 200]), None);
}

fn any_message() -> impl Strategy<Value = Message> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let entry = (bytes(), any::<i32>(), any::<bool>(), 0..2, any::<bool>());
    let entry = entry.prop_map(
        |(block, priority, cancel, want_type, send_dont_have)| Entry {
            block: block.into(),
            priority,
            cancel,
            want_type,
            send_dont_have,
        },
    );
    let payload = (bytes(), bytes()).prop_map(|(prefix, data)| Payload {
        prefix: prefix.into(),
        data: data.into(),
    });
    let lists = (
        proptest::collection::vec(entry, 0..5),
        proptest::collection::vec(payload, 0..5),
    );
    lists.prop_map(|(entries, payload)| Message {
        payload,
        ..Message::of_wants(entries)
    })
}

proptest! {
    #[test]
    fn a_message_reads_as_it_was_written(message in any_message()) {
        let bytes = message.encode_to_vec();
        check_any_bytes(&bytes);
        prop_assert_eq!(Message::read(bytes.into()), Ok(message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_any_bytes(&bytes);
    }
}

#[test]
fn wants_say_what_specification_1_2_0_asks_for() {
    let cid = *leaf(1, 1).cid();
    let want = Entry::want(&cid, WantType::Have);
    assert!(want.send_dont_have && !want.cancel);
    assert_eq!(want.want_type, 1);
    let message = Message::of_wants(vec![Entry::cancel(&cid)]).encode_to_vec();
    // Field 1 (wantlist), field 1 (entry): block, priority 1, cancel.
    let mut expected = vec![0x0a, 44, 0x0a, 42, 0x0a, 36];
    expected.extend(cid.to_bytes());
    expected.extend([0x10, 1, 0x18, 1]);
    assert_eq!(message, expected);
}
