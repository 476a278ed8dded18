//! Counts the async tests that run on several threads.

use super::finding::{Finding, Rule};
use super::project::{File, Project};
use super::rust_source::RustSource;

const RULE: Rule = Rule {
    name: "test-runtimes",
    why: "on one thread tasks change only at an await, so that a race of shared state never shows",
    mend: "let tests of state that tasks share run on `#[tokio::test(flavor = \"multi_thread\", worker_threads = 2)]`",
};

/// At least one async test of so many runs on several threads.
const SHARE: usize = 10;

const ATTRIBUTE: &str = "#[tokio::test";

/// Counts the async tests of the members' crates, and those on several threads.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let crates = project.rust_files();
    let mut crates = crates
        .filter(|(file, _)| file.path.starts_with("crates/"))
        .peekable();
    let Some(place) = crates.peek().map(|(file, _)| file.path.clone()) else {
        return Vec::new();
    };
    let (all, threaded) = crates
        .flat_map(|(file, rust)| threaded(file, rust))
        .fold((0, 0), |(all, several), test| {
            (all + 1, several + usize::from(test))
        });
    if threaded * SHARE >= all {
        return Vec::new();
    }
    let what = format!("{threaded} of {all} async tests run on several threads");
    vec![Finding::new(&RULE, &place, 1, what)]
}

/// For each async test of a file, whether it runs on several threads.
fn threaded(file: &File, rust: &RustSource) -> Vec<bool> {
    let tests = rust.code.match_indices(ATTRIBUTE);
    tests
        .map(|(at, _)| {
            let attribute = file.text[at..].split(']').next();
            attribute.is_some_and(|attribute| attribute.contains("\"multi_thread\""))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "#[tokio::test]\nasync fn a() {}\n";
    const SEVERAL: &str = "#[tokio::test(flavor = \"multi_thread\")]\nasync fn b() {}\n";

    fn found(path: &str, one: usize, several: usize) -> Vec<Finding> {
        let text = ONE.repeat(one) + &SEVERAL.repeat(several);
        check(&Project::of_files(&[(path, &text)]))
    }

    #[test]
    fn a_tenth_of_the_async_tests_is_enough_and_less_is_not() {
        assert_eq!(found("crates/a/tests/it/b.rs", 18, 2), []);
        assert_eq!(found("crates/a/tests/it/b.rs", 0, 0), []);
        let found = found("crates/a/tests/it/b.rs", 19, 2);
        assert!(found[0].what.starts_with("2 of 21"), "{found:?}");
    }

    #[test]
    fn chores_and_comments_are_not_counted() {
        assert_eq!(found("xtask/src/b.rs", 50, 0), []);
        let text = "// #[tokio::test]\n/// #[tokio::test]\nfn f() {}\n";
        assert_eq!(
            check(&Project::of_files(&[("crates/a/src/b.rs", text)])),
            []
        );
    }
}
