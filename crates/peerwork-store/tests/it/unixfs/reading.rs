//! Reading of files, directories and paths.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use futures::TryStreamExt;
use peerwork_store::{
    DAG_PB,
    dag::{Limits, Node, links},
    unixfs::{AddOptions, Kind, Profile, ReadError, add, add_reader, list, read, resolve},
};

use crate::{
    hand::{DIRECTORY, FILE, Message, SYMLINK, file, varint},
    memory::Memory,
};

const LIMITS: Limits = Limits {
    depth: 100,
    entries: 10_000,
    bytes: 1 << 40,
    blocks: 10_000,
};

async fn content(
    memory: &Memory,
    cid: Cid,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, ReadError> {
    let pieces: Vec<Bytes> = read(memory.source(), cid, range, LIMITS)
        .try_collect()
        .await?;
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    Ok(pieces.concat())
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_range_is_read_with_the_blocks_that_it_needs() {
    let bytes = pattern(600_000);
    let mut memory = Memory::default();
    let options = AddOptions::default();
    let root = add_reader(&bytes[..], &options, &mut memory, &mut |_| {})
        .unwrap()
        .cid;
    for (range, blocks) in [
        (0..u64::MAX, 4),
        (0..1, 2),
        (262_143..262_145, 3),
        (262_144..262_145, 2),
        (599_999..600_000, 2),
        (599_999..700_000, 2),
        (600_000..600_001, 1),
        (5..5, 1),
    ] {
        memory.asked.lock().unwrap().clear();
        memory.expected.lock().unwrap().clear();
        let found = content(&memory, root, range.clone()).await.unwrap();
        let (start, end) = (
            range.start.min(600_000) as usize,
            range.end.min(600_000) as usize,
        );
        assert!(found == bytes[start..end], "{range:?}");
        let asked = memory.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), blocks, "{range:?}");
        assert_eq!(*memory.expected.lock().unwrap(), asked[1..], "{range:?}");
    }
}

#[tokio::test]
async fn data_in_front_of_links_inside_nodes_and_raw_leaves_are_read() {
    let mut memory = Memory::default();
    let (b, c) = (memory.raw(b"bb"), memory.raw(b"ccc"));
    let inner = Message::new(FILE).bytes(2, b"-").number(3, 3).number(4, 2);
    let inner = memory.node(&[("", b)], inner);
    let root = Message::new(FILE)
        .bytes(2, b"aaa")
        .number(3, 9)
        .bytes(4, &[3, 3]);
    let root = memory.node(&[("", inner), ("", c)], root);
    assert_eq!(content(&memory, root, 0..100).await.unwrap(), b"aaa-bbccc");
    assert_eq!(content(&memory, root, 2..7).await.unwrap(), b"a-bbc");

    let node = Node::decode(&memory.block(&root)).unwrap();
    let mut turned = vec![0x0a];
    varint(&mut turned, node.data.as_ref().unwrap().len() as u64);
    turned.extend(node.data.as_ref().unwrap());
    let links_only = Node { data: None, ..node };
    turned.extend(links_only.encode());
    let turned = memory.bytes(DAG_PB, turned.into());
    assert_ne!(turned, root);
    assert_eq!(
        content(&memory, turned, 0..100).await.unwrap(),
        b"aaa-bbccc"
    );
    assert_eq!(links(&memory.block(&turned)).unwrap(), [inner, c]);
}

#[tokio::test]
async fn sizes_that_are_wrong_or_missing_are_refused() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"four");
    let size = |message| content_error(message);
    let missing = memory.node(&[("", leaf)], Message::new(FILE).number(3, 4));
    assert!(size(content(&memory, missing, 0..9).await).contains("size of each part"));
    let more = memory.node(&[("", leaf)], file(&[4, 4]));
    assert!(size(content(&memory, more, 0..9).await).contains("more block sizes than links"));
    let total = memory.node(&[("", leaf)], Message::new(FILE).number(3, 5).number(4, 4));
    assert!(size(content(&memory, total, 0..9).await).contains("not that of its parts"));
    for wrong in [3, 5] {
        let wrong = memory.node(&[("", leaf)], file(&[wrong]));
        assert!(size(content(&memory, wrong, 0..9).await).contains("has 4 bytes of content"));
    }
    let message = Message::new(FILE).number(4, u64::MAX).number(4, 1);
    let beyond = memory.node(&[("", leaf), ("", leaf)], message);
    assert!(size(content(&memory, beyond, 0..9).await).contains("2⁶⁴"));
}

fn content_error(found: Result<Vec<u8>, ReadError>) -> String {
    found.unwrap_err().to_string()
}

#[tokio::test]
async fn other_kinds_are_no_files() {
    let mut memory = Memory::default();
    let directory = memory.node(&[], Message::new(DIRECTORY));
    let link = memory.node(&[], Message::new(SYMLINK).bytes(2, b"target"));
    for cid in [directory, link] {
        let error = content(&memory, cid, 0..9).await.unwrap_err();
        assert!(matches!(
            error,
            ReadError::Kind {
                wanted: Kind::File,
                ..
            }
        ));
    }
    let cbor = memory.bytes(0x71, Bytes::from_static(b"\xa0"));
    assert!(content_error(content(&memory, cbor, 0..9).await).contains("0x71"));
    let unknown = memory.node(&[], Message::new(3));
    assert!(content_error(content(&memory, unknown, 0..9).await).contains("type"));
}

/// A directory of so many empty files, sharded when it is large.
fn directory(files: usize, profile: Profile) -> (Memory, Cid) {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..files {
        std::fs::write(folder.path().join(format!("file{file}")), []).unwrap();
    }
    let mut memory = Memory::default();
    let options = AddOptions {
        profile,
        recursive: true,
        ..AddOptions::default()
    };
    let paths = [folder.path().to_owned()];
    let roots = add(&paths, &options, &mut memory, &mut |_| {}).unwrap();
    (memory, roots[0].cid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_lists_its_entries_sharded_or_not() {
    for (files, profile) in [
        (10, Profile::UnixfsV0_2015),
        (7_000, Profile::UnixfsV1_2025),
    ] {
        let (memory, root) = directory(files, profile);
        let links: Vec<_> = list(memory.source(), root, LIMITS)
            .try_collect()
            .await
            .unwrap();
        let names: BTreeSet<String> = links.into_iter().map(|link| link.name).collect();
        assert_eq!(
            names,
            (0..files).map(|file| format!("file{file}")).collect()
        );
    }
}

#[tokio::test]
async fn an_entry_of_a_sharded_directory_is_found_on_one_path() {
    let (memory, root) = directory(7_000, Profile::UnixfsV0_2015);
    for file in (0..7_000).step_by(500) {
        memory.asked.lock().unwrap().clear();
        let entry = resolve(&memory, &root, &format!("file{file}"), &LIMITS)
            .await
            .unwrap();
        assert_eq!((entry.kind, entry.size), (Kind::File, 0));
        // The root, one or two shards, and the file.
        assert!(memory.asked.lock().unwrap().len() <= 4);
    }
    let error = resolve(&memory, &root, "file7000", &LIMITS)
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_path_leads_to_its_entry() {
    let mut memory = Memory::default();
    let file = memory.raw(b"content");
    let link = memory.node(&[], Message::new(SYMLINK).bytes(2, b"../target"));
    let inner = memory.node(
        &[("file", file), ("link", link)],
        Message::new(DIRECTORY).number(7, 0o755),
    );
    let root = memory.node(&[("inner", inner)], Message::new(DIRECTORY));
    let found = |path: &'static str| resolve(&memory, &root, path, &LIMITS);
    assert_eq!(found("").await.unwrap().cid, root);
    assert_eq!(found("/inner//file/").await.unwrap().size, 7);
    let entry = found("inner").await.unwrap();
    assert_eq!(
        (entry.kind, entry.attributes.mode),
        (Kind::Directory, Some(0o755))
    );
    let entry = found("inner/link").await.unwrap();
    assert_eq!(
        (entry.kind, &entry.target[..]),
        (Kind::Symlink, &b"../target"[..])
    );
    let error = found("inner/missing").await.unwrap_err();
    assert!(error.to_string().contains("\"missing\""), "{error}");
    let error = found("inner/file/below").await.unwrap_err();
    assert!(matches!(
        error,
        ReadError::Kind {
            wanted: Kind::Directory,
            ..
        }
    ));
    let up = found("inner/..").await.unwrap_err();
    assert!(matches!(up, ReadError::NotFound { .. }));
}

#[tokio::test]
async fn a_missing_block_is_named() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"four");
    let root = memory.node(&[("", leaf)], file(&[4]));
    memory.blocks.remove(&leaf.hash().to_bytes());
    let error = content(&memory, root, 0..4).await.unwrap_err();
    assert!(error.to_string().contains(&leaf.to_string()), "{error}");
    let source: Arc<dyn peerwork_store::Source> = memory.source();
    let walk = peerwork_store::dag::walk(source, root, LIMITS, |_| {}).await;
    assert!(walk.unwrap_err().to_string().contains(&leaf.to_string()));
}
