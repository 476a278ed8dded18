//! The messages of Bitswap agree with `proto/peer/bitswap.proto`.

use bytes::Bytes;
use peerwork_schema::Schema;
use peerwork_store::exchange::wire::{
    BlockPresence, Entry, Message, Payload, Presence, WantType, Wantlist,
};

#[test]
fn messages_agree_with_their_schema() {
    let schema = Schema::load("bitswap.proto");
    let some = || Bytes::from_static(b"x");
    let entry = Entry {
        block: some(),
        priority: 2,
        cancel: true,
        want_type: WantType::Have.into(),
        send_dont_have: true,
    };
    let wantlist = Wantlist {
        entries: vec![entry.clone()],
        full: true,
    };
    let payload = Payload {
        prefix: some(),
        data: some(),
    };
    let presence = BlockPresence {
        cid: some(),
        presence: Presence::Absent.into(),
    };
    schema.check("Entry", &entry);
    schema.check("Wantlist", &wantlist);
    schema.check("Block", &payload);
    schema.check("BlockPresence", &presence);
    let message = Message {
        wantlist: Some(wantlist),
        blocks: vec![some()],
        payload: vec![payload],
        presences: vec![presence],
        pending_bytes: 5,
    };
    schema.check("Message", &message);
    schema.check_enum::<WantType>("WantType");
    schema.check_enum::<Presence>("Presence");
}
