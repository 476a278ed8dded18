//! `cargo xtask test`: installs the tools of the tests, runs the tests, adds up the results.

mod outcome;
mod rust;
mod sdk;

use std::io;

use anyhow::{Result, bail};

use crate::compiler::Compiler;
use crate::{say, setup};
use outcome::Sum;

/// The arguments of `cargo xtask test`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Passed to `cargo test` in place of `--workspace`, for instance `-p peerwork-net`; the tests of
    /// `sdk/js` run only without arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_arguments: Vec<String>,
}

/// Runs the unit, integration and documentation tests of all crates, and those of `sdk/js`; the last
/// line printed is the sum.
///
/// # Errors
/// When a tool cannot be installed, something does not compile, or a test fails or is left out.
pub(crate) fn run(arguments: &Arguments, compiler: Compiler) -> Result<()> {
    let tools = setup::install_all()?;
    let mut outcomes = vec![rust::run(
        &arguments.cargo_arguments,
        compiler,
        &tools,
        &mut io::stdout(),
    )?];
    if arguments.cargo_arguments.is_empty() {
        outcomes.push(sdk::run(&tools, compiler)?);
    }
    let sum = outcomes.iter().fold(Sum::default(), |sum, outcome| Sum {
        passed: sum.passed + outcome.sum.passed,
        failed: sum.failed + outcome.sum.failed,
    });
    say::line(format!("\n{} passed, {} failed", sum.passed, sum.failed));
    let problems: Vec<String> = outcomes.into_iter().filter_map(|it| it.problem).collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}
