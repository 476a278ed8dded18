//! Heads and answers of tunnels: an accepted message reads back as itself.
#![cfg_attr(fuzzing, no_main)]

use peerwork_tunnel::wire::{Head, decode_answer, encode_answer};

/// Removes the length in front of a message, one or two bytes of varint.
fn body(message: &[u8]) -> &[u8] {
    match message {
        [first, _, rest @ ..] if *first >= 0x80 => rest,
        [_, rest @ ..] => rest,
        [] => message,
    }
}

peerwork_fuzz::target!(|data: &[u8]| {
    if let Ok(head) = Head::decode(data) {
        assert_eq!(Head::decode(body(&head.encode())).ok(), Some(head));
    }
    if let Ok(answer) = decode_answer(data) {
        let again = decode_answer(body(&encode_answer(&answer)));
        assert_eq!(again.ok(), Some(answer));
    }
});
