//! The tests of the crates, by `cargo test`.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;

use super::outcome::{Outcome, Sum};
use crate::compiler::Compiler;
use crate::{say, setup, shell};

impl Sum {
    /// Adds the counts of `line`, when it is the last line of a test binary.
    fn add_line(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        let result = result
            .split_once(". ")
            .map_or(result, |(_verdict, counts)| counts);
        for count in result.split(';') {
            let mut words = count.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => {}
            }
        }
    }
}

/// Runs the tests that `arguments` choose, or all.
///
/// # Errors
/// When a crate does not compile, or a test binary dies.
pub(super) fn run(
    arguments: &[String],
    compiler: Compiler,
    tools: &setup::Tools,
    shown: &mut impl Write,
) -> Result<Outcome> {
    let mut command = cargo_test(arguments, compiler, tools);
    let line = shell::command_line(&command);
    say::line(format!("test: {line}"));

    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{line}`"))?;
    let stdout = child
        .stdout
        .take()
        .expect("the output was asked for as a pipe");
    let sum = stream(BufReader::new(stdout), shown)?;
    let status = child
        .wait()
        .with_context(|| format!("waiting for `{line}`"))?;

    if !status.success() && sum.failed == 0 {
        bail!(
            "`{line}` ended with {status}, and no test failed: something does not compile or a \
             test binary died; {} tests passed before that",
            sum.passed
        );
    }
    let problem = (!status.success())
        .then(|| format!("{} tests failed; run them by hand: {line}", sum.failed));
    Ok(Outcome { sum, problem })
}

/// The program `peerwork` that the tests of all crates ran.
///
/// The path comes from the same `cargo test` that built the program: `cargo build` would choose other
/// features of shared libraries, and build them all again.
///
/// # Errors
/// When the program does not compile.
pub(super) fn program(compiler: Compiler) -> Result<PathBuf> {
    let output = compiler
        .cargo(&["test", "--workspace", "--no-run", "--quiet"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("asking `cargo test --no-run` where the program is")?;
    if !output.status.success() {
        bail!("`cargo test --no-run` ended with {}", output.status);
    }
    find_program(&output.stdout).context("`cargo test` built no program `peerwork`")
}

/// Finds the program among cargo's messages about artifacts; its own unit tests have the same name.
fn find_program(messages: &[u8]) -> Option<PathBuf> {
    Message::parse_stream(messages).find_map(|message| match message.ok()? {
        Message::CompilerArtifact(artifact) => {
            let is_program = artifact.target.is_bin()
                && artifact.target.name == "peerwork"
                && !artifact.profile.test;
            artifact
                .executable
                .filter(|_| is_program)
                .map(PathBuf::from)
        }
        _ => None,
    })
}

fn cargo_test(arguments: &[String], compiler: Compiler, tools: &setup::Tools) -> Command {
    let mut command = compiler.cargo(&["test", "--no-fail-fast"]);
    if arguments.is_empty() {
        command.arg("--workspace");
    } else {
        command.args(arguments);
    }
    command
        .env("PATH", tools.path())
        .env("PEERWORK_TEST_TOOLS", tools.folder())
        .env("PEERWORK_TEST_PYTHON", tools.python())
        .env("PEERWORK_TEST_GO", setup::interop_program(tools))
        .env("PEERWORK_TEST_JS", setup::js_packages());
    if let Some(browser) = setup::browser() {
        command.env("PEERWORK_TEST_BROWSER", browser);
    }
    command
}

/// Shows the output as it comes and adds up its results.
fn stream(mut output: impl BufRead, shown: &mut impl Write) -> Result<Sum> {
    let mut sum = Sum::default();
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .context("reading the tests' output")?
        > 0
    {
        shown
            .write_all(&line)
            .context("showing the tests' output")?;
        shown.flush().context("showing the tests' output")?;
        sum.add_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_several_binaries_are_added_up() {
        let output = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1s
";
        let mut printed = Vec::new();
        let sum = stream(output.as_bytes(), &mut printed).expect("a text in memory can be read");
        assert_eq!(printed, output.as_bytes());
        assert_eq!(
            sum,
            Sum {
                passed: 13,
                failed: 2
            }
        );
    }

    #[test]
    fn a_test_that_prints_about_results_changes_nothing() {
        let mut sum = Sum::default();
        sum.add_line("the test result: ok. 3 passed; 0 failed");
        sum.add_line("test result_is_kept ... ok");
        assert_eq!(sum, Sum::default());
    }
}
