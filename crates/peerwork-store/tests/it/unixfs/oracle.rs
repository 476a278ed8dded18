//! Random trees get the same blocks from rust-unixfs, and come back as they were.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use cid::{Cid, Version};
use multihash_codetable::Code;
use peerwork_store::{
    Block, Sink,
    unixfs::{AddOptions, ExportOptions, Profile, add, export},
};
use proptest::prelude::*;
use rust_unixfs::{
    Metadata,
    dir::builder::{BufferingTreeBuilder, TreeOptions},
    file::adder::{BalancedCollector, Chunker, FileAdder},
    symlink::symlink_block,
};

use crate::{
    memory::Memory,
    tree::{Tree, tree},
};

/// The blocks that rust-unixfs makes.
struct Oracle {
    profile: Profile,
    blocks: Memory,
    tree: BufferingTreeBuilder,
}

impl Oracle {
    fn new(profile: Profile) -> Self {
        let mut options = TreeOptions::default();
        options.block_size_limit(None);
        options.cid_version(version(profile));
        Self {
            profile,
            blocks: Memory::default(),
            tree: BufferingTreeBuilder::new(options),
        }
    }

    fn put(&mut self, cid: Cid, data: Vec<u8>) -> u64 {
        let size = data.len() as u64;
        self.blocks
            .put(Block::verify(cid, data.into()).unwrap())
            .unwrap();
        size
    }

    fn file(&mut self, content: &[u8]) -> (Cid, u64) {
        let v1 = self.profile == Profile::UnixfsV1_2025;
        let (chunk, links) = if v1 { (1 << 20, 1024) } else { (1 << 18, 174) };
        let mut adder = FileAdder::builder()
            .with_chunker(Chunker::Size(chunk))
            .with_collector(BalancedCollector::with_branching_factor(links))
            .with_cid_version(version(self.profile))
            .with_raw_leaves(v1)
            .build();
        let (mut size, mut root, mut rest) = (0, None, content);
        while !rest.is_empty() {
            let (blocks, used) = adder.push(rest);
            for (cid, data) in blocks.collect::<Vec<_>>() {
                size += self.put(cid, data);
                root = Some(cid);
            }
            rest = &rest[used..];
        }
        for (cid, data) in adder.finish().collect::<Vec<_>>() {
            size += self.put(cid, data);
            root = Some(cid);
        }
        (root.unwrap(), size)
    }

    fn entry(&mut self, path: &str, tree: &Tree) {
        let (cid, size) = match tree {
            Tree::File(content) => self.file(&content.bytes()),
            Tree::Link(target) => {
                let (metadata, version) = (Metadata::default(), version(self.profile));
                let (cid, data) = symlink_block(target, &metadata, version, Code::Sha2_256);
                (cid, self.put(cid, data))
            }
            Tree::Directory(entries) if entries.is_empty() => {
                let data = Bytes::from_static(&[0x0a, 2, 8, 1]);
                let block = Block::new(version(self.profile), 0x70, data).unwrap();
                let cid = *block.cid();
                self.blocks.put(block).unwrap();
                (cid, 4)
            }
            Tree::Directory(entries) => {
                for (name, entry) in entries {
                    self.entry(&format!("{path}/{name}"), entry);
                }
                return;
            }
        };
        self.tree.put_link(path, cid, size).unwrap();
    }

    /// The root, its size, and all blocks.
    fn build(mut self, tree: &Tree) -> (Cid, u64, Memory) {
        self.entry("root", tree);
        let mut last = None;
        for node in self.tree.build() {
            let node = node.unwrap();
            let block = Block::verify(node.cid, node.block.to_vec().into()).unwrap();
            self.blocks.put(block).unwrap();
            last = Some((node.cid, node.total_size));
        }
        let (cid, size) = last.unwrap();
        (cid, size, self.blocks)
    }
}

fn version(profile: Profile) -> Version {
    match profile {
        Profile::UnixfsV0_2015 => Version::V0,
        Profile::UnixfsV1_2025 => Version::V1,
    }
}

fn added(path: &Path, profile: Profile) -> (Cid, u64, Memory) {
    let options = AddOptions {
        profile,
        recursive: true,
        hidden: true,
        ..AddOptions::default()
    };
    let mut sink = Memory::default();
    let roots = add(&[path.to_owned()], &options, &mut sink, &mut |_| {}).unwrap();
    (roots[0].cid, roots[0].size, sink)
}

fn same(tree: &Tree, profile: Profile) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    tree.write(&path);
    let (cid, size, own) = added(&path, profile);
    let (expected, expected_size, blocks) = Oracle::new(profile).build(tree);
    assert_eq!(cid, expected, "{profile}");
    assert_eq!(size, expected_size, "{profile}");
    let keys = |memory: &Memory| -> Vec<Vec<u8>> {
        let sorted: BTreeMap<_, _> = memory.blocks.iter().collect();
        sorted.into_keys().cloned().collect()
    };
    assert_eq!(keys(&own), keys(&blocks));
    let target = folder.path().join("target");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let options = ExportOptions::default();
    let exported = export(Arc::new(blocks), cid, &target, &options, |_| {});
    runtime.block_on(exported).unwrap();
    tree.check(&target);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: u32::try_from(peerwork_testkit::repetitions(40)).unwrap(), ..ProptestConfig::default() })]

    #[test]
    fn random_trees_get_the_blocks_of_rust_unixfs_and_come_back(tree in tree()) {
        for profile in Profile::ALL {
            same(&tree, profile);
        }
    }
}

#[test]
fn a_sharded_directory_gets_the_blocks_of_rust_unixfs() {
    let empty = crate::tree::Content { size: 0, seed: 0 };
    // Names of one letter to many, so that shards of several depths have names beside shards.
    let name = |at: usize| format!("{:x}{}", at * 7919, "é".repeat(at % 30));
    let entries = (0..6_500).map(|at| (name(at), Tree::File(empty)));
    let tree = Tree::Directory(entries.collect());
    for profile in Profile::ALL {
        same(&tree, profile);
    }
}
