//! The durable store at its public face.

mod basics;
mod beside;
mod crash;
pub(crate) mod full;
mod memory;
mod named;
mod names;
mod quota;
mod recovery;

use bytes::Bytes;
use cid::Version;
use peerwork_store::{Block, Config, DAG_PB, RAW, Sink, Store, Writer};

/// Progress that nobody looks at.
fn on(_progress: peerwork_store::Progress) -> bool {
    true
}

/// A store in a folder, without a reserve.
fn config(folder: &tempfile::TempDir) -> Config {
    Config {
        reserve: 0,
        ..Config::new(folder.path().join("store"))
    }
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(config(folder)).unwrap()
}

/// A raw block of `bytes` bytes that no other seed gives.
fn raw(seed: u64, bytes: usize) -> Block {
    let mut data = vec![u8::try_from(seed % 251).unwrap(); bytes.max(8)];
    data[..8].copy_from_slice(&seed.to_le_bytes());
    Block::new(Version::V1, RAW, Bytes::from(data)).unwrap()
}

/// A dag-pb node with links to these blocks.
fn parent(children: &[&Block]) -> Block {
    let mut data = Vec::new();
    for child in children {
        let cid = child.cid().to_bytes();
        let mut link = vec![0x0a, u8::try_from(cid.len()).unwrap()];
        link.extend(&cid);
        link.extend([0x12, 0x00]);
        data.push(0x12);
        data.push(u8::try_from(link.len()).unwrap());
        data.extend(link);
    }
    data.extend([0x0a, 0x02, 0x08, 0x01]);
    Block::new(Version::V1, DAG_PB, Bytes::from(data)).unwrap()
}

fn put_all(writer: &mut Writer, blocks: &[&Block]) {
    for block in blocks {
        writer.put((*block).clone()).unwrap();
    }
}
