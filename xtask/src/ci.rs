//! `cargo xtask ci`: the phases that every change passes, cheapest first.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::compiler::Compiler;
use crate::{commits, say, shell, test, tidy};

/// One phase: its name, its function, and the command by which a person runs it alone.
struct Phase {
    name: &'static str,
    by_hand: &'static str,
    run: fn() -> Result<()>,
}

const PHASES: &[Phase] = &[
    Phase {
        name: "fmt",
        by_hand: "cargo fmt --all --check",
        run: || shell::run(&mut shell::command("cargo", &["fmt", "--all", "--check"])),
    },
    Phase {
        name: "commits",
        by_hand: "cargo xtask commits",
        run: commits::run,
    },
    Phase {
        name: "tidy",
        by_hand: "cargo xtask tidy",
        run: || tidy::run(&tidy::Arguments::default()),
    },
    // The tests run the binaries that this phase builds: no crate is compiled for lints alone.
    Phase {
        name: "clippy",
        by_hand: "cargo clippy --workspace --all-targets -- -D warnings",
        run: || {
            let arguments = ["build", "--workspace", "--all-targets"];
            shell::run(&mut Compiler::Clippy.cargo(&arguments))
        },
    },
    Phase {
        name: "test",
        by_hand: "cargo xtask test",
        run: || test::run(&test::Arguments::default(), Compiler::Clippy),
    },
];

/// Runs the phases in order and stops at the first that fails.
///
/// # Errors
/// When a phase fails; the message names it and the command to run by hand.
pub(crate) fn run() -> Result<()> {
    run_phases(PHASES)
}

fn run_phases(phases: &[Phase]) -> Result<()> {
    let mut passed = Vec::new();
    for phase in phases {
        say::line(format!("ci: {} …", phase.name));
        let start = Instant::now();
        let result = (phase.run)();
        let took = start.elapsed();
        say::line(format!("ci: {} took {}", phase.name, seconds(took)));
        if let Err(error) = result {
            print_summary(&passed, Some((phase.name, took)));
            bail!(
                "phase `{}` failed: {error:#}\nrun it by hand: {}",
                phase.name,
                phase.by_hand
            );
        }
        passed.push((phase.name, took));
    }
    print_summary(&passed, None);
    Ok(())
}

fn print_summary(passed: &[(&str, Duration)], failed: Option<(&str, Duration)>) {
    say::line("\nci summary");
    for (name, took) in passed {
        say::line(format!("  passed  {name:<8}{:>10}", seconds(*took)));
    }
    if let Some((name, took)) = failed {
        say::line(format!("  FAILED  {name:<8}{:>10}", seconds(took)));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failing_phase_ends_the_run_and_says_how_to_repeat_it() {
        let phases = [
            Phase {
                name: "good",
                by_hand: "good",
                run: || Ok(()),
            },
            Phase {
                name: "bad",
                by_hand: "make bad",
                run: || bail!("it broke"),
            },
            Phase {
                name: "later",
                by_hand: "later",
                run: || panic!("a phase ran after a failure"),
            },
        ];
        let error = run_phases(&phases).expect_err("the second phase fails");
        assert_eq!(
            error.to_string(),
            "phase `bad` failed: it broke\nrun it by hand: make bad"
        );
    }

    #[test]
    fn phases_that_all_pass_are_a_success() {
        let phases = [Phase {
            name: "good",
            by_hand: "good",
            run: || Ok(()),
        }];
        assert!(run_phases(&phases).is_ok());
    }
}
