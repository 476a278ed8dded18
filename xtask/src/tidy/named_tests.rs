//! Checks that tests exist which a document names.

use super::finding::{Finding, Rule};
use super::project::Project;

const NAMED_TESTS: Rule = Rule {
    name: "named-tests",
    why: "a table of tests that are gone promises what nobody checks",
    mend: "name the test that took its place, or write one",
};

/// The documents that name tests as `crate::test`, without the `peerwork-` of the crate, or as
/// `sdk::title` for a test of `sdk/js`.
const DOCUMENTS: &[&str] = &[
    "docs/compatibility.md",
    "docs/store.md",
    "docs/weaknesses.md",
];
/// The name in front of the titles of the tests in [`SDK_TESTS`].
const SDK: &str = "sdk";
const SDK_TESTS: &str = "sdk/js/test/";

/// Checks that every test named in [`DOCUMENTS`] is a function of that crate.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let documents = DOCUMENTS.iter().filter_map(|path| project.file(path));
    let mut findings = Vec::new();
    for document in documents {
        for (at, line) in document.text.lines().enumerate() {
            for (named, test) in tests_named(line) {
                if !exists(project, named, test) {
                    let what = format!("names `{named}::{test}`, which is no test");
                    findings.push(Finding::new(&NAMED_TESTS, &document.path, at + 1, what));
                }
            }
        }
    }
    findings
}

/// Crate and test of each code span that is a whole `crate::test_with_underscores` or `sdk::title`.
fn tests_named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let spans = line.split('`').skip(1).step_by(2);
    spans
        .filter_map(|span| span.split_once("::"))
        .filter(|(named, test)| *named == SDK || (test.contains('_') && !test.contains("::")))
}

fn exists(project: &Project, named: &str, test: &str) -> bool {
    if named == SDK {
        let call = format!("test('{test}'");
        let mut files = project.files.iter();
        return files.any(|file| file.path.starts_with(SDK_TESTS) && file.text.contains(&call));
    }
    let folders = [
        format!("crates/peerwork-{named}/"),
        format!("crates/{named}/"),
    ];
    let function = format!("fn {test}(");
    project.rust_files().any(|(file, _)| {
        folders.iter().any(|folder| file.path.starts_with(folder)) && file.text.contains(&function)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_that_are_there_may_be_named() {
        let project = Project::from_texts(vec![
            (
                "docs/weaknesses.md".into(),
                "| `net::it_holds` | `net::it_is_gone`, `cli::server` |\n".into(),
            ),
            (
                "crates/peerwork-net/tests/it/main.rs".into(),
                "fn it_holds() {}\n".into(),
            ),
            (
                "crates/peerwork/tests/it/main.rs".into(),
                "fn it_is_gone() {}\n".into(),
            ),
        ]);
        let findings = check(&project);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].what,
            "names `net::it_is_gone`, which is no test"
        );
    }

    #[test]
    fn titles_of_the_tests_for_javascript_are_looked_up_too() {
        let project = Project::from_texts(vec![
            (
                "docs/compatibility.md".into(),
                "| `sdk::a page calls, and is answered`, `sdk::a page sleeps` |\n".into(),
            ),
            (
                "sdk/js/test/integration/browser.test.ts".into(),
                "test('a page calls, and is answered', async () => {})\n".into(),
            ),
            (
                "sdk/js/src/index.ts".into(),
                "test('a page sleeps', run)\n".into(),
            ),
        ]);
        let findings = check(&project);
        let what: Vec<&str> = findings.iter().map(|found| found.what.as_str()).collect();
        assert_eq!(what, ["names `sdk::a page sleeps`, which is no test"]);
    }
}
