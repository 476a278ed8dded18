//! Sharded directories that nobody honest made.

use cid::Cid;

use super::hostile::{listed, refused};
use crate::{
    hand::{DIRECTORY, Message, shard},
    memory::Memory,
};

#[tokio::test]
async fn shards_that_break_a_rule_are_refused() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"x");
    let bits = |memory: &mut Memory, message| memory.node(&[("00a", leaf)], message);
    let fanout = |fanout| {
        Message::new(5)
            .bytes(2, &[1])
            .number(5, 0x22)
            .number(6, fanout)
    };
    let empty = memory.node(&[], shard(&[]));
    let flat = memory.node(&[("a", leaf)], Message::new(DIRECTORY));
    for (root, reason) in [
        (bits(&mut memory, fanout(0)), "power of two"),
        (bits(&mut memory, fanout(4)), "power of two"),
        (bits(&mut memory, fanout(255)), "power of two"),
        (bits(&mut memory, fanout(2048)), "power of two"),
        (
            bits(
                &mut memory,
                Message::new(5)
                    .bytes(2, &[1])
                    .number(5, 0x23)
                    .number(6, 256),
            ),
            "MurmurHash3",
        ),
        (bits(&mut memory, shard(&[0, 1])), "one bit for each link"),
        (bits(&mut memory, shard(&[])), "one bit for each link"),
        (
            bits(&mut memory, fanout(256).bytes(2, &[0; 33])),
            "one bit for each link",
        ),
        (
            bits(&mut memory, shard(&[1])),
            "does not begin with its place",
        ),
        (
            bits(&mut memory, shard(&[0])),
            "not in the place of its hash",
        ),
        (
            memory.node(&[("00", empty)], shard(&[0])),
            "the shard is empty",
        ),
        (
            memory.node(&[("00", flat)], shard(&[0])),
            "in the place of a shard",
        ),
        (
            memory.node(&[("00", leaf)], shard(&[0])),
            "in the place of a shard",
        ),
    ] {
        refused(&memory, root, reason).await;
        let error = listed(&memory, root).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn shards_end_where_the_hash_ends() {
    let mut memory = Memory::default();
    // Shards of the place 0 in each other: the hash of a name has eight places.
    let mut cid = memory.node(&[("00a", memory_leaf())], shard(&[0]));
    for _ in 0..8 {
        cid = memory.node(&[("00", cid)], shard(&[0]));
    }
    refused(&memory, cid, "deeper than the hash").await;
    // Repeated shards of many names do not unfold: a name is in one place alone.
    let below = memory.node(&[("00a", memory_leaf())], shard(&[0]));
    let names: Vec<String> = (0..=255).map(|place| format!("{place:02X}")).collect();
    let links: Vec<_> = names.iter().map(|name| (name.as_str(), below)).collect();
    let places: Vec<u8> = (0..=255).collect();
    let root = memory.node(&links, shard(&places));
    refused(&memory, root, "not in the place of its hash").await;
}

fn memory_leaf() -> Cid {
    Memory::default().raw(b"")
}
