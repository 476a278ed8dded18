//! Messages of Bitswap 1.2.0 and their frames.

mod frame;
mod message;
mod outgoing;

use bytes::Bytes;
use peerwork_net::Protocol;
use prost::Message as _;

pub use self::{
    frame::{SMALL_BYTES_MAX, read_frame, read_length, read_rest},
    message::{
        BlockPresence, CID_BYTES_MAX, ENTRIES_MAX, Entry, MESSAGE_BYTES_MAX, Message, Payload,
        Presence, WantType, Wantlist, WireError, cid_of,
    },
    outgoing::Outgoing,
};
use super::prefix::Prefix;

/// Bitswap, as kubo and Helia speak it.
pub const PROTOCOL: Protocol = Protocol::bare("/ipfs/bitswap/1.2.0");
/// The protocol's name in identify.
pub const PROTOCOL_NAME: &str = "/ipfs/bitswap/1.2.0";

/// Decodes arbitrary bytes as a message and as what is in it; for the fuzz target.
///
/// # Panics
/// When a message that was read does not read as itself again.
pub fn check_any_bytes(bytes: &[u8]) {
    let Ok(message) = Message::read(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    for entry in message.wantlist.iter().flat_map(|list| &list.entries) {
        if let Some(cid) = cid_of(&entry.block) {
            assert_eq!(cid_of(&cid.to_bytes()), Some(cid), "a CID is itself");
        }
    }
    for payload in &message.payload {
        if let Some(prefix) = Prefix::read(&payload.prefix) {
            assert_eq!(Prefix::read(&prefix.to_bytes()), Some(prefix));
            let _ = prefix.hash(&payload.data);
        }
    }
    let encoded = message.encode_to_vec();
    if encoded.len() <= MESSAGE_BYTES_MAX {
        assert_eq!(Message::read(encoded.into()), Ok(message));
    }
}
