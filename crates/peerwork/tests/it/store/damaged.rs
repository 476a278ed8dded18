//! Nodes that start on a damaged store: they mend it or refuse with the file and what to do.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{added, bytes_of, node, noise, reason, tree};
use crate::{
    network::{Running, World, eventually},
    program::{Ran, peerwork, run},
};

const NODE: &str = "node --data-dir home --libp2p 127.0.0.1:0";

/// A data directory with a tree in its store.
struct Home {
    world: World,
    root: String,
    large: Vec<u8>,
}

impl Home {
    fn new() -> Self {
        let world = World::new();
        let large = tree(world.path());
        let root = added(world.path(), "-r tree --data-dir home");
        Self { world, root, large }
    }

    fn store(&self) -> PathBuf {
        self.world.path().join("home/store")
    }

    /// Changes a file of the store.
    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let path = self.store().join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Checks that a node starts with the store and has all of the tree and its pin.
    fn is_whole(&self) {
        let dir = self.world.path();
        let _node = node(&self.world, "home", "--store");
        let line = format!("store cat {}/large --offline --data-dir home", self.root);
        assert_eq!(bytes_of(dir, &line), self.large);
        let verified = self.world.run("store verify --data-dir home");
        assert!(verified.contains("nothing is damaged"), "{verified}");
        let pins = self.world.run("store ls --data-dir home");
        assert_eq!(pins, format!("{} tree\n", self.root));
    }

    /// The end of a node that must refuse to start.
    fn refuses(&self, line: &str) -> Ran {
        ended(peerwork(self.world.path()).args(line.split_whitespace()))
    }
}

/// Runs a node that must end by itself.
fn ended(command: &mut Command) -> Ran {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut process = Running(child.unwrap());
    let (stdout, stderr) = (
        process.0.stdout.take().unwrap(),
        process.0.stderr.take().unwrap(),
    );
    let status = eventually("the end of the node", || process.0.try_wait().unwrap());
    let text = |mut pipe: Box<dyn std::io::Read>| {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    };
    Ran {
        code: status.code(),
        stdout: text(Box::new(stdout)),
        stderr: text(Box::new(stderr)),
    }
}

#[test]
fn a_node_starts_on_a_damaged_segment_and_verify_names_the_block() {
    let home = Home::new();
    let dir = home.world.path();
    home.change("segments/0000000001.seg", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let _node = node(&home.world, "home", "--store");
    let line = format!("store cat {}/large --offline --data-dir home", home.root);
    let ran = peerwork(dir)
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("peerwork store verify"), "{said}");
    let ran = run(dir, "store verify --data-dir home");
    let reason = reason(&ran);
    assert!(reason.contains("1 blocks are damaged"), "{reason}");
    assert!(reason.contains("--repair"), "{reason}");
    home.world
        .run(&format!("store ls {} --data-dir home", home.root));
    // The way that the text names leads to a whole store.
    let repaired = run(dir, "store verify --repair --data-dir home");
    assert!(repaired.stdout.contains("1 were removed"), "{repaired:?}");
    assert_eq!(added(dir, "-r tree --data-dir home"), home.root);
    assert_eq!(bytes_of(dir, &line), home.large);
    home.world.run("store verify --data-dir home");
}

#[test]
fn a_node_starts_on_a_torn_tail_and_on_a_lost_or_damaged_index() {
    let home = Home::new();
    home.change("segments/0000000001.seg", |bytes| {
        let record = bytes[32..1000].to_vec();
        bytes.extend(record);
    });
    home.is_whole();
    fs::remove_file(home.store().join("index.redb")).unwrap();
    home.is_whole();
    home.change("index.redb", |bytes| bytes.truncate(5000));
    home.is_whole();
    home.change("index.redb", |bytes| bytes.fill(0x55));
    home.is_whole();
}

#[test]
fn a_node_refuses_a_damaged_list_of_pins_and_its_advice_helps() {
    let home = Home::new();
    let path = home.change("pins.log", |bytes| bytes[3] ^= 1);
    let ran = home.refuses(&format!("{NODE} --store"));
    let text = reason(&ran);
    assert!(
        text.contains("home/store/pins.log is damaged; move it away"),
        "{text}"
    );
    // A node that does not serve starts, and the command says the same.
    {
        let _node = node(&home.world, "home", "");
        let ran = run(home.world.path(), "store ls --data-dir home");
        assert!(reason(&ran).contains("pins.log is damaged"), "{ran:?}");
    }
    let ran = run(home.world.path(), "store ls --data-dir home");
    assert!(reason(&ran).contains("pins.log is damaged"), "{ran:?}");
    fs::rename(&path, home.world.path().join("pins.log")).unwrap();
    let _node = node(&home.world, "home", "--store");
    let root = &home.root;
    home.world
        .run(&format!("store pin {root} --offline --data-dir home"));
    assert_eq!(
        home.world.run("store ls --data-dir home"),
        format!("{root}\n")
    );
}

#[test]
fn a_node_refuses_a_store_of_a_newer_version_and_changes_nothing() {
    let home = Home::new();
    let path = home.change("format", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen(" 1 ", " 2 ", 1).into_bytes();
    });
    let before = fs::read(&path).unwrap();
    for line in [
        &format!("{NODE} --store"),
        "store ls --data-dir home",
        "store add tree/large --data-dir home",
    ] {
        let ran = home.refuses(line);
        let text = reason(&ran);
        let says = "has version 2 and this program reads up to 1; use a newer peerwork";
        assert!(
            text.contains("store/format") && text.contains(says),
            "{line}: {text}"
        );
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    home.change("format", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen(" 2 ", " 1 ", 1).into_bytes();
    });
    home.is_whole();
}

/// The program as a user without the rights of root, to whom no permission applies; `None` where root may not
/// give them up.
fn without_rights(dir: &Path) -> Option<Command> {
    let own = peerwork(dir);
    if !rustix::process::geteuid().is_root() {
        return Some(own);
    }
    let drop = ["--bounding-set=-dac_override,-dac_read_search", "--"];
    let may = Command::new("setpriv").args(drop).arg("true").output();
    if !may.is_ok_and(|ran| ran.status.success()) {
        let skipped = "skipped: root may not give up its rights here\n";
        let _ = std::io::stderr().write_all(skipped.as_bytes());
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(drop).arg(own.get_program()).current_dir(dir);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(command)
}

#[test]
fn a_store_whose_folder_cannot_be_written_is_refused_with_its_path() {
    let home = Home::new();
    let mode = |name: &str, mode| {
        let path = home.store().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (file, closed, open) in [
        ("pins.log", 0o400, 0o600),
        ("lock", 0o400, 0o600),
        ("", 0o000, 0o700),
    ] {
        mode(file, closed);
        for line in [
            &format!("{NODE} --store"),
            "store add tree/large --data-dir home",
        ] {
            let Some(mut command) = without_rights(home.world.path()) else {
                mode(file, open);
                return;
            };
            let ran = ended(command.args(line.split_whitespace()));
            assert_eq!(ran.code, Some(1), "{file} {line}: {ran:?}");
            let text = ran.stderr.lines().last().unwrap_or_default();
            assert!(text.contains("home/store"), "{file} {line}: {text}");
            assert!(text.contains("Permission denied"), "{file} {line}: {text}");
        }
        mode(file, open);
    }
    home.is_whole();
    // A file where the folder should be.
    fs::rename(home.store(), home.world.path().join("moved")).unwrap();
    fs::write(home.store(), noise(10, 1)).unwrap();
    let ran = home.refuses(&format!("{NODE} --store"));
    assert!(reason(&ran).contains("home/store"), "{ran:?}");
}
