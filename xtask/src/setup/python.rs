//! Python packages, in a virtual environment below `target/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::tools::{Tools, same_content};
use crate::shell;

/// Whether this machine's Python can make virtual environments; Debian packs that apart.
pub(super) fn can_make_venv() -> bool {
    shell::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

/// Whether the environment holds the packages of the requirements file.
pub(super) fn packages_are_current(tools: &Tools) -> bool {
    tools.python().exists() && same_content(&requirements(), &installed_mark(tools))
}

/// Makes the environment when there is none, and installs the pinned packages into it.
pub(super) fn install_packages(tools: &Tools) -> Result<()> {
    let requirements = requirements();
    pip_install(tools, &["--requirement", &requirements.to_string_lossy()])?;
    fs::copy(&requirements, installed_mark(tools))
        .context("noting in target/venv which packages it holds")?;
    Ok(())
}

/// Installs one package at one version, written `name==version`.
pub(super) fn install_package(tools: &Tools, package: &str) -> Result<()> {
    pip_install(tools, &[package])
}

fn pip_install(tools: &Tools, what: &[&str]) -> Result<()> {
    if !tools.python().exists() {
        let venv = tools.venv();
        shell::run(&mut shell::command(
            "python3",
            &["-m", "venv", &venv.to_string_lossy()],
        ))?;
    }
    let python = tools.python();
    let mut command = shell::command(
        &python.to_string_lossy(),
        &["-m", "pip", "install", "--quiet"],
    );
    shell::run(command.arg("--disable-pip-version-check").args(what))
}

fn requirements() -> PathBuf {
    shell::repository().join("xtask/requirements.txt")
}

/// A copy of the requirements as they were when the environment was filled.
fn installed_mark(tools: &Tools) -> PathBuf {
    tools.venv().join("installed-requirements.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_requirements_file_makes_the_environment_stale() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tools = Tools {
            target: folder.path().to_path_buf(),
        };
        assert!(!packages_are_current(&tools), "nothing is installed");

        fs::create_dir_all(tools.venv().join("bin")).expect("a folder can be made");
        fs::write(tools.python(), "").expect("a file can be written");
        fs::copy(requirements(), installed_mark(&tools)).expect("the requirements can be copied");
        assert!(packages_are_current(&tools));

        fs::write(installed_mark(&tools), "websockets==1.0\n").expect("a file can be written");
        assert!(!packages_are_current(&tools));
    }
}
