//! Tests of the messages of tunnels.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn head() -> Head {
    Head {
        port: 9527,
        request_id: RequestId([7; 16]),
        open_deadline: Duration::from_secs(10),
        kind: Kind::Http,
        key: None,
        keeps: true,
        repeats: None,
        http2: false,
    }
}

/// The message without its length, which is a single byte for small messages.
fn body(message: &[u8]) -> &[u8] {
    &message[if message[0] < 0x80 { 1 } else { 2 }..]
}

#[test]
fn the_messages_agree_with_their_schema() {
    let schema = peerwork_schema::Schema::load("tunnel.proto");
    let head = HeadMessage {
        port: 1,
        request_id: Bytes::from_static(&[7; 16]),
        open_deadline_ms: 1,
        kind: KindMessage::Tcp.into(),
        key: Some("key".into()),
        keeps: true,
        repeats: Some(RepeatedMessage {
            tunnel: Bytes::from_static(&[7; 16]),
            offset: 1,
        }),
        http2: true,
    };
    schema.check("Head", &head);
    schema.check("Repeated", &head.repeats.clone().unwrap());
    let refused = RefusedMessage {
        reason: Reason::Full.into(),
        detail: "full".into(),
    };
    schema.check("Refused", &refused);
    let answer = AnswerMessage {
        refused: Some(refused),
        unsent: true,
        speaks: Speaks::Http2.into(),
    };
    schema.check("Answer", &answer);
    schema.check_enum::<KindMessage>("Kind");
    schema.check_enum::<Reason>("Reason");
    schema.check_enum::<Speaks>("Speaks");
}

#[tokio::test]
async fn a_head_arrives_as_it_was_sent_and_nothing_after_it_is_read() {
    let sent = Head {
        key: Some("k".repeat(KEY_BYTES_MAX)),
        kind: Kind::Tcp,
        keeps: false,
        repeats: Some(Repeated {
            tunnel: RequestId([9; 16]),
            offset: u64::MAX,
        }),
        http2: true,
        ..head()
    };
    let mut bytes = sent.encode();
    bytes.extend(b"rest");
    let mut reader = &bytes[..];
    let message = read_message(&mut reader).await.unwrap();
    assert_eq!(Head::decode(&message).unwrap(), sent);
    assert_eq!(reader, b"rest");
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_before_it_is_read() {
    let just = vec![0; MESSAGE_BYTES_MAX];
    let mut bytes = vec![0x80, 0x08];
    bytes.extend(&just);
    assert_eq!(read_message(&mut &bytes[..]).await.unwrap(), just);
    let error = read_message(&mut &[0x81, 0x08][..]).await.unwrap_err();
    assert!(matches!(error, WireError::TooLarge(1025)));
    assert!(Head::decode(&[0; MESSAGE_BYTES_MAX + 1]).is_err());
}

#[test]
fn fields_out_of_bounds_are_refused() {
    let key = Some("k".repeat(KEY_BYTES_MAX + 1));
    let long = Head { key, ..head() }.encode();
    assert!(matches!(
        Head::decode(body(&long)),
        Err(WireError::Field("key"))
    ));
    let zero = Head { port: 0, ..head() }.encode();
    assert!(matches!(
        Head::decode(body(&zero)),
        Err(WireError::Field("port"))
    ));
    assert!(matches!(Head::decode(&[]), Err(WireError::Field("port"))));
    let open_deadline = Duration::from_secs(3600);
    let slow = Head {
        open_deadline,
        ..head()
    }
    .encode();
    assert_eq!(
        Head::decode(body(&slow)).unwrap().open_deadline,
        OPEN_DEADLINE_MAX
    );
}

#[test]
fn an_answer_arrives_and_its_detail_is_bounded() {
    for (speaks, unsent) in [(Speaks::Http1, true), (Speaks::Http2, false)] {
        let answer = Ok(Accepted { speaks, unsent });
        assert_eq!(
            decode_answer(body(&encode_answer(&answer))).unwrap(),
            answer
        );
    }
    // The answer of earlier versions, and one of a later version.
    let (speaks, unsent) = (Speaks::Http1, false);
    assert_eq!(decode_answer(&[]).unwrap(), Ok(Accepted { speaks, unsent }));
    assert!(decode_answer(&[0x10, 9]).is_err());
    let refusal = Refusal {
        reason: Reason::PortNotAllowed,
        detail: "ä".repeat(DETAIL_BYTES_MAX),
    };
    let answer = decode_answer(body(&encode_answer(&Err(refusal)))).unwrap();
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.reason, Reason::PortNotAllowed);
    assert_eq!(refusal.detail.len(), DETAIL_BYTES_MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let _ = Head::decode(&bytes);
        let _ = decode_answer(&bytes);
    }
}
