//! `cargo xtask bench`: builds the program and the benches as they are shipped, and runs a bench.
//!
//! The benches themselves are the crate `peerwork-bench`; this file knows only how to start them.

use anyhow::{Context as _, Result};
use cargo_metadata::MetadataCommand;

use crate::{setup, shell};

/// The arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(clap::Subcommand)]
enum Bench {
    /// Calls of a web app: direct, through one proxy and two, a relay and a circuit
    Tunnel {
        /// Passed on, for instance `--seconds 2 --rounds 1`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The relay for browsers beside one of js-libp2p: reservations, circuits, gossip, memory
    Relay {
        /// Passed on, for instance `--rounds 1 --held 1000`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The content store beside hashing, copying and sendme, and beside kubo with `--kubo PROGRAM`
    Store {
        /// Passed on, for instance `--rounds 1 --file-mib 256 --kubo ~/go/bin/ipfs`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// The version of sendme that the store is measured beside.
const SENDME: &str = "0.37.1";

/// Builds and runs a bench; its table is printed.
///
/// # Errors
/// When something does not build, or the bench fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // The two packages are built apart, because one build would give the program's features to the
    // library that the bench measures with.
    for package in ["peerwork", "peerwork-bench"] {
        shell::run(&mut shell::command(
            "cargo",
            &["build", "--profile", "dist", "--package", package],
        ))?;
    }
    let metadata = MetadataCommand::new()
        .current_dir(shell::repository())
        .no_deps()
        .exec()
        .context("asking `cargo metadata` for the target folder")?;
    let folder = metadata.target_directory.join("dist");
    let mut command = shell::command(folder.join("peerwork-bench").as_str(), &[]);
    let program = folder.join("peerwork");
    match &arguments.bench {
        Bench::Tunnel { arguments } => {
            command.arg("tunnel").arg("--program").arg(program);
            command.args(arguments);
        }
        Bench::Relay { arguments } => {
            let tools = setup::install_all()?;
            command.arg("relay").arg("--program").arg(program);
            command.arg("--scripts").arg(setup::js_packages());
            command.args(arguments).env("PATH", tools.path());
        }
        Bench::Store { arguments } => {
            command.arg("store").arg("--program").arg(program);
            command.arg("--folder").arg(&metadata.target_directory);
            if !arguments.iter().any(|given| given == "--sendme") {
                let root = metadata.target_directory.join("tools/sendme");
                install_sendme(root.as_str())?;
                command.arg("--sendme").arg(root.join("bin/sendme"));
            }
            command.args(arguments);
        }
    }
    shell::run(&mut command)
}

/// Installs sendme below `root` where it is missing.
fn install_sendme(root: &str) -> Result<()> {
    let install = [
        "install",
        "sendme",
        "--version",
        SENDME,
        "--locked",
        "--no-default-features",
        "--root",
        root,
    ];
    shell::run(&mut shell::command("cargo", &install))
}
