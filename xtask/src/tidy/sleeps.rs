//! Finds tests that wait for time to pass, by any function.
//!
//! A deadline around a condition is no sleep: it ends when the condition holds.

use std::ops::Range;

use super::finding::{Finding, Rule};
use super::project::Project;
use super::rust_source::{end_of_group, words};

const RULE: Rule = Rule {
    name: "sleep-in-test",
    why: "a sleep is too long on a fast machine and too short on a busy one",
    mend: "wait for the condition with a deadline (peerwork-testkit), or pause tokio's clock",
};

/// Functions that end only because a time is over.
const SLEEPS: &[&str] = &[
    "sleep",
    "sleep_ms",
    "sleep_until",
    "park_timeout",
    "park_timeout_ms",
    "interval",
    "interval_at",
];

/// Functions that end with a condition or because a time is over.
const DEADLINES: &[&str] = &[
    "timeout",
    "timeout_at",
    "recv_timeout",
    "recv_deadline",
    "wait_timeout",
];

/// Deadlines that block a thread, which tokio's paused clock cannot shorten.
const BLOCKING: &[&str] = &["recv_timeout", "recv_deadline", "wait_timeout"];

/// Futures that never end: a deadline around them is a sleep.
const ENDLESS: &[&str] = &["pending()", "pending::<"];

/// Methods that want a deadline to pass: they fail when the condition holds in time.
const WANTS_THE_END: &[&str] = &[".is_err()", ".unwrap_err()", ".expect_err(", ".ok();"];

/// Finds the sleeps of test code.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in project.rust_files() {
        let mut lines: Vec<usize> = sleeps(&rust.code)
            .chain(deadlines_as_sleeps(&rust.code))
            .map(|offset| rust.line(offset))
            .filter(|line| rust.is_test(*line))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        let finding = |line| Finding::new(&RULE, &file.path, line, "sleeps");
        findings.extend(lines.into_iter().map(finding));
    }
    findings
}

/// The offsets of calls of [`SLEEPS`] as functions; a method of that name is something else.
fn sleeps(code: &str) -> impl Iterator<Item = usize> {
    SLEEPS
        .iter()
        .flat_map(|name| calls(code, name))
        .map(|call| call.start)
        .filter(|offset| {
            let before = code[..*offset].trim_end();
            !before.ends_with('.') && !before.ends_with("fn")
        })
}

/// The offsets of deadlines that nothing but the end of their time can end.
fn deadlines_as_sleeps(code: &str) -> impl Iterator<Item = usize> {
    DEADLINES.iter().flat_map(move |name| {
        calls(code, name)
            .filter(move |call| {
                let is_endless = ENDLESS.iter().any(|it| code[call.clone()].contains(it));
                is_endless || (BLOCKING.contains(name) && wants_the_end(code, call))
            })
            .map(|call| call.start)
    })
}

/// Whether the result of a call is thrown away, or has to be a passed deadline.
fn wants_the_end(code: &str, call: &Range<usize>) -> bool {
    let statement = code[..call.start].rfind([';', '{', '}']);
    let before = code[statement.map_or(0, |it| it + 1)..call.start].trim_start();
    let behind = code[call.end..].trim_start();
    before.starts_with("let _ =") || WANTS_THE_END.iter().any(|it| behind.starts_with(it))
}

/// The calls of `name`, from its first letter to its closing bracket.
fn calls<'code>(code: &'code str, name: &'code str) -> impl Iterator<Item = Range<usize>> {
    words(code, name).filter_map(move |offset| {
        let open = offset + name.len();
        let is_call = code[open..].starts_with('(');
        let end = is_call.then(|| end_of_group(code, open))??;
        Some(offset..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `body` that are found, as the body of a test.
    fn found(body: &str) -> Vec<usize> {
        let text = format!("#[cfg(test)] mod tests {{ async fn a() {{ {body} }} }}");
        let project = Project::of_files(&[("src/a.rs", &text)]);
        check(&project).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn sleeping_is_for_the_product() {
        let text = "\
async fn wait() { tokio::time::sleep(pause).await }
#[cfg(test)]
mod tests {
    fn a() { std::thread::sleep(x); }
    async fn b() { sleep(x).await; clock.sleep(y).await }
}
";
        let project = Project::of_files(&[("src/a.rs", text)]);
        let lines: Vec<usize> = check(&project).iter().map(|it| it.line).collect();
        assert_eq!(lines, [4, 5]);
    }

    #[test]
    fn every_function_that_only_time_ends_is_a_sleep() {
        for call in [
            "thread::park_timeout(pause);",
            "time::sleep_until(later).await;",
            "let mut ticks = interval(pause);",
            "timeout(pause, pending::<()>()).await.ok();",
            "let _ = tokio::time::timeout(pause, std::future::pending()).await;",
            "let _ = receiver.recv_timeout(pause);",
            "receiver.recv_timeout(pause).unwrap_err();",
            "assert!(receiver.recv_timeout(pause).is_err());",
            "let _ = condition.wait_timeout(guard, pause);",
        ] {
            assert_eq!(found(call), [1], "{call}");
        }
    }

    #[test]
    fn a_deadline_around_a_condition_is_no_sleep() {
        for call in [
            "timeout(soon, receiver.recv()).await.unwrap();",
            "let event = receiver.recv_timeout(soon).unwrap();",
            "let (guard, _) = condition.wait_timeout(guard, soon).unwrap();",
            "builder.keep_alive_interval(pause).timeout(soon);",
            "clock.sleep(pause);",
        ] {
            let nothing: [usize; 0] = [];
            assert_eq!(found(call), nothing, "{call}");
        }
    }
}
