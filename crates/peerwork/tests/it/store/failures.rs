//! Commands on the store that end early: a node that dies, Ctrl-C, a closed pipe, wrong arguments.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
};

use super::{HELLO_WORLD, added, node, noise, reason};
use crate::{
    network::{Running, World, eventually},
    program::{peerwork, run},
};

/// A command that reads its standard input.
struct Piped {
    process: Running,
    input: std::process::ChildStdin,
}

/// Begins to add bytes that go on until the input is closed.
fn adding(world: &World, more: &str) -> Piped {
    let mut process = peerwork(world.path())
        .args(["store", "add", "-", "--json"])
        .args(more.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(&noise(20 << 20, 5)).unwrap();
    Piped {
        process: Running(process),
        input,
    }
}

/// Waits until the node has blocks.
fn has_blocks(world: &World) {
    eventually("blocks of the command in the store", || {
        let stat = run(world.path(), "store stat --json --data-dir home").succeeded();
        let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
        (stat["blocks"].as_u64() > Some(10)).then_some(())
    });
}

/// The end of a command: its exit code and standard error.
fn ended(mut piped: Piped) -> (Option<i32>, String) {
    let mut stderr = piped.process.0.stderr.take().unwrap();
    let mut text = String::new();
    // The input stays open: the command ends by itself.
    stderr.read_to_string(&mut text).unwrap();
    let status = piped.process.0.wait().unwrap();
    drop(piped.input);
    (status.code(), text)
}

#[test]
fn a_node_that_dies_during_a_command_is_an_error_and_nothing_is_acknowledged() {
    let world = World::new();
    let mut node = node(&world, "home", "");
    let kept = {
        fs::write(world.path().join("file"), "hello world\n").unwrap();
        added(world.path(), "file --data-dir home")
    };
    assert_eq!(kept, HELLO_WORLD);
    let mut piped = adding(&world, "--data-dir home");
    has_blocks(&world);
    node.process.kill();
    // Further input reaches no store.
    let _ = piped.input.write_all(&noise(20 << 20, 6));
    let (code, stderr) = ended(piped);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the node ended the connection"), "{stderr}");
    let pins = world.run("store ls --data-dir home");
    assert_eq!(pins, format!("{HELLO_WORLD} file\n"));
}

#[test]
fn an_interrupt_ends_a_command_which_says_what_was_kept() {
    let world = World::new();
    let _node = node(&world, "home", "");
    let piped = adding(&world, "--data-dir home");
    has_blocks(&world);
    let pid = piped.process.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(killed.unwrap().success());
    let (code, stderr) = ended(piped);
    assert_eq!(code, Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(
        last.contains("ended by a signal: interrupt; nothing was pinned"),
        "{stderr}"
    );
    assert_eq!(world.run("store ls --data-dir home"), "");
}

#[test]
fn a_reader_that_closes_the_pipe_ends_cat_quietly() {
    let world = World::new();
    let _node = node(&world, "home", "");
    fs::write(world.path().join("file"), noise(8 << 20, 8)).unwrap();
    let cid = added(world.path(), "file --data-dir home");
    let mut cat = peerwork(world.path())
        .args(["store", "cat", &cid, "--data-dir", "home"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut head = [0; 1000];
    cat.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let ran = cat.wait_with_output().unwrap();
    assert_eq!(
        (ran.status.code(), ran.stderr.as_slice()),
        (Some(0), &b""[..]),
        "{ran:?}"
    );
}

#[test]
fn wrong_arguments_are_answered_with_the_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(1025);
    for (line, text) in [
        ("store cat hello", "`hello` is no CID"),
        ("store cat /ipns/example.org", "IPNS"),
        (&format!("store pin {HELLO_WORLD}/path"), "by its CID alone"),
        ("store add nothing-there", "nothing-there"),
        ("store add .", "add -r"),
        ("store add - -", "is added alone"),
        ("store add -w -", "--stdin-name"),
        (&format!("store add . --name {long}"), "at most 1024 bytes"),
        ("store add . --profile fast", "fast"),
        ("store ls --store-max 10XB", "10GB"),
        ("store import-car nothing-there", "nothing-there"),
        (
            &format!("store cat {HELLO_WORLD} --ipfs-api nonsense"),
            "/ip4/127.0.0.1",
        ),
    ] {
        let ran = run(dir.path(), line);
        let reason = reason(&ran);
        assert!(reason.contains(text), "{line}: {reason}");
    }
}

#[test]
fn progress_is_plain_lines_or_events_where_there_is_no_terminal() {
    let world = World::new();
    let _node = node(&world, "home", "");
    for (more, text) in [("", "add: 20.0 MiB"), ("--json", "\"task\":\"add\"")] {
        let mut command = peerwork(world.path());
        command.args(["store", "add", "-", "--data-dir", "home"]);
        let mut process = command
            .args(more.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = process.stdin.take().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let mut process = Running(process);
        input.write_all(&noise(20 << 20, 5)).unwrap();
        let writing = std::thread::spawn(move || {
            // The lines come as long as bytes do.
            while input.write_all(&[7; 4096]).is_ok() {
                std::thread::yield_now();
            }
        });
        let line = stderr.lines().map(Result::unwrap).next().unwrap();
        let shown = line.contains(text) || (more.is_empty() && line.starts_with("add: "));
        assert!(shown, "{line}");
        process.kill();
        writing.join().unwrap();
    }
}
