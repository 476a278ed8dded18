//! Chores as they are started from a shell.

use std::process::{Command, Stdio};

#[test]
fn a_chore_whose_reader_has_gone_ends_as_it_does_with_one() {
    let tidy = || {
        let mut tidy = Command::new(env!("CARGO_BIN_EXE_xtask"));
        tidy.arg("tidy").stdout(Stdio::piped());
        tidy.stderr(Stdio::piped());
        tidy.spawn().expect("the program was built for this test")
    };
    let with_reader = tidy().wait_with_output();
    let with_reader = with_reader.expect("a chore that was started ends");
    let mut without = tidy();
    drop(without.stdout.take());
    let without = without
        .wait_with_output()
        .expect("a chore that was started ends");
    let said = String::from_utf8_lossy(&without.stderr);
    assert_eq!(without.status, with_reader.status, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!with_reader.stdout.is_empty(), "the chore writes something");
}
