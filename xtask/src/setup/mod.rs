//! The tools that the tests need besides Rust: how to find each, and how to install it.
//!
//! [`NEEDS`] is the whole list: a test that needs another tool adds a line there.
//! System packages come from apt; everything else goes below `target/` and leaves the machine alone.

mod apt;
mod go;
mod node;
mod python;
mod tools;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use go::interop_program;
pub(crate) use node::{packages_folder as js_packages, sdk_folder};
pub(crate) use tools::Tools;

use crate::{say, shell};

/// A tool, package or library that tests need.
struct Need {
    what: &'static str,
    /// The tests that need it, so that a line whose tests are gone can go too.
    used_by: &'static str,
    present: fn(&Tools) -> bool,
    install: Install,
}

/// The source of a missing tool.
enum Install {
    /// Packages of Debian and its children.
    Apt(&'static [&'static str]),
    /// A function of its own, called after the system packages are installed.
    Step(fn(&Tools) -> Result<()>),
}

const NEEDS: &[Need] = &[
    Need {
        what: "curl",
        used_by: "the README flow: calls through a relay",
        present: |_tools| shell::find_program("curl").is_some(),
        install: Install::Apt(&["curl"]),
    },
    Need {
        what: "ssh",
        used_by: "`peerwork forward`: a session through it",
        present: |_tools| shell::find_program("ssh").is_some(),
        install: Install::Apt(&["openssh-client"]),
    },
    Need {
        what: "sshd",
        used_by: "`peerwork forward`: a session through it",
        present: |_tools| shell::find_program("sshd").is_some(),
        install: Install::Apt(&["openssh-server"]),
    },
    Need {
        what: "ip",
        used_by: "machines of tests, which are network namespaces: nodes of one local network",
        present: |_tools| !cfg!(target_os = "linux") || shell::find_program("ip").is_some(),
        install: Install::Apt(&["iproute2"]),
    },
    Need {
        what: "a browser (chromium)",
        used_by: "the README flow, the live page of a relay, and the pages of sdk/js",
        present: |_tools| browser().is_some(),
        install: Install::Apt(&["chromium"]),
    },
    Need {
        what: "python3 with venv",
        used_by: "the Python packages, Go and Node.js where the machine has none",
        present: |_tools| python::can_make_venv(),
        install: Install::Apt(&["python3", "python3-venv"]),
    },
    Need {
        what: "the Python packages of xtask/requirements.txt",
        used_by: "clients and apps that nobody here wrote: node events, calls, gRPC, path prefixes",
        present: python::packages_are_current,
        install: Install::Step(python::install_packages),
    },
    Need {
        what: "grpcurl",
        used_by: "operator gRPC: reflection and health as another implementation sees them",
        present: go::grpcurl_is_current,
        install: Install::Step(go::install_grpcurl),
    },
    Need {
        what: "the program of tests/go",
        used_by: "go-libp2p hosts that meet our nodes and js-libp2p over our relay",
        present: go::interop_is_current,
        install: Install::Step(go::install_interop),
    },
    Need {
        what: "Node.js 20 or newer, with npm",
        used_by: "js-libp2p nodes that meet over our relay",
        present: node::is_recent,
        install: Install::Step(node::install),
    },
    Need {
        what: "the Node.js packages of tests/js",
        used_by: "js-libp2p nodes that meet over our relay",
        present: node::packages_are_current,
        install: Install::Step(node::install_packages),
    },
    Need {
        what: "the Node.js packages of tests/js/old",
        used_by: "clients of js-libp2p 1 and 2 that meet over our relay",
        present: node::old_packages_are_current,
        install: Install::Step(node::install_old_packages),
    },
    Need {
        what: "the Node.js packages of sdk/js",
        used_by: "the tests of sdk/js",
        present: node::sdk_packages_are_current,
        install: Install::Step(node::install_sdk_packages),
    },
];

/// The browser of the tests, `PEERWORK_TEST_BROWSER`, under any of its names.
pub(crate) fn browser() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(shell::find_program)
}

/// Installs every missing tool of [`NEEDS`].
///
/// # Errors
/// When a missing tool cannot be installed; the message names the steps for doing so by hand.
pub(crate) fn install_all() -> Result<Tools> {
    let tools = Tools::of_repository();
    let missing: Vec<&Need> = NEEDS
        .iter()
        .filter(|need| !(need.present)(&tools))
        .collect();
    if missing.is_empty() {
        return Ok(tools);
    }
    for need in &missing {
        say::line(format!(
            "setup: missing {}, needed by {}",
            need.what, need.used_by
        ));
    }
    apt::install(&packages(&missing))?;
    for need in &missing {
        if let Install::Step(step) = need.install {
            say::line(format!("setup: installing {}", need.what));
            step(&tools)?;
        }
    }
    let still: Vec<&str> = missing
        .iter()
        .filter(|need| !(need.present)(&tools))
        .map(|need| need.what)
        .collect();
    if !still.is_empty() {
        bail!(
            "installed without an error and still not found: {}",
            still.join(", ")
        );
    }
    Ok(tools)
}

/// The system packages of all that is missing.
fn packages(missing: &[&Need]) -> Vec<&'static str> {
    missing
        .iter()
        .filter_map(|need| match need.install {
            Install::Apt(packages) => Some(packages),
            Install::Step(_) => None,
        })
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_is_listed_once() {
        let mut names: Vec<&str> = NEEDS.iter().map(|need| need.what).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn system_packages_are_asked_for_together_and_steps_are_not_among_them() {
        let all: Vec<&Need> = NEEDS.iter().collect();
        let packages = packages(&all);
        assert!(packages.contains(&"curl") && packages.contains(&"python3-venv"));
        assert!(!packages.contains(&"grpcurl"));
    }
}
