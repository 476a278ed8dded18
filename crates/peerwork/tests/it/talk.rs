//! Processes of go-libp2p and js-libp2p that talk to each other over a relay.
//!
//! The program in `tests/go` and the scripts `talk.mjs` in `tests/js` have the same commands.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use peerwork_testkit::process::Running;
use serde_json::Value;

use crate::browser_relay::script;

/// A client in Go or JavaScript: each line of its output is an observation in JSON.
pub(crate) struct Client {
    _process: Running,
    lines: BufReader<ChildStdout>,
}

impl Client {
    fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap());
        let _process = Running(child);
        Self { _process, lines }
    }

    /// Starts a command of the program in `tests/go`.
    pub(crate) fn go(arguments: &[&str]) -> Option<Self> {
        let program = std::env::var_os("PEERWORK_TEST_GO").map(PathBuf::from)?;
        assert!(
            program.is_file(),
            "{} is missing; `cargo xtask setup` builds it from tests/go, which needs Go",
            program.display()
        );
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Some(Self::of(child.unwrap()))
    }

    /// Starts the same command of the script with a client of js-libp2p 3.
    pub(crate) fn js(arguments: &[&str]) -> Option<Self> {
        script("talk.mjs", arguments).map(Self::of)
    }

    /// Starts the same command with a client of js-libp2p 1 or 2.
    pub(crate) fn old_js(version: &str, arguments: &[&str]) -> Option<Self> {
        script("old/talk.mjs", &[&[version], arguments].concat()).map(Self::of)
    }

    /// The next observation.
    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        // A client that failed has written the reason to the output of the test.
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The address by which others reach this holder of a place.
    pub(crate) fn circuit(&mut self) -> String {
        self.line()["circuit"].as_str().unwrap().to_owned()
    }

    /// Asserts that this caller reached the holder by a circuit, and that 1 MiB came back unchanged.
    pub(crate) fn echoed_by_circuit(mut self) {
        let saw = self.line();
        assert_eq!(saw["echoed"], 1 << 20, "{saw}");
        assert_eq!(saw["limited"], true, "{saw}");
        let over = saw["over"].as_str().unwrap();
        assert!(over.contains("/p2p-circuit"), "{saw}");
    }

    /// The first text that this client heard, and its author.
    pub(crate) fn heard(&mut self) -> (Value, Value) {
        let mut saw = self.line();
        (saw["heard"].take(), saw["from"].take())
    }
}
