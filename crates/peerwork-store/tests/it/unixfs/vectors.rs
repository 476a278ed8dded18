//! The CIDs that four implementations of IPFS gave to the same files and directories.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cid::{Cid, Version};
use peerwork_store::{
    Block, DAG_PB,
    dag::{Node, NodeLink},
    unixfs::{AddEvent, AddOptions, Profile, add},
};
use serde_json::Value;

use crate::memory::Memory;

const VECTORS: &str = include_str!("../data/unixfs_vectors.json");

fn entries(set: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors["sets"][set]["entries"].as_array().unwrap().clone()
}

fn text<'a>(entry: &'a Value, field: &str) -> Option<&'a str> {
    entry.get(field).and_then(Value::as_str)
}

/// The content of a file, where the vectors have it or its rule.
fn content(entry: &Value) -> Option<Vec<u8>> {
    let size = entry["size"].as_u64()? as usize;
    match text(entry, "generator") {
        Some("byte[i] = i mod 251") => Some((0..size).map(|at| (at % 251) as u8).collect()),
        Some("all zero bytes") => Some(vec![0; size]),
        Some(other) => panic!("unknown rule {other}"),
        None => match text(entry, "content_hex") {
            Some(digits) => Some(hex::decode(digits).unwrap()),
            None => text(entry, "content_utf8").map(|text| text.as_bytes().to_vec()),
        },
    }
}

fn options(profile: Profile) -> AddOptions {
    AddOptions {
        profile,
        recursive: true,
        ..AddOptions::default()
    }
}

/// Adds a path and checks its root against the vector in both profiles.
fn check(path: &Path, entry: &Value) {
    let paths = [path.to_owned()];
    for (profile, field) in [
        (Profile::UnixfsV0_2015, "cid"),
        (Profile::UnixfsV1_2025, "cid_unixfs_v1_2025"),
    ] {
        let Some(cid) = text(entry, field) else {
            continue;
        };
        let mut sink = Memory::default();
        let roots = add(&paths, &options(profile), &mut sink, &mut |_| {}).unwrap();
        assert_eq!(roots[0].cid.to_string(), cid, "{} {profile}", entry["path"]);
        assert_eq!(roots[0].cid, *sink.put.last().unwrap());
        if field == "cid" {
            assert_eq!(
                Some(roots[0].size),
                entry["tsize"].as_u64(),
                "{}",
                entry["path"]
            );
        }
        if let Some(size) = entry["size"].as_u64() {
            assert_eq!(roots[0].content, size);
        }
    }
}

#[test]
fn files_get_the_cids_of_the_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut checked = 0;
    for set in [
        "seed_readme_store",
        "seed_readme_example_store",
        "synthetic_files",
        "synthetic_dirs",
    ] {
        for entry in entries(set) {
            if let Some(content) = content(&entry) {
                fs::write(&path, content).unwrap();
                check(&path, &entry);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 31);
}

#[test]
fn symbolic_links_get_the_cids_of_the_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for entry in entries("synthetic_dirs") {
        if let Some(target) = text(&entry, "target") {
            let path = folder.path().join(format!("link{checked}"));
            std::os::unix::fs::symlink(target, &path).unwrap();
            check(&path, &entry);
            checked += 1;
        }
    }
    assert_eq!(checked, 1);
}

#[test]
fn directories_get_the_cids_of_the_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for entry in entries("synthetic_dirs") {
        let count = entry["link_count"].as_u64();
        let empty = entry["links"].as_array().is_some_and(Vec::is_empty);
        let Some(count) = count.or(empty.then_some(0)) else {
            continue;
        };
        let path = folder.path().join(entry["path"].as_str().unwrap());
        fs::create_dir_all(&path).unwrap();
        for file in 0..count {
            fs::write(path.join(format!("file_{file:015}")), []).unwrap();
        }
        check(&path, &entry);
        checked += 1;
    }
    assert_eq!(checked, 4);
}

/// All entries of a set by path, with the children of a directory that the vectors give.
struct Tree {
    entries: BTreeMap<String, Value>,
}

impl Tree {
    fn load(set: &str) -> Self {
        let by_path = |entry: Value| (entry["path"].as_str().unwrap().to_owned(), entry);
        Self {
            entries: entries(set).into_iter().map(by_path).collect(),
        }
    }

    /// Whether all that is below a path can be written to a disk.
    fn is_known(&self, path: &str) -> bool {
        let Some(entry) = self.entries.get(path) else {
            return false;
        };
        match entry["links"].as_array() {
            Some(links) => links.iter().all(|link| {
                let name = link["name"].as_str().unwrap();
                self.is_known(&format!("{path}/{name}"))
            }),
            None => content(entry).is_some(),
        }
    }

    fn write(&self, path: &str, to: &Path) {
        let entry = &self.entries[path];
        match entry["links"].as_array() {
            Some(links) => {
                fs::create_dir_all(to).unwrap();
                for link in links {
                    let name = link["name"].as_str().unwrap();
                    self.write(&format!("{path}/{name}"), &to.join(name));
                }
            }
            None => fs::write(to, content(entry).unwrap()).unwrap(),
        }
    }
}

const SETS: [&str; 3] = [
    "seed_readme_store",
    "seed_readme_example_store",
    "synthetic_dirs",
];

#[test]
fn whole_trees_of_the_vectors_are_added_with_all_their_cids() {
    let mut checked = Vec::new();
    for set in SETS {
        let tree = Tree::load(set);
        for (path, entry) in &tree.entries {
            if entry["links"].as_array().is_none_or(Vec::is_empty) || !tree.is_known(path) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("root");
            tree.write(path, &root);
            check(&root, entry);
            let mut events = BTreeMap::new();
            let mut on = |event| {
                if let AddEvent::Added { cid, path, .. } = event {
                    events.insert(path, cid.to_string());
                }
            };
            let paths = [root];
            add(
                &paths,
                &options(Profile::UnixfsV0_2015),
                &mut Memory::default(),
                &mut on,
            )
            .unwrap();
            for (name, cid) in events {
                let entry = &tree.entries[&name.replacen("root", path, 1)];
                assert_eq!(Some(cid.as_str()), text(entry, "cid"));
            }
            checked.push(path.clone());
        }
    }
    assert!(
        checked.contains(&"interpreter/dummy".to_owned()),
        "{checked:?}"
    );
}

/// The directories of which the vectors have links and no contents: the nodes are made of the links.
#[test]
fn directories_of_links_get_the_cids_of_the_vectors() {
    let mut checked = 0;
    for set in SETS {
        for entry in entries(set) {
            let Some(links) = entry["links"].as_array() else {
                continue;
            };
            let link = |link: &Value| NodeLink {
                name: link["name"].as_str().unwrap().to_owned().into(),
                cid: link["cid"].as_str().unwrap().parse::<Cid>().unwrap(),
                tsize: link["tsize"].as_u64().unwrap(),
            };
            let node = Node {
                links: links.iter().map(link).collect(),
                data: Some(vec![8, 1].into()),
            };
            let block = Block::new(Version::V0, DAG_PB, node.encode()).unwrap();
            assert_eq!(Some(block.cid().to_string().as_str()), text(&entry, "cid"));
            if let Some(digits) = text(&entry, "block_hex") {
                assert_eq!(hex::encode(block.data()), digits);
            }
            let below: u64 = node.links.iter().map(|link| link.tsize).sum();
            assert_eq!(
                Some(below + block.data().len() as u64),
                entry["tsize"].as_u64()
            );
            assert_eq!(Node::decode(&block).unwrap(), node);
            checked += 1;
        }
    }
    assert_eq!(checked, 16);
}

/// The two levels of a file end at 174 leaves: 45,613,056 bytes; the CIDs are kubo's.
#[test]
fn the_levels_of_a_file_end_where_those_of_ipfs_end() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("file");
    for (size, cid) in [
        (262_145, "QmUSjGawaz4ptvREcMKSMJneWCa5j8dAz2wSAAvHtW2rnB"),
        (600_000, "QmWKdZuiD9zqoZFnLYbpV2Q5YhRCJWpqiVeYA8ygYEjcEe"),
        (45_613_056, "QmXCym15aFeWjAWyPFaAgwVmkuKB7EBsV77Skt54KmxChF"),
        (45_613_057, "QmTedsTekQQkgACJXb1sPZSW8bLdS9LPMrT7L4YdjNRd4n"),
    ] {
        fs::write(
            &path,
            (0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>(),
        )
        .unwrap();
        let paths = [path.clone()];
        let options = AddOptions::default();
        let roots = add(&paths, &options, &mut Memory::default(), &mut |_| {}).unwrap();
        assert_eq!(roots[0].cid.to_string(), cid);
    }
}
