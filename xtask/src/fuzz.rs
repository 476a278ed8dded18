//! `cargo xtask fuzz`: libFuzzer on the decoders that read the bytes of strangers.
//!
//! The targets are the crate in `fuzz/`; libFuzzer needs a nightly compiler and a C++ compiler.

use std::process::Command;

use anyhow::Result;

use crate::{say, shell};

/// The tasks with the fuzz targets.
#[derive(clap::Subcommand)]
pub(crate) enum Task {
    /// Build all targets
    Build,
    /// Run one target for some seconds
    Run {
        /// A file name of fuzz/fuzz_targets, without `.rs`
        target: String,
        /// The duration of the run
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
}

/// Installs the nightly compiler and cargo-fuzz where they are missing, and does `task`.
///
/// # Errors
/// When something cannot be installed, a target does not build, or a run finds a crash.
pub(crate) fn run(task: &Task) -> Result<()> {
    install()?;
    let mut command = nightly(&["fuzz"]);
    match task {
        Task::Build => command.arg("build"),
        Task::Run { target, seconds } => command
            .args(["run", target, "--"])
            .arg(format!("-max_total_time={seconds}")),
    };
    shell::run(&mut command)
}

fn install() -> Result<()> {
    if !shell::succeeds(&mut nightly(&["--version"])) {
        say::line("fuzz: installing a nightly compiler");
        shell::run(&mut shell::command(
            "rustup",
            &["toolchain", "install", "nightly", "--profile", "minimal"],
        ))?;
    }
    if !shell::succeeds(&mut nightly(&["fuzz", "--version"])) {
        say::line("fuzz: installing cargo-fuzz");
        shell::run(&mut shell::command(
            "cargo",
            &["install", "cargo-fuzz", "--locked"],
        ))?;
    }
    Ok(())
}

/// `cargo` of the nightly toolchain. `cargo +nightly` does not work below another cargo.
fn nightly(arguments: &[&str]) -> Command {
    let mut command = shell::command("rustup", &["run", "nightly", "cargo"]);
    command.args(arguments);
    command
}
