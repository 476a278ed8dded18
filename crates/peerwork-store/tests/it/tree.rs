//! Trees of files as values: random ones, on the disk, and back.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use proptest::prelude::*;

/// A file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    File(Content),
    Link(String),
    Directory(BTreeMap<String, Tree>),
}

/// Content by its rule, so that a failing test prints few bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) size: usize,
    pub(crate) seed: u64,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of seed {}", self.size, self.seed)
    }
}

impl Content {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut state = self.seed | 1;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..self.size).map(|_| byte()).collect()
    }
}

impl Tree {
    pub(crate) fn write(&self, path: &Path) {
        match self {
            Self::File(content) => fs::write(path, content.bytes()).unwrap(),
            Self::Link(target) => symlink(target, path).unwrap(),
            Self::Directory(entries) => {
                fs::create_dir(path).unwrap();
                for (name, entry) in entries {
                    entry.write(&path.join(name));
                }
            }
        }
    }

    /// Checks that the disk has this tree, and nothing else.
    pub(crate) fn check(&self, path: &Path) {
        let kind = fs::symlink_metadata(path).unwrap().file_type();
        match self {
            Self::File(content) => {
                assert!(kind.is_file());
                assert!(fs::read(path).unwrap() == content.bytes(), "{path:?}");
            }
            Self::Link(target) => assert_eq!(fs::read_link(path).unwrap(), Path::new(target)),
            Self::Directory(entries) => {
                let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
                let names: Vec<String> = fs::read_dir(path)
                    .unwrap()
                    .map(|e| name(e.unwrap()))
                    .collect();
                assert_eq!(names.len(), entries.len(), "{path:?}");
                for (name, entry) in entries {
                    entry.check(&path.join(name));
                }
            }
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    let size = prop_oneof![
        Just(0),
        1..2_000usize,
        262_142..262_148usize,
        Just(524_288),
        1_048_574..1_048_580usize,
        Just(1_500_000),
    ];
    (size, any::<u64>()).prop_map(|(size, seed)| Content { size, seed })
}

/// A directory with entries of all kinds, whose links stay inside.
pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        4 => content().prop_map(Tree::File),
        1 => "[a-z]{1,20}(/[a-z.]{1,5}x){0,2}".prop_map(Tree::Link),
    ];
    // Names of several alphabets, of which no two are the same on any disk.
    let name = "[a-zé日本🦀 ~+-][a-z0-9 é本._-]{0,11}";
    let entries = move |entry| prop::collection::btree_map(name, entry, 0..6);
    let nested = leaf.prop_recursive(4, 40, 6, move |inner| {
        entries(inner).prop_map(Tree::Directory)
    });
    prop::collection::btree_map(name, nested, 1..6).prop_map(Tree::Directory)
}
