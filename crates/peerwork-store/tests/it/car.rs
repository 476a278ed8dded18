//! CAR files: whole ones against iroh-car, parts of DAGs, and files that are wrong.

use std::{io, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use futures::TryStreamExt;
use iroh_car::{CarHeader, CarReader, CarWriter};
use peerwork_store::{
    BLOCK_BYTES_MAX, Block,
    car::{self, CarError, EntityBytes, Request, Scope},
    dag::Limits,
    unixfs::{AddOptions, add, add_reader},
};

use crate::{
    hand::{DIRECTORY, Message, file, varint},
    memory::Memory,
};

const LIMITS: Limits = Limits {
    depth: 20,
    entries: 10_000,
    bytes: 1 << 30,
    blocks: 10_000,
};

async fn written(memory: &Memory, roots: &[Cid]) -> Vec<u8> {
    let (mut out, mut told) = (Vec::new(), 0);
    let walked = car::export(memory.source(), roots, &mut out, LIMITS, |bytes| {
        told += bytes;
    });
    walked.await.unwrap();
    assert_eq!(told, out.len() as u64);
    out
}

fn imported(bytes: &[u8]) -> Result<(Memory, car::Imported), CarError> {
    let (mut memory, mut told) = (Memory::default(), 0);
    let done = car::import(bytes, &mut memory, &mut |bytes| {
        told += bytes;
    })?;
    assert_eq!(told, bytes.len() as u64);
    Ok((memory, done))
}

/// A directory of a file of three blocks, twice under two names, and a small file.
fn tree() -> (Memory, Cid) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("inner")).unwrap();
    let content: Vec<u8> = (0..600_000).map(|at| (at % 251) as u8).collect();
    std::fs::write(root.join("large"), &content).unwrap();
    std::fs::write(root.join("inner/again"), &content).unwrap();
    std::fs::write(root.join("inner/small"), "small").unwrap();
    let mut memory = Memory::default();
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let roots = add(&[root], &options, &mut memory, &mut |_| {}).unwrap();
    (memory, roots[0].cid)
}

#[tokio::test]
async fn another_implementation_reads_our_files() {
    let (memory, root) = tree();
    let other = memory.clone().raw(b"not in the file");
    let mut both = memory.clone();
    both.raw(b"not in the file");
    let out = written(&both, &[root, other, root]).await;
    let reader = CarReader::new(&out[..]).await.unwrap();
    assert_eq!(reader.header().roots(), [root, other, root]);
    let blocks: Vec<(Cid, Vec<u8>)> = reader.stream().try_collect().await.unwrap();
    // Parents first, depth first, each once: root, inner, again and its three leaves, small; large is again.
    assert_eq!(blocks[0].0, root);
    assert_eq!(blocks.len(), memory.blocks.len() + 1);
    for (cid, data) in &blocks {
        assert_eq!(both.block(cid).data(), data);
    }
    let inner = peerwork_store::dag::links(&memory.block(&root)).unwrap()[0];
    assert_eq!(blocks[1].0, inner);
    let again = peerwork_store::dag::links(&memory.block(&inner)).unwrap()[0];
    assert_eq!(blocks[2].0, again);
}

#[tokio::test]
async fn files_of_another_implementation_are_read() {
    let (memory, root) = tree();
    let mut writer = CarWriter::new(CarHeader::new_v1(vec![root]), Vec::new());
    for cid in &memory.put {
        writer.write(*cid, memory.block(cid).data()).await.unwrap();
    }
    let out = writer.finish().await.unwrap();
    let (found, done) = imported(&out).unwrap();
    assert_eq!(done.roots, [root]);
    assert_eq!(done.blocks, memory.put.len() as u64);
    assert_eq!(found.put, memory.put);
}

#[tokio::test]
async fn what_is_exported_is_imported() {
    let (memory, root) = tree();
    let out = written(&memory, &[root]).await;
    let (found, done) = imported(&out).unwrap();
    assert_eq!(
        (done.roots, done.blocks),
        (vec![root], memory.blocks.len() as u64)
    );
    assert_eq!(written(&found, &[root]).await, out);
    let none = written(&memory, &[]).await;
    assert_eq!(imported(&none).unwrap().1, car::Imported::default());
}

/// Wraps a file as version 2 does: with room in front and an index behind.
fn second(inner: &[u8], padding: usize) -> Vec<u8> {
    let mut out = b"\x0a\xa1gversion\x02".to_vec();
    out.extend([0; 16]);
    let data = 51 + padding as u64;
    for number in [data, inner.len() as u64, data + inner.len() as u64] {
        out.extend(number.to_le_bytes());
    }
    out.resize(out.len() + padding, 0);
    out.extend(inner);
    out
}

#[tokio::test]
async fn version_2_is_read_without_its_index() {
    let (memory, root) = tree();
    let inner = written(&memory, &[root]).await;
    for padding in [0, 1, 9_000] {
        let mut out = second(&inner, padding);
        let whole = out.len() as u64;
        out.extend(b"an index of any form");
        let (mut found, mut told) = (Memory::default(), 0);
        let done = car::import(&out[..], &mut found, &mut |bytes| {
            told += bytes;
        })
        .unwrap();
        assert_eq!((done.roots, told), (vec![root], whole));
        assert_eq!(found.blocks.len(), memory.blocks.len());
    }
    let cut = second(&inner, 3);
    let error = imported(&cut[..cut.len() - 1]).unwrap_err();
    assert!(matches!(error, CarError::Truncated { .. }), "{error}");
    let twice = second(&second(&inner, 0), 0);
    assert!(
        imported(&twice)
            .unwrap_err()
            .to_string()
            .contains("version 1")
    );
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_an_error_or_ends_between_blocks() {
    let mut memory = Memory::default();
    let (a, b) = (memory.raw(b"first"), memory.raw(b"second"));
    let root = memory.node(&[("a", a), ("b", b)], Message::new(DIRECTORY));
    let out = written(&memory, &[root]).await;
    let mut complete = Vec::new();
    for length in 0..out.len() {
        match imported(&out[..length]) {
            Ok((_, done)) => complete.push(done.blocks),
            Err(CarError::Truncated { offset, .. }) => assert_eq!(offset, length as u64),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(complete, [0, 1, 2]);
}

fn wrong(bytes: &[u8]) -> String {
    imported(bytes).unwrap_err().to_string()
}

#[tokio::test]
async fn files_that_are_wrong_are_refused_with_the_place() {
    let mut memory = Memory::default();
    let root = memory.raw(b"content");
    let out = written(&memory, &[root]).await;
    assert!(wrong(b"").contains("cut off at byte 0"));
    assert!(wrong(b"\x00").contains("at byte 0"));
    assert!(wrong(b"PK\x03\x04 a zip file").contains("cut off"));
    assert!(wrong(b"\x05hello").contains("at byte 0, the header is no map"));
    assert!(wrong(b"\x0a\xa1gversion\x03").contains("neither 1 nor 2"));
    assert!(wrong(&[0xff; 12]).contains("more than 64 bits"));
    assert!(wrong(&[&[0x81, 0x80, 0x40][..], &[0; 9]].concat()).contains("more than 1 MiB"));
    let start = out.len() - (1 + root.to_bytes().len() + 7);
    let place = format!("byte {start}");
    let mut flipped = out.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let error = wrong(&flipped);
    assert!(
        error.contains(&place) && error.contains("does not match"),
        "{error}"
    );
    let mut no_cid = out.clone();
    no_cid[start + 1] = 9;
    assert!(wrong(&no_cid).contains(&format!("{place}, a block begins with no valid CID")));
    let zero = [&out[..], &[0]].concat();
    assert!(wrong(&zero).contains("its length is 0"));
    let mut hash = out.clone();
    hash[start + 3] = 0x13;
    assert!(wrong(&hash).contains(&place));
}

#[tokio::test]
async fn a_block_of_the_largest_size_is_read_and_a_larger_one_is_not() {
    let mut memory = Memory::default();
    let largest = memory.raw(&vec![7; BLOCK_BYTES_MAX]);
    let out = written(&memory, &[largest]).await;
    assert_eq!(imported(&out).unwrap().1.bytes, BLOCK_BYTES_MAX as u64);
    let mut beyond = written(&memory, &[]).await;
    varint(
        &mut beyond,
        (largest.to_bytes().len() + BLOCK_BYTES_MAX + 1) as u64,
    );
    beyond.extend(largest.to_bytes());
    beyond.resize(beyond.len() + BLOCK_BYTES_MAX + 1, 7);
    assert!(wrong(&beyond).contains("at most"), "{}", wrong(&beyond));
    let mut huge = written(&memory, &[]).await;
    varint(&mut huge, u64::MAX);
    assert!(wrong(&huge).contains("larger than 2 MiB"));
}

#[tokio::test]
async fn an_error_of_the_reader_has_its_place() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let done = car::import(Broken, &mut Memory::default(), &mut |_| {});
    assert!(matches!(done, Err(CarError::Io { offset: 0, .. })));
}

#[tokio::test]
async fn identity_blocks_are_not_written_and_are_skipped_when_read() {
    let mut memory = Memory::default();
    let hash = cid::multihash::Multihash::<64>::wrap(0, b"inside").unwrap();
    let identity = Cid::new_v1(0x55, hash);
    let root = memory.node(&[("a", identity)], Message::new(DIRECTORY));
    let out = written(&memory, &[root]).await;
    assert_eq!(imported(&out).unwrap().1.blocks, 1);
    let mut writer = CarWriter::new(CarHeader::new_v1(vec![root]), Vec::new());
    writer.write(identity, b"inside").await.unwrap();
    let (found, done) = imported(&writer.finish().await.unwrap()).unwrap();
    assert_eq!((found.blocks.len(), done.blocks), (0, 1));
}

/// The blocks of the stream that answers a request.
async fn part(memory: &Memory, request: Request) -> Result<Vec<Cid>, CarError> {
    let root = request.root;
    let pieces: Vec<Bytes> = car::stream(memory.source(), request).try_collect().await?;
    let (found, done) = imported(&pieces.concat())?;
    assert_eq!(done.roots, [root]);
    Ok(found.put)
}

fn request(root: Cid, path: &str, scope: Scope) -> Request {
    Request {
        root,
        path: path.to_owned(),
        scope,
        range: None,
        limits: LIMITS,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scopes_of_the_gateway_give_their_blocks() {
    let (memory, root) = tree();
    let links = |cid: &Cid| peerwork_store::dag::links(&memory.block(cid)).unwrap();
    let inner = links(&root)[0];
    let (again, small) = (links(&inner)[0], links(&inner)[1]);
    let leaves = links(&again);
    let of = |path, scope| part(&memory, request(root, path, scope));
    assert_eq!(of("", Scope::Block).await.unwrap(), [root]);
    assert_eq!(of("inner", Scope::Block).await.unwrap(), [root, inner]);
    assert_eq!(of("/inner/", Scope::Entity).await.unwrap(), [root, inner]);
    let file = [&[root, inner, again][..], &leaves].concat();
    assert_eq!(of("inner/again", Scope::Entity).await.unwrap(), file);
    assert_eq!(of("inner/again", Scope::All).await.unwrap(), file);
    let all = [&file[..], &[small]].concat();
    assert_eq!(of("", Scope::All).await.unwrap(), all);
    assert_eq!(of("inner", Scope::All).await.unwrap(), all);
    let error = of("inner/missing", Scope::All).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn entity_bytes_give_the_blocks_of_the_range() {
    let (memory, root) = tree();
    let large = peerwork_store::dag::links(&memory.block(&root)).unwrap()[1];
    let leaves = peerwork_store::dag::links(&memory.block(&large)).unwrap();
    for (text, expected) in [
        ("0:*", &leaves[..]),
        ("0:0", &leaves[..1]),
        ("0:262143", &leaves[..1]),
        ("0:262144", &leaves[..2]),
        ("262144:*", &leaves[1..]),
        ("-1:*", &leaves[2..]),
        ("-600000:-337857", &leaves[..1]),
        ("5:-1", &leaves[..]),
        ("-900000:*", &leaves[..]),
        ("600000:*", &leaves[..0]),
        ("0:-700000", &leaves[..0]),
    ] {
        let range = Some(text.parse::<EntityBytes>().unwrap());
        let request = Request {
            range,
            ..request(large, "", Scope::Entity)
        };
        let found = part(&memory, request).await.unwrap();
        assert_eq!(found, [&[large], expected].concat(), "{text}");
    }
    for text in ["", "1", "*:1", "a:b", "5:4", "-4:-5", "1:2:3"] {
        assert!(text.parse::<EntityBytes>().is_err(), "{text}");
    }
    assert!("everything".parse::<Scope>().is_err());
}

#[tokio::test]
async fn a_sharded_directory_is_an_entity_with_its_shards() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..6_000 {
        std::fs::write(folder.path().join(format!("file_{at:015}")), []).unwrap();
    }
    let mut memory = Memory::default();
    let options = AddOptions {
        recursive: true,
        ..AddOptions::default()
    };
    let paths = [folder.path().to_owned()];
    let root = add(&paths, &options, &mut memory, &mut |_| {}).unwrap()[0].cid;
    let found = part(&memory, request(root, "", Scope::Entity))
        .await
        .unwrap();
    // Every block but that of the files, which are the same.
    assert_eq!(found.len(), memory.blocks.len() - 1);
    let path = "file_000000000000007";
    let found = part(&memory, request(root, path, Scope::Block))
        .await
        .unwrap();
    assert!((3..=4).contains(&found.len()), "{found:?}");
}

#[tokio::test]
async fn a_stream_ends_with_an_error_at_a_missing_block_or_a_limit() {
    let (mut memory, root) = tree();
    let limits = Limits {
        blocks: 3,
        ..LIMITS
    };
    let beyond = Request {
        limits,
        ..request(root, "", Scope::All)
    };
    let error = part(&memory, beyond).await.unwrap_err();
    assert!(error.to_string().contains("more than 3 blocks"), "{error}");
    let missing = peerwork_store::dag::links(&memory.block(&root)).unwrap()[0];
    memory.blocks.remove(&missing.hash().to_bytes());
    let error = part(&memory, request(root, "", Scope::All))
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&missing.to_string()), "{error}");
    let leaf = memory.raw(b"x");
    let lie = memory.node(&[("", leaf)], file(&[2]));
    let error = part(&memory, request(lie, "", Scope::Entity))
        .await
        .unwrap_err();
    assert!(matches!(error, CarError::Read(_)), "{error}");
}

#[tokio::test]
async fn a_codec_that_is_no_unixfs_is_an_entity_of_one_block() {
    let mut memory = Memory::default();
    let cbor = memory.bytes(0x71, Bytes::from_static(b"\xa0"));
    for scope in [Scope::Block, Scope::Entity] {
        assert_eq!(
            part(&memory, request(cbor, "", scope)).await.unwrap(),
            [cbor]
        );
    }
    assert!(part(&memory, request(cbor, "", Scope::All)).await.is_err());
}

#[tokio::test]
async fn a_large_file_streams_in_pieces_of_a_block() {
    let mut memory = Memory::default();
    let content = vec![7; 3 << 20];
    let options = AddOptions::default();
    let root = add_reader(&content[..], &options, &mut memory, &mut |_| {})
        .unwrap()
        .cid;
    let source: Arc<dyn peerwork_store::Source> = memory.source();
    let stream = car::stream(source, request(root, "", Scope::All));
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= BLOCK_BYTES_MAX));
    let whole: Block = memory.block(&root);
    assert!(pieces.contains(whole.data()));
}
