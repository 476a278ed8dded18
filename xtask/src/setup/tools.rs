//! The folders in which installed tools stand.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// The folders of the installed tools.
pub(crate) struct Tools {
    pub(super) target: PathBuf,
}

impl Tools {
    pub(super) fn of_repository() -> Self {
        Self {
            target: shell::repository().join("target"),
        }
    }

    /// The folder of all tools: `PEERWORK_TEST_TOOLS` of the tests.
    pub(crate) fn folder(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The folder of the programs among them.
    pub(crate) fn bin(&self) -> PathBuf {
        self.folder().join("bin")
    }

    /// `PATH` with the tools in front.
    pub(crate) fn path(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.bin()].into_iter().chain(env::split_paths(&path));
        env::join_paths(folders).unwrap_or(path)
    }

    /// A command that finds the installed tools before those of the machine.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let inside = self.bin().join(program);
        let program = if inside.exists() {
            inside.to_string_lossy().into_owned()
        } else {
            program.to_owned()
        };
        let mut command = shell::command(&program, arguments);
        command.env("PATH", self.path());
        command
    }

    /// The Python virtual environment.
    pub(super) fn venv(&self) -> PathBuf {
        self.target.join("venv")
    }

    /// The Python interpreter that has the packages: `PEERWORK_TEST_PYTHON` of the tests.
    pub(crate) fn python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }
}

/// Whether both files exist with the same content.
pub(super) fn same_content(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
