//! Runs the real program.

use std::{
    path::Path,
    process::{Command, Output},
};

/// The program without the environment variables of the test runner.
pub(crate) fn peerwork(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerwork"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PEERWORK_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(dir)
        .env("XDG_DATA_HOME", dir.join("xdg"))
        .env("XDG_STATE_HOME", dir.join("state"))
        .env("HOME", dir);
    command
}

/// The output and exit code of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output of a run that must have succeeded.
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Standard error of a run that must have failed with exit code 1 and no answer.
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program in `dir` until it ends.
pub(crate) fn run(dir: &Path, line: &str) -> Ran {
    peerwork(dir)
        .args(line.split_whitespace())
        .output()
        .unwrap()
        .into()
}
