//! Errors and findings name blocks by the CIDs that their owner knows.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use cid::{Cid, Version};
use peerwork_store::{Block, BlockName, DAG_PB, Repair, Sink as _, Store, StoreError};
use tempfile::TempDir;

use super::{on, open, parent, raw};

/// Changes the first byte of a block's data in its segment.
fn damage(folder: &TempDir, block: &Block) {
    let path = folder.path().join("store/segments/0000000001.seg");
    let bytes = fs::read(&path).unwrap();
    let data = block.data();
    let at = bytes.windows(data.len()).position(|part| part == &data[..]);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[data[0] ^ 0x55], at.unwrap() as u64)
        .unwrap();
}

fn put(store: &Store, blocks: &[&Block]) {
    let mut writer = store.writer();
    for block in blocks {
        writer.put((*block).clone()).unwrap();
    }
    writer.commit().unwrap();
}

#[test]
fn a_damaged_node_is_named_by_the_cid_by_which_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let leaf = raw(1, 3_000);
    let inner = parent(&[&leaf]);
    let of_version_0 = Cid::new_v0(*inner.cid().hash()).unwrap();
    let root = parent(&[&inner]);
    let store = open(&folder);
    put(&store, &[&leaf, &inner, &root]);
    drop(store);
    damage(&folder, &inner);
    let store = open(&folder);
    for asked in [*inner.cid(), of_version_0] {
        let error = store.get(&asked).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { cid, .. } if *cid == asked));
        assert!(error.to_string().contains(&asked.to_string()), "{error}");
    }
    let error = store.pin(root.cid(), "").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&inner.cid().to_string()), "{text}");
}

#[test]
fn a_verification_names_damaged_blocks_as_pins_do_and_others_by_their_hash() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, loose) = (raw(1, 3_000), raw(2, 3_000), raw(3, 3_000));
    let inner = parent(&[&first, &second]);
    let old = Block::new(Version::V0, DAG_PB, parent(&[&first]).data().clone()).unwrap();
    let root = parent(&[&inner, &second]);
    let store = open(&folder);
    put(&store, &[&first, &second, &loose, &inner, &old, &root]);
    store.pin(root.cid(), "").unwrap();
    store.pin(old.cid(), "").unwrap();
    drop(store);
    for block in [&inner, &second, &loose, &old] {
        damage(&folder, block);
    }
    let store = open(&folder);
    let report = store.verify(Repair::No, &mut on).unwrap().unwrap();
    let hash = *loose.cid().hash();
    let expected = [
        BlockName::Cid(*inner.cid()),
        BlockName::Cid(*second.cid()),
        BlockName::Cid(*old.cid()),
        BlockName::Hash(hash),
    ];
    assert_eq!(report.damaged.len(), expected.len());
    for name in expected {
        assert!(report.damaged.contains(&name), "{name} in {report:?}");
    }
    let text = BlockName::Hash(hash).to_string();
    let of_version_0 = Cid::new_v0(hash).unwrap();
    assert_eq!(text, format!("with the multihash {of_version_0}"));
    assert_eq!(report.broken_pins_total, 2);
}
