//! The project's own chores: `cargo xtask TASK`.
//!
//! Each task is one module; this file reads the command line and calls the task's module.

mod bench;
mod ci;
mod commits;
mod compiler;
mod fuzz;
mod say;
mod setup;
mod shell;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use compiler::Compiler;

/// The command line.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the Peerwork project")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that a change must pass: fmt, commits, tidy, clippy, test
    Ci,
    /// Install the tools of the tests, run the tests, print the sum
    Test(test::Arguments),
    /// Install the tools of the tests
    Setup,
    /// Check the rules that neither rustc nor clippy knows
    Tidy(tidy::Arguments),
    /// Check the subjects of commits
    Commits,
    /// Measure the product as ratios to peers of the same run
    Bench(bench::Arguments),
    /// Repeat as often as promised what CI repeats at a tenth
    Soak(soak::Arguments),
    /// Build or run the fuzz targets (nightly compiler)
    #[command(subcommand)]
    Fuzz(fuzz::Task),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Test(arguments) => test::run(&arguments, Compiler::Rustc),
        Task::Setup => setup::install_all().map(|_tools| ()),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Commits => commits::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Fuzz(task) => fuzz::run(&task),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
