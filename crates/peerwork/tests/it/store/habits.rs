//! Commands of people who know `ipfs`: they work, or the error names the command here.

use std::fs;

use super::{HELLO_WORLD, added, piped, reason};
use crate::program::{Ran, run};

#[test]
fn a_command_or_flag_of_ipfs_is_answered_with_the_one_here() {
    let dir = tempfile::tempdir().unwrap();
    for (line, way) in [
        ("pin ls", "`peerwork store ls`"),
        ("pin ls --type=recursive", "`peerwork store ls`"),
        (
            &format!("pin add {HELLO_WORLD}"),
            "`peerwork store pin CID`",
        ),
        (
            &format!("pin rm {HELLO_WORLD}"),
            "`peerwork store unpin CID`",
        ),
        (
            &format!("--data-dir home dag export {HELLO_WORLD}"),
            "`peerwork store export-car",
        ),
        ("dag import file.car", "`peerwork store import-car FILE`"),
        ("repo gc", "`peerwork store gc`"),
        ("repo stat", "`peerwork store stat`"),
        (
            &format!("block stat {HELLO_WORLD}"),
            "`peerwork store stat CID`",
        ),
        (&format!("block get {HELLO_WORLD}"), "?format=raw"),
        ("daemon", "`peerwork node --store`"),
        ("add --cid-version=1 x", "--profile unixfs-v1-2025"),
        ("add --pin-name x x", "--name TEXT"),
        (
            &format!("pin --recursive=false {HELLO_WORLD}"),
            "all that is below",
        ),
        (&format!("get -C {HELLO_WORLD}"), "export-car"),
        (&format!("ls --enc=json {HELLO_WORLD}"), "--json"),
    ] {
        let ran = run(dir.path(), &format!("store {line}"));
        let text = reason(&ran);
        assert!(
            text.contains("  tip: ") && text.contains(way),
            "{line}: {text}"
        );
        assert!(text.starts_with("error: "), "{text}");
        let json = run(dir.path(), &format!("--json store {line}"));
        assert!(reason(&json).contains(" tip: "), "{line}: {json:?}");
    }
    // A mistake in a command of here is answered as before.
    let ran = run(dir.path(), "store gett");
    let text = reason(&ran);
    assert!(text.contains("'get'") && !text.contains("ipfs"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_pipe_is_added_without_being_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let ran = Ran::from(piped(dir, "store add --data-dir home", b"hello world\n"));
    let printed = ran.succeeded();
    assert_eq!(printed, format!("added {HELLO_WORLD} {HELLO_WORLD}\n"));
    let ran = piped(
        dir,
        "store add -Q --pin=false --data-dir home",
        b"hello world\n",
    );
    assert_eq!(Ran::from(ran).succeeded(), format!("{HELLO_WORLD}\n"));
    let ran = Ran::from(piped(dir, "store add -w --data-dir home", b"hello world\n"));
    assert!(reason(&ran).contains("--stdin-name"), "{ran:?}");
}

#[test]
fn errors_and_answers_name_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("t")).unwrap();
    fs::write(dir.join("t/file"), "hello world\n").unwrap();
    let root = added(dir, "-r t --data-dir home");
    let ran = run(dir, &format!("store get {root} -o t --data-dir home"));
    let text = reason(&ran);
    assert!(
        text.contains("-o PATH") && text.contains("--overwrite"),
        "{text}"
    );
    let ran = run(dir, &format!("store unpin {HELLO_WORLD} --data-dir home"));
    let text = reason(&ran);
    assert!(
        text.contains("is not pinned itself") && text.contains("`peerwork store ls`"),
        "{text}"
    );
    let removed = run(dir, &format!("store rm {HELLO_WORLD} --data-dir home")).succeeded();
    assert!(
        removed.contains("0 blocks") && removed.contains("other pins keep them"),
        "{removed}"
    );
    let listed = run(dir, &format!("store ls {HELLO_WORLD} --data-dir home")).succeeded();
    assert_eq!(listed, format!("{HELLO_WORLD} 20\n"));
    let helps = run(dir, "store --help").succeeded();
    assert!(
        helps.contains("Examples:\n  peerwork store add -r"),
        "{helps}"
    );
}
