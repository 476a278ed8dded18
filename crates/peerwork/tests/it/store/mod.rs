//! `peerwork store …` with real processes: with a node, without one, and between nodes.

#[cfg(target_os = "linux")]
mod bar;
mod damaged;
mod failures;
mod fetching;
mod folder;
mod habits;
mod nodes;
mod serving;
mod settings;
mod strange;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    network::{Node, World},
    program::{Ran, peerwork, run},
};

/// The CID that `echo hello world | ipfs add` prints.
const HELLO_WORLD: &str = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";

/// Starts a node of a network of its own that serves its store.
fn node(world: &World, name: &str, more: &str) -> Node {
    let line = format!("node --data-dir {name} --libp2p {}:0 {more}", world.ip);
    world.start(name, &line)
}

/// Runs a command with bytes on its standard input.
fn piped(dir: &Path, line: &str, input: &[u8]) -> Output {
    let mut child = peerwork(dir)
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that fails early closes the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The standard output of a command as bytes; it must succeed.
fn bytes_of(dir: &Path, line: &str) -> Vec<u8> {
    let ran = peerwork(dir)
        .args(line.split_whitespace())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
    ran.stdout
}

/// Bytes that no compression and no chance makes equal.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes).collect()
}

/// A tree with a large file, an empty one, a hidden one, a folder and a symbolic link.
fn tree(dir: &Path) -> Vec<u8> {
    let content = noise(3 << 20, 7);
    fs::create_dir_all(dir.join("tree/sub")).unwrap();
    fs::write(dir.join("tree/large"), &content).unwrap();
    fs::write(dir.join("tree/empty"), "").unwrap();
    fs::write(dir.join("tree/.hidden"), "x").unwrap();
    fs::write(dir.join("tree/sub/hello"), "hello world\n").unwrap();
    std::os::unix::fs::symlink("sub/hello", dir.join("tree/link")).unwrap();
    content
}

/// The lines of JSON of a command that must succeed.
fn events(dir: &Path, line: &str) -> Vec<Value> {
    let printed = run(dir, line).succeeded();
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Adds a path and gives the CID of its root.
fn added(dir: &Path, line: &str) -> String {
    let printed = run(dir, &format!("store add -Q {line}")).succeeded();
    printed.trim().to_owned()
}

/// The reason of a command that must fail; its standard output does not count.
fn reason(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    &ran.stderr
}

#[test]
fn only_hash_gives_the_cids_of_ipfs_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ran = piped(dir.path(), "store add -n -", b"hello world\n");
    let ran = Ran::from(ran);
    assert_eq!(ran.stdout, format!("added {HELLO_WORLD} {HELLO_WORLD}\n"));
    assert!(ran.stderr.contains("nothing was stored"), "{ran:?}");
    let line = "store add -nQ --profile unixfs-v1-2025 -";
    let raw = Ran::from(piped(dir.path(), line, b"hello"));
    let expected = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq\n";
    assert_eq!(raw.succeeded(), expected);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_tree_goes_into_the_store_of_a_node_and_comes_out_as_it_was() {
    let world = World::new();
    let dir = world.path();
    let content = tree(dir);
    let _node = node(&world, "home", "");
    let printed = run(dir, "store add -r tree --data-dir home").succeeded();
    let lines: Vec<_> = printed.lines().collect();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap())
        .collect();
    let in_order = [
        "tree/empty",
        "tree/large",
        "tree/link",
        "tree/sub/hello",
        "tree/sub",
        "tree",
    ];
    assert_eq!(names, in_order);
    assert!(lines[3].contains(HELLO_WORLD), "{printed}");
    let root = lines[5].split(' ').nth(1).unwrap();
    // The same root as without a node.
    let hashed = run(dir, "store add -rnQ tree").succeeded();
    assert_eq!(hashed.trim(), root);

    let large = bytes_of(dir, &format!("store cat {root}/large --data-dir home"));
    assert_eq!(large, content);
    let line = format!("store cat /ipfs/{root}/large -o 1000000 -l 500000 --data-dir home");
    assert_eq!(bytes_of(dir, &line), content[1_000_000..1_500_000]);
    let listed = world.run(&format!("store ls ipfs://{root} --data-dir home"));
    let names: Vec<_> = listed
        .lines()
        .map(|line| line.split(' ').nth(2).unwrap())
        .collect();
    assert_eq!(names, ["empty", "large", "link", "sub"]);
    let stat = world.run(&format!("store stat {root}/link --data-dir home"));
    assert!(stat.contains("Kind            = symlink"), "{stat}");
    assert!(stat.contains("Target          = sub/hello"), "{stat}");
    let pins = world.run("store ls --data-dir home");
    assert_eq!(pins, format!("{root} tree\n"));

    world.run(&format!("store get {root} -o out --data-dir home"));
    assert_eq!(fs::read(dir.join("out/large")).unwrap(), content);
    assert_eq!(fs::read(dir.join("out/empty")).unwrap(), b"");
    let link = fs::read_link(dir.join("out/link")).unwrap();
    assert_eq!(link, Path::new("sub/hello"));
    assert!(!dir.join("out/.hidden").exists());
    // Nothing is overwritten unless asked.
    fs::write(dir.join("out/empty"), "mine").unwrap();
    let again = format!("store get {root} -o out --data-dir home");
    reason(&run(dir, &again));
    assert_eq!(fs::read(dir.join("out/empty")).unwrap(), b"mine");
    world.run(&format!("{again} --overwrite"));
    assert_eq!(fs::read(dir.join("out/empty")).unwrap(), b"");

    let status = world.run("status --data-dir home");
    assert!(status.contains("1 pins, not served"), "{status}");
}

#[test]
fn hidden_names_and_a_directory_around_paths_are_added_when_asked() {
    let world = World::new();
    let dir = world.path();
    tree(dir);
    let _node = node(&world, "home", "");
    let root = added(dir, "-rH tree --data-dir home");
    let listed = world.run(&format!("store ls {root} --data-dir home"));
    assert!(
        listed.lines().any(|line| line.ends_with(" .hidden")),
        "{listed}"
    );
    let line = "store add -w tree/sub/hello tree/empty --data-dir home";
    let printed = run(dir, line).succeeded();
    let root = printed.lines().last().unwrap().split(' ').nth(1).unwrap();
    let hello = bytes_of(dir, &format!("store cat {root}/hello --data-dir home"));
    assert_eq!(hello, b"hello world\n");
    assert_eq!(world.run("store ls --data-dir home").lines().count(), 2);
    let line = "store add -w tree/empty tree/empty --data-dir home";
    let ran = run(dir, line);
    assert!(reason(&ran).contains("called `empty`"), "{ran:?}");
    // A directory around paths is the one that holds them.
    fs::create_dir(dir.join("around")).unwrap();
    fs::write(dir.join("around/hello.txt"), "hello world\n").unwrap();
    let line = "store add -nwQ --stdin-name hello.txt -";
    let ran = Ran::from(piped(dir, line, b"hello world\n"));
    assert_eq!(
        ran.succeeded(),
        run(dir, "store add -rnQ around").succeeded()
    );
}

#[test]
fn json_gives_one_event_a_line_and_quiet_prints_cids() {
    let world = World::new();
    let dir = world.path();
    tree(dir);
    let _node = node(&world, "home", "");
    let all = events(dir, "store add -r tree --json --data-dir home");
    let kinds: Vec<_> = all.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, [&["added"; 6][..], &["total"]].concat());
    let (root, total) = (&all[5], &all[6]);
    assert_eq!(
        (root["path"].as_str(), root["kind"].as_str()),
        (Some("tree"), Some("directory"))
    );
    assert_eq!(total["cid"], root["cid"]);
    assert_eq!(
        (total["files"].as_u64(), total["directories"].as_u64()),
        (Some(4), Some(2))
    );
    assert_eq!(total["pinned"], true);
    let quiet = run(dir, "store add -rq tree --data-dir home");
    assert_eq!(quiet.stderr, "");
    let cids: Vec<_> = all[..6]
        .iter()
        .map(|e| e["cid"].as_str().unwrap())
        .collect();
    assert_eq!(quiet.succeeded().lines().collect::<Vec<_>>(), cids);
    let root = root["cid"].as_str().unwrap();
    let pins = events(dir, "store ls --json --data-dir home");
    assert_eq!((pins.len(), pins[0]["cid"].as_str()), (1, Some(root)));
    let entries = events(dir, &format!("store ls {root} --json --data-dir home"));
    assert_eq!(entries[1]["name"], "large");
    let stat = &events(dir, "store stat --json --data-dir home")[0];
    assert_eq!(stat["pins"], 1);
}

#[test]
fn pins_are_made_named_and_ended_and_what_nothing_keeps_is_removed() {
    let world = World::new();
    let dir = world.path();
    fs::write(dir.join("one"), noise(600_000, 1)).unwrap();
    fs::write(dir.join("two"), noise(600_000, 2)).unwrap();
    let _node = node(&world, "home", "");
    let one = added(dir, "one --pin=false --data-dir home");
    let two = added(dir, "two --name backup --data-dir home");
    assert_eq!(
        world.run("store ls --data-dir home"),
        format!("{two} backup\n")
    );
    world.run(&format!("store pin {one} --name first --data-dir home"));
    assert_eq!(world.run("store ls --data-dir home").lines().count(), 2);
    world.run("store gc --data-dir home");
    for cid in [&one, &two] {
        assert_eq!(
            bytes_of(dir, &format!("store cat {cid} --data-dir home")).len(),
            600_000
        );
    }
    let unpinned = world.run(&format!("store unpin {one} --data-dir home"));
    assert_eq!(unpinned, format!("unpinned {one}\n"));
    let ran = run(dir, &format!("store unpin {one} --data-dir home"));
    assert!(reason(&ran).contains("is not pinned"), "{ran:?}");
    let removed = world.run(&format!("store rm {two} --data-dir home"));
    assert!(
        removed.starts_with(&format!("removed {two}: ")),
        "{removed}"
    );
    world.run("store gc --data-dir home");
    for cid in [&one, &two] {
        let ran = run(dir, &format!("store cat {cid} --offline --data-dir home"));
        assert!(reason(&ran).contains("was not found"), "{ran:?}");
    }
    assert_eq!(world.run("store ls --data-dir home"), "");
}

#[test]
fn a_car_file_carries_a_tree_to_another_store() {
    let world = World::new();
    let dir = world.path();
    let content = tree(dir);
    let _home = node(&world, "home", "");
    let _other = node(&world, "other", "");
    let root = added(dir, "-r tree --data-dir home");
    world.run(&format!(
        "store export-car {root} -o tree.car --data-dir home"
    ));
    let piped_out = bytes_of(dir, &format!("store export-car {root} --data-dir home"));
    assert_eq!(piped_out, fs::read(dir.join("tree.car")).unwrap());
    // A file that is there is kept.
    let again = run(
        dir,
        &format!("store export-car {root} -o tree.car --data-dir home"),
    );
    assert!(reason(&again).contains("tree.car"), "{again:?}");
    let imported = world.run("store import-car tree.car --data-dir other");
    assert!(
        imported.starts_with(&format!("imported {root}\n")),
        "{imported}"
    );
    let large = bytes_of(
        dir,
        &format!("store cat {root}/large --offline --data-dir other"),
    );
    assert_eq!(large, content);
    assert_eq!(world.run("store ls --data-dir other"), format!("{root}\n"));
    let line = "store import-car --pin=false - --data-dir other";
    assert!(piped(dir, line, &piped_out).status.success());
    // A file with a wrong byte is refused at its place.
    let mut wrong = piped_out;
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    let ran = Ran::from(piped(dir, line, &wrong));
    assert!(reason(&ran).contains("of the CAR file"), "{ran:?}");
}
