//! The project's own chores: `cargo xtask TASK`.
//!
//! Each task is one module; this file only reads the command line and hands over.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who started it"
)]

mod bench;
mod ci;
mod fuzz;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of the Peerwork project")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that a change must pass: fmt, clippy, tidy, test
    Ci,
    /// Install what the tests need, run them, print the sum
    Test(test::Arguments),
    /// Install what the tests need
    Setup,
    /// Check the rules that neither rustc nor clippy knows
    Tidy(tidy::Arguments),
    /// Measure what the product costs, as ratios in one run
    Bench(bench::Arguments),
    /// Build or run the fuzz targets (nightly compiler)
    #[command(subcommand)]
    Fuzz(fuzz::Task),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Test(arguments) => test::run(&arguments),
        Task::Setup => setup::install_all().map(|_tools| ()),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz(task) => fuzz::run(&task),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
