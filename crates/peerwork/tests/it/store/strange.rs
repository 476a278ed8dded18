//! Commands on the store with strange names, targets and sources, and ends in the middle.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use super::{added, node, noise, reason};
use crate::{
    network::{Running, World, eventually},
    program::{peerwork, run},
};

/// The names in a folder that begin with a dot.
fn hidden(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("t")).unwrap();
    fs::write(dir.join("t/a\n\x1b]0;title\x07b\\"), "x").unwrap();
    std::os::unix::fs::symlink("\x1b[2J", dir.join("t/link")).unwrap();
    let printed = run(dir, "store add -r t --data-dir home").succeeded();
    assert!(printed.contains(r" t/a\n\x1b]0;title\ab\\"), "{printed}");
    let root = printed.lines().last().unwrap().split(' ').nth(1).unwrap();
    let listed = run(dir, &format!("store ls {root} --data-dir home")).succeeded();
    assert!(listed.contains(r" a\n\x1b]0;title\ab\\"), "{listed}");
    let stat = run(dir, &format!("store stat {root}/link --data-dir home")).succeeded();
    assert!(stat.contains(r"Target          = \x1b[2J"), "{stat}");
    // Programs get the names as they are.
    let line = format!("store ls {root} --json --data-dir home");
    let entry = run(dir, &line).succeeded();
    let entry: serde_json::Value = serde_json::from_str(entry.lines().next().unwrap()).unwrap();
    assert_eq!(entry["name"], "a\n\x1b]0;title\x07b\\");
    let missing = run(dir, &format!("store cat {root}/\x1b[2J --data-dir home"));
    assert!(!reason(&missing).contains('\x1b'), "{missing:?}");
}

#[test]
fn get_writes_no_standard_output_and_replaces_no_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("file"), "content").unwrap();
    let cid = added(dir, "file --data-dir home");
    let made = Command::new("mkfifo").arg(dir.join("pipe")).status();
    assert!(made.unwrap().success());
    for target in ["-", "/dev/stdout", "pipe", "pipe --overwrite"] {
        let ran = run(dir, &format!("store get {cid} -o {target} --data-dir home"));
        assert!(
            reason(&ran).contains("`peerwork store cat`"),
            "{target}: {ran:?}"
        );
    }
    assert!(!dir.join("-").exists());
    assert!(!dir.join("pipe").is_file());
}

/// A tree in the store of `home`, whose last file is missing there.
pub(super) fn tree_with_a_gap(dir: &Path) -> String {
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/a"), noise(3 << 20, 9)).unwrap();
    fs::write(dir.join("tree/b"), "what is missing").unwrap();
    let root = added(dir, "-r tree --pin=false --data-dir home");
    let missing = added(dir, "-n tree/b");
    run(dir, &format!("store rm {missing} --data-dir home")).succeeded();
    root
}

#[test]
fn get_leaves_nothing_behind_when_a_signal_ends_it_and_says_that_nothing_comes() {
    let world = World::new();
    let dir = world.path();
    let root = tree_with_a_gap(dir);
    // A daemon that takes connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
    for signal in ["INT", "TERM"] {
        let getting = peerwork(dir)
            .args(["store", "get", &root, "-o", "out", "--data-dir", "home"])
            .args(["--ipfs-api", &api])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut getting = Running(getting);
        eventually("the first file to be written", || {
            let folder = hidden(dir).pop()?;
            let file = fs::metadata(dir.join(folder).join("tree/a")).ok()?;
            (file.len() == 3 << 20).then_some(())
        });
        let mut lines = std::io::BufReader::new(getting.0.stderr.take().unwrap());
        let line = loop {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
            assert!(line.starts_with("get: "), "{line}");
            if line.contains("nothing for") {
                break line;
            }
        };
        assert!(line.contains("get: 3.0 MiB of "), "{line}");
        let pid = getting.0.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(killed.unwrap().success());
        let status = getting.0.wait().unwrap();
        assert_eq!(status.code(), Some(1), "{signal}");
        assert_eq!(hidden(dir), Vec::<String>::new(), "{signal}");
        assert!(!dir.join("out").exists());
    }
}

#[test]
fn a_folder_around_the_data_directory_is_not_added() {
    let world = World::new();
    let dir = world.path();
    fs::create_dir_all(dir.join("around/.hidden")).unwrap();
    fs::write(dir.join("around/file"), "x").unwrap();
    let _node = node(&world, "around/home", "");
    let _hidden = node(&world, "around/.hidden/home", "");
    added(dir, "around/file --data-dir around/.hidden/home");
    for line in [
        "-r around --data-dir around/home",
        "-r around/home --data-dir around/home",
        "-r file around --data-dir around/home",
        "-rH around --data-dir around/.hidden/home",
        "-r around/.hidden/home/store --data-dir around/.hidden/home",
    ] {
        let ran = run(dir, &format!("store add {line}"));
        assert!(
            reason(&ran).contains("the keys of its node"),
            "{line}: {ran:?}"
        );
        assert_eq!(ran.stdout, "", "{line}");
    }
    // Files beside it, and names that are skipped, are added.
    added(dir, "around/file --data-dir around/home");
    fs::rename(dir.join("around/.hidden"), dir.join(".hidden")).unwrap();
    run(dir, "store add -rn around").succeeded();
}

#[test]
fn links_that_lead_out_of_a_tree_are_written_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("t")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.join("t/link")).unwrap();
    let root = added(dir, "-r t --data-dir home");
    let line = format!("store get {root} -o out --data-dir home");
    let ran = run(dir, &line);
    assert!(reason(&ran).contains("--outside-links"), "{ran:?}");
    assert!(!dir.join("out").exists());
    run(dir, &format!("{line} --outside-links")).succeeded();
    let link = fs::read_link(dir.join("out/link")).unwrap();
    assert_eq!(link, Path::new("/etc/hostname"));
}

#[test]
fn a_pin_that_lacks_blocks_fails_a_verification() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("file"), noise(1 << 20, 11)).unwrap();
    let root = added(dir, "file --data-dir home");
    let segment = dir.join("home/store/segments/0000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let ran = run(dir, "store verify --data-dir home");
    assert!(reason(&ran).contains("are damaged"), "{ran:?}");
    let ran = run(dir, "store verify --repair --json --data-dir home");
    assert!(reason(&ran).contains("1 pins lack blocks"), "{ran:?}");
    let errors = ran.stderr.lines();
    let errors: Vec<serde_json::Value> = errors
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let finding = errors.iter().find(|line| line["event"] == "finding");
    assert!(finding.unwrap()["text"].is_string(), "{ran:?}");
    // Adding the file again brings the block.
    assert_eq!(added(dir, "file --data-dir home"), root);
    run(dir, "store verify --data-dir home").succeeded();
}
