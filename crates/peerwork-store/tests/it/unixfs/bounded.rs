//! The memory of adding, measured in a process of its own.

use std::{
    io::{self, Read},
    process::Command,
};

use peerwork_store::{
    Block, Sink, StoreError,
    unixfs::{AddOptions, Profile, add, add_reader},
};
use peerwork_testkit::repetitions;

/// 10 GiB, and a tenth of them unless all repetitions are wanted.
const BYTES: usize = 10 << 30;
const FILES: usize = 100_000;
/// The bound of the whole process, in KiB.
const MEMORY_KIB_MAX: u64 = 100 << 10;

/// Keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn put(&mut self, _: Block) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn adding_takes_bounded_memory() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "unixfs::bounded::add_much",
        "--ignored",
        "--nocapture",
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

/// Adds a large file and a large directory, and looks at the largest memory that this process ever had.
#[test]
#[ignore = "adding_takes_bounded_memory runs it in a process of its own"]
fn add_much() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..repetitions(FILES) {
        let name = format!("a file with a name of some length {file}");
        std::fs::write(folder.path().join(name), file.to_string()).unwrap();
    }
    for profile in Profile::ALL {
        let options = AddOptions {
            profile,
            recursive: true,
            ..AddOptions::default()
        };
        let content = io::repeat(7).take(repetitions(BYTES) as u64);
        let root = add_reader(content, &options, &mut Nothing, &mut |_| {}).unwrap();
        assert_eq!(root.content, repetitions(BYTES) as u64);
        let paths = [folder.path().to_owned()];
        add(&paths, &options, &mut Nothing, &mut |_| {}).unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < MEMORY_KIB_MAX, "{kib} KiB");
}
