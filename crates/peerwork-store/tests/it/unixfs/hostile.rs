//! DAGs that nobody honest made: each is refused with its reason, and leaves nothing on the disk.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::TryStreamExt;
use peerwork_store::{
    Block, BlockError, GetError, Source,
    dag::{Limits, walk},
    unixfs::{ExportError, ExportOptions, Link, ReadError, export, list, read},
};

use crate::{
    hand::{DIRECTORY, FILE, Message, SYMLINK, file},
    memory::Memory,
};

pub(super) const LIMITS: Limits = Limits {
    depth: 20,
    entries: 50,
    bytes: 1_000,
    blocks: 50,
};

/// Exports below a new folder, and checks that a refused tree leaves nothing there.
async fn exported(memory: &Memory, root: Cid, limits: Limits) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let options = ExportOptions {
        limits,
        ..ExportOptions::default()
    };
    let done = export(memory.source(), root, &target, &options, |_| {}).await;
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, usize::from(done.is_ok()));
    done.map(drop)
        .map_err(|error: ExportError| error.to_string())
}

pub(super) async fn listed(memory: &Memory, root: Cid) -> Result<Vec<Link>, ReadError> {
    list(memory.source(), root, LIMITS).try_collect().await
}

/// A tree is refused by its export and, where it is a directory, by its listing.
pub(super) async fn refused(memory: &Memory, root: Cid, reason: &str) {
    let error = exported(memory, root, LIMITS).await.unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[tokio::test]
async fn names_that_lead_out_are_refused() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"x");
    for (name, reason) in [
        (&b""[..], "it is empty"),
        (b".", "names a directory above"),
        (b"..", "names a directory above"),
        (b"../x", "it has a slash"),
        (b"/etc/passwd", "it has a slash"),
        (b"a/b", "it has a slash"),
        (b"a\0b", "it has a NUL"),
        (b"caf\xe9", "it is no UTF-8"),
    ] {
        let root = memory.node_of(&[(name, leaf, 0)], Message::new(DIRECTORY));
        refused(&memory, root, reason).await;
        let error = listed(&memory, root).await.unwrap_err();
        assert!(matches!(error, ReadError::Name { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_the_disk_does_not_take_is_refused() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"x");
    let (longest, beyond) = ("n".repeat(255), "n".repeat(256));
    let root = memory.node(&[(&longest, leaf)], Message::new(DIRECTORY));
    exported(&memory, root, LIMITS).await.unwrap();
    let root = memory.node(&[(&beyond, leaf)], Message::new(DIRECTORY));
    refused(&memory, root, "too long").await;
}

#[tokio::test]
async fn two_entries_of_one_name_are_refused() {
    let mut memory = Memory::default();
    let (a, b) = (memory.raw(b"a"), memory.raw(b"b"));
    let root = memory.node(&[("same", a), ("same", b)], Message::new(DIRECTORY));
    refused(&memory, root, "two entries have it").await;
    let error = listed(&memory, root).await.unwrap_err();
    assert!(matches!(error, ReadError::Name { .. }));
}

#[tokio::test]
async fn nothing_is_written_through_a_link_of_the_tree() {
    let mut memory = Memory::default();
    let outside = tempfile::tempdir().unwrap();
    let leaf = memory.raw(b"x");
    let target = outside.path().as_os_str().as_encoded_bytes();
    let link = memory.node(&[], Message::new(SYMLINK).bytes(2, target));
    let inner = memory.node(&[("file", leaf)], Message::new(DIRECTORY));
    // The same name twice: first the link, then a directory in its place.
    let root = memory.node(&[("name", link), ("name", inner)], Message::new(DIRECTORY));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("target");
    let options = ExportOptions {
        outside_links: true,
        ..ExportOptions::default()
    };
    let done = export(memory.source(), root, &path, &options, |_| {}).await;
    assert!(matches!(
        done,
        Err(ExportError::Read(ReadError::Name { .. }))
    ));
    // Links to links that are in the tree lead nowhere else either.
    let link = memory.node(&[], Message::new(SYMLINK).bytes(2, b"here/../../out"));
    let here = memory.node(&[], Message::new(SYMLINK).bytes(2, b"."));
    let root = memory.node(&[("a", link), ("here", here)], Message::new(DIRECTORY));
    refused(&memory, root, "behind a name").await;
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn links_that_leave_the_tree_are_refused_unless_asked() {
    let mut memory = Memory::default();
    for target in ["/etc/passwd", "..", "../..", "a/../../b", ""] {
        let link = memory.node(&[], Message::new(SYMLINK).bytes(2, target.as_bytes()));
        let root = memory.node(&[("link", link)], Message::new(DIRECTORY));
        refused(&memory, root, "the symbolic link link to").await;
    }
    let link = memory.node(&[], Message::new(SYMLINK).bytes(2, b"/etc/passwd"));
    let root = memory.node(&[("link", link)], Message::new(DIRECTORY));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let options = ExportOptions {
        outside_links: true,
        ..ExportOptions::default()
    };
    export(memory.source(), root, &target, &options, |_| {})
        .await
        .unwrap();
    let found = std::fs::read_link(target.join("link")).unwrap();
    assert_eq!(found, Path::new("/etc/passwd"));
}

/// A directory in a directory, so many levels in all.
fn nested(memory: &mut Memory, levels: usize) -> Cid {
    let mut cid = memory.node(&[], Message::new(DIRECTORY));
    for _ in 1..levels {
        cid = memory.node(&[("d", cid)], Message::new(DIRECTORY));
    }
    cid
}

#[tokio::test]
async fn a_tree_has_a_largest_depth() {
    let mut memory = Memory::default();
    let at = nested(&mut memory, LIMITS.depth);
    exported(&memory, at, LIMITS).await.unwrap();
    walk(memory.source(), at, LIMITS, |_| {}).await.unwrap();
    let beyond = nested(&mut memory, LIMITS.depth + 1);
    refused(&memory, beyond, "more than 20 levels").await;
    let error = walk(memory.source(), beyond, LIMITS, |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more than 20 levels"), "{error}");
    let names = "d/".repeat(LIMITS.depth + 1);
    let error = peerwork_store::unixfs::resolve(&memory, &beyond, &names, &LIMITS).await;
    assert!(matches!(
        error,
        Err(ReadError::Limit { what: "levels", .. })
    ));
}

#[tokio::test]
async fn a_tree_has_a_largest_number_of_entries() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"");
    let names: Vec<String> = (0..=LIMITS.entries).map(|at| at.to_string()).collect();
    let mut of = |count: usize| {
        let links: Vec<_> = names[..count]
            .iter()
            .map(|name| (name.as_str(), leaf))
            .collect();
        memory.node(&links, Message::new(DIRECTORY))
    };
    // The root is an entry of an export, and not of a listing.
    let (at, beyond, long) = (of(49), of(50), of(51));
    exported(&memory, at, LIMITS).await.unwrap();
    refused(&memory, beyond, "more than 50 entries").await;
    assert_eq!(listed(&memory, beyond).await.unwrap().len(), 50);
    let error = listed(&memory, long).await.unwrap_err();
    assert!(matches!(
        error,
        ReadError::Limit {
            what: "entries",
            max: 50,
            ..
        }
    ));
}

#[tokio::test]
async fn a_tree_has_a_largest_number_of_bytes_before_the_disk_has_them() {
    let mut memory = Memory::default();
    let leaf = memory.raw(&[1; 250]);
    let four = memory.node(
        &[("a", leaf), ("b", leaf), ("c", leaf), ("d", leaf)],
        Message::new(DIRECTORY),
    );
    exported(&memory, four, LIMITS).await.unwrap();
    let one = memory.raw(b"1");
    let root = memory.node(&[("four", four), ("one", one)], Message::new(DIRECTORY));
    refused(&memory, root, "more than 1000 bytes").await;
    // A size that no disk has is refused before a block of the content is asked for.
    let huge = memory.node(&[("", leaf)], file(&[1 << 60]));
    memory.asked.lock().unwrap().clear();
    refused(&memory, huge, "more than 1000 bytes").await;
    assert_eq!(*memory.asked.lock().unwrap(), [huge]);
    let wide = Limits::WIDE;
    let error = exported(&memory, huge, wide).await.unwrap_err();
    assert!(error.contains("make room"), "{error}");
}

/// Each level links to the one below twice: 2⁶⁰ paths in 61 blocks.
fn doubled(memory: &mut Memory, levels: usize) -> Cid {
    let mut cid = memory.node(&[], Message::new(DIRECTORY));
    for _ in 0..levels {
        cid = memory.node(&[("a", cid), ("b", cid)], Message::new(DIRECTORY));
    }
    cid
}

#[tokio::test]
async fn few_blocks_that_unfold_to_many_paths_are_walked_once_and_refused_as_a_tree() {
    let mut memory = Memory::default();
    let root = doubled(&mut memory, 60);
    let limits = Limits {
        depth: 100,
        blocks: 61,
        ..LIMITS
    };
    let limits = Limits {
        bytes: 100_000,
        ..limits
    };
    let walked = walk(memory.source(), root, limits, |_| {}).await.unwrap();
    assert_eq!(walked.blocks, 61);
    // A source that fetches ahead fetches nothing that the walk has or takes once.
    let mut expected = memory.expected.lock().unwrap().clone();
    let hints = expected.len();
    expected.sort();
    expected.dedup();
    assert_eq!((expected.len(), hints), (60, 60));
    assert!(!expected.contains(&root));
    let error = exported(&memory, root, limits).await.unwrap_err();
    assert!(error.contains("more than 50 entries"), "{error}");
    let less = Limits {
        blocks: 60,
        ..limits
    };
    let error = walk(memory.source(), root, less, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("more than 60 blocks"), "{error}");
}

#[tokio::test]
async fn a_file_of_repeated_parts_costs_no_more_than_its_bytes() {
    let mut memory = Memory::default();
    // 174 to the power of 8 empty parts.
    let mut empty = memory.raw(b"");
    for _ in 0..8 {
        empty = memory.node(&vec![("", empty); 174], file(&[0; 174]));
    }
    let pieces: Vec<Bytes> = read(memory.source(), empty, 0..9, LIMITS)
        .try_collect()
        .await
        .unwrap();
    assert!(pieces.is_empty());
    assert_eq!(memory.asked.lock().unwrap().len(), 1);
    // The same of bytes: 2⁶⁰ of them are refused, and a range costs its path.
    let (mut cid, mut size) = (memory.raw(b"x"), 1);
    for _ in 0..60 {
        (cid, size) = (
            memory.node(&[("", cid), ("", cid)], file(&[size, size])),
            size * 2,
        );
    }
    let limits = Limits {
        depth: 60,
        ..LIMITS
    };
    let whole: Result<Vec<Bytes>, _> = read(memory.source(), cid, 0..size, limits)
        .try_collect()
        .await;
    assert!(matches!(whole, Err(ReadError::Limit { what: "bytes", .. })));
    memory.asked.lock().unwrap().clear();
    let middle = size / 2..size / 2 + 1;
    let pieces: Vec<Bytes> = read(memory.source(), cid, middle, limits)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(pieces, [Bytes::from_static(b"x")]);
    assert_eq!(memory.asked.lock().unwrap().len(), 61);
    let shallow = Limits {
        depth: 59,
        ..LIMITS
    };
    let deep: Result<Vec<Bytes>, _> = read(memory.source(), cid, 0..1, shallow)
        .try_collect()
        .await;
    assert!(matches!(
        deep,
        Err(ReadError::Limit {
            what: "levels",
            max: 59,
            ..
        })
    ));
}

#[tokio::test]
async fn a_directory_of_a_million_entries_is_refused_at_the_limit() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"");
    // A directory may not unfold: 20 directories of 50,000 names are a million paths.
    let names: Vec<String> = (0..40_000).map(|at| format!("{at:x}")).collect();
    let links: Vec<_> = names.iter().map(|name| (name.as_str(), leaf)).collect();
    let wide = memory.node(&links, Message::new(DIRECTORY));
    let links: Vec<_> = names[..26]
        .iter()
        .map(|name| (name.as_str(), wide))
        .collect();
    let root = memory.node(&links, Message::new(DIRECTORY));
    let limits = Limits {
        entries: 20_000,
        ..Limits::default()
    };
    let error = exported(&memory, root, limits).await.unwrap_err();
    assert!(error.contains("more than 20000 entries"), "{error}");
}

#[tokio::test]
async fn wide_directories_in_each_other_take_bounded_memory() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"");
    let names: Vec<String> = (0..40_000).map(|at| format!("x{at:x}")).collect();
    let mut cid = memory.node(&[], Message::new(DIRECTORY));
    for _ in 0..40 {
        let mut links: Vec<_> = names.iter().map(|name| (name.as_str(), leaf)).collect();
        links.insert(0, ("0", cid));
        cid = memory.node(&links, Message::new(DIRECTORY));
    }
    let error = exported(&memory, cid, Limits::WIDE).await.unwrap_err();
    assert!(error.contains("entries waiting on one path"), "{error}");
    let error = walk(memory.source(), cid, Limits::WIDE, |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("bytes on one path"), "{error}");
}

#[tokio::test]
async fn a_wrong_tsize_changes_nothing() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"content");
    let links = [(&b"a"[..], leaf, u64::MAX), (b"b", leaf, u64::MAX)];
    let root = memory.node_of(&links, Message::new(DIRECTORY));
    exported(&memory, root, LIMITS).await.unwrap();
    let entry = peerwork_store::unixfs::resolve(&memory, &root, "", &LIMITS)
        .await
        .unwrap();
    assert_eq!(entry.cumulative, u64::MAX);
}

#[tokio::test]
async fn a_wrong_size_of_a_file_is_refused() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"content");
    for size in [6, 8, 100] {
        let root = memory.node(&[("", leaf)], file(&[size]));
        refused(&memory, root, "has 7 bytes of content").await;
    }
    let directory = memory.node(&[], Message::new(DIRECTORY));
    let root = memory.node(&[("", directory)], file(&[4]));
    refused(&memory, root, "is a directory, not a file").await;
    let root = memory.node(&[], Message::new(FILE).bytes(2, b"x").number(3, 2));
    refused(&memory, root, "not that of its parts").await;
}

/// Gives other bytes than those that were asked for.
struct Liar(Memory);

#[async_trait]
impl Source for Liar {
    async fn get(&self, cid: &Cid) -> Result<Block, GetError> {
        let data = self
            .0
            .block(cid)
            .data()
            .iter()
            .map(|byte| byte ^ 1)
            .collect::<Vec<_>>();
        Block::verify(*cid, data.into()).map_err(|error| GetError::Failed {
            cid: *cid,
            reason: error.to_string(),
        })
    }
}

#[tokio::test]
async fn a_block_that_does_not_match_its_cid_never_becomes_a_file() {
    let mut memory = Memory::default();
    let leaf = memory.raw(b"content");
    let error = Block::verify(leaf, Bytes::from_static(b"other")).unwrap_err();
    assert_eq!(error, BlockError::Mismatch(leaf));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let options = ExportOptions::default();
    let done = export(Arc::new(Liar(memory)), leaf, &target, &options, |_| {}).await;
    assert!(
        done.unwrap_err()
            .to_string()
            .contains("does not match its CID")
    );
    assert!(!target.exists());
}
