//! The tests of `sdk/js`: Node.js and Chromium against the program that the crates' tests ran.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::outcome::{Outcome, Sum};
use super::rust;
use crate::compiler::Compiler;
use crate::{say, setup};

/// The command by which a person repeats the run.
const BY_HAND: &str = "(cd sdk/js && PEERWORK_BIN=../../target/debug/peerwork npm test)";

/// The counts that Node.js's runner closes with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    tests: u64,
    pass: u64,
    fail: u64,
    cancelled: u64,
    skipped: u64,
    todo: u64,
}

impl Counts {
    /// Reads the closing lines, `# tests 3` and so on, of a run's TAP report.
    ///
    /// The output of a test can contain such lines too, so that only the lines at the very end of the
    /// report count, and they have to add up.
    ///
    /// # Errors
    /// When the report does not end with these lines, because the runner died.
    fn read(report: &str) -> Result<Self> {
        let mut counts = Self::default();
        let lines = report.lines().rev().map(str::trim_end);
        for line in lines.skip_while(|line| line.is_empty()) {
            let mut words = line.strip_prefix("# ").unwrap_or_default().split(' ');
            let (Some(what), Some(number), None) = (words.next(), words.next(), words.next())
            else {
                break;
            };
            let count = match what {
                "tests" => &mut counts.tests,
                "pass" => &mut counts.pass,
                "fail" => &mut counts.fail,
                "cancelled" => &mut counts.cancelled,
                "skipped" => &mut counts.skipped,
                "todo" => &mut counts.todo,
                "suites" | "duration_ms" => continue,
                _ => break,
            };
            *count = number
                .parse()
                .with_context(|| format!("reading `{line}` of the report"))?;
            // The lines are read from the end, so that the first line of the sum comes last.
            if what == "tests" {
                break;
            }
        }
        let sum = counts.pass + counts.fail + counts.cancelled + counts.skipped + counts.todo;
        if counts.tests == 0 || counts.tests != sum {
            bail!("the report of the JavaScript tests does not end with their sum: {counts:?}");
        }
        Ok(counts)
    }

    fn sum(&self) -> Sum {
        Sum {
            passed: self.pass,
            failed: self.fail + self.cancelled,
        }
    }

    /// The reason why the run is no success; a test that was left out is a reason too.
    fn problem(&self) -> Option<String> {
        let left_out = self.skipped + self.todo;
        let Sum { failed, .. } = self.sum();
        (failed + left_out > 0).then(|| {
            format!("{failed} JavaScript tests failed and {left_out} were left out; run them by hand: {BY_HAND}")
        })
    }
}

/// Builds the package and runs its tests.
///
/// # Errors
/// When the program or the package does not compile, or the runner does not finish.
pub(super) fn run(tools: &setup::Tools, compiler: Compiler) -> Result<Outcome> {
    let program = rust::program(compiler)?;
    fs::create_dir_all(tools.folder()).context("making target/tools")?;
    let report = tools.folder().join("sdk-js.tap");
    // A report of an earlier run must not pass for the report of this run.
    if report.exists() {
        fs::remove_file(&report).with_context(|| format!("removing {}", report.display()))?;
    }
    say::line(format!("test: {BY_HAND}"));
    let mut command = tools.command("npm", &["test"]);
    command
        .current_dir(setup::sdk_folder())
        .env("PEERWORK_BIN", program)
        .env("PEERWORK_TEST_REPORT", &report);
    if let Some(browser) = setup::browser() {
        command.env("CHROMIUM", browser);
    }
    let status = command.status().context("starting `npm test` in sdk/js")?;
    let counts = read_report(&report)
        .with_context(|| format!("`npm test` in sdk/js ended with {status}: {BY_HAND}"))?;
    let ended = (!status.success()).then(|| format!("`npm test` ended with {status}: {BY_HAND}"));
    Ok(Outcome {
        sum: counts.sum(),
        problem: counts.problem().or(ended),
    })
}

fn read_report(path: &Path) -> Result<Counts> {
    let report = fs::read_to_string(path).context("the JavaScript tests left no report")?;
    Counts::read(&report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
TAP version 13
# Subtest: one
ok 1 - one
  ---
  duration_ms: 0.3
  ...
# pass 99
# tests 99
# Subtest: two
not ok 2 - two
1..4
# tests 4
# suites 0
# pass 2
# fail 1
# cancelled 1
# skipped 0
# todo 0
# duration_ms 99193.87203
";

    #[test]
    fn the_closing_lines_count_and_not_what_a_test_prints() {
        let counts = Counts::read(GOOD).expect("the report is whole");
        let expected = Counts {
            tests: 4,
            pass: 2,
            fail: 1,
            cancelled: 1,
            ..Counts::default()
        };
        assert_eq!(counts, expected);
        assert_eq!(
            counts.sum(),
            Sum {
                passed: 2,
                failed: 2
            }
        );
        assert!(counts.problem().is_some_and(|it| it.starts_with("2 ")));
    }

    #[test]
    fn a_test_that_was_left_out_is_no_success() {
        for (skipped, todo) in [(1, 0), (0, 1)] {
            let report =
                format!("# tests 3\n# suites 0\n# pass 2\n# skipped {skipped}\n# todo {todo}\n");
            let counts = Counts::read(&report).expect("the report is whole");
            assert_eq!(counts.sum().failed, 0);
            assert!(counts.problem().is_some(), "{report}");
        }
        let counts = Counts::read("# tests 3\n# pass 3\n").expect("the report is whole");
        assert_eq!(counts.problem(), None);
    }

    #[test]
    fn a_report_without_its_end_is_an_error() {
        let (cut, _rest) = GOOD.split_once("1..4").expect("it has a plan");
        for report in [
            "",
            "TAP version 13\n",
            cut,
            "# tests 0\n# pass 0\n",
            "# tests x\n",
        ] {
            assert!(Counts::read(report).is_err(), "{report}");
        }
        let short = GOOD.replace("# pass 2\n", "");
        assert!(Counts::read(&short).is_err(), "the counts do not add up");
    }
}
