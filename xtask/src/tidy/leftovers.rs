//! Unfinished code, marks for later, and tests that are ignored without a reason.

use super::finding::{Finding, Rule};
use super::project::{File, Project};
use super::rust_source::{RustSource, words};

const LEFTOVER: Rule = Rule {
    name: "leftovers",
    why: "what is left for later in the code is found by nobody; what is wrong is mended or said in an issue",
    mend: "finish it, or write an issue and remove the mark",
};

const IGNORE: Rule = Rule {
    name: "ignored-test",
    why: "an ignored test without a reason is never run again",
    mend: "write `#[ignore = \"reason\"]`, mend the test, or remove it",
};

const MACROS: &[&str] = &["todo!(", "unimplemented!(", "dbg!("];
const MARKS: &[&str] = &["TODO", "FIXME", "XXX"];
/// Files that have comments but are not Rust.
const OTHER_ENDINGS: &[&str] = &[
    ".toml", ".proto", ".sh", ".html", ".css", ".js", ".mjs", ".ts", ".go", ".py", ".yml",
    ".ci/run",
];

/// Finds unfinished code and marks everywhere, and silent `#[ignore]` in tests.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &project.files {
        match &file.rust {
            Some(rust) => check_rust(file, rust, &mut findings),
            None if OTHER_ENDINGS
                .iter()
                .any(|ending| file.path.ends_with(ending)) =>
            {
                check_marks(file, &file.text, &mut findings);
            }
            None => {}
        }
    }
    findings
}

fn check_rust(file: &File, rust: &RustSource, findings: &mut Vec<Finding>) {
    for word in MACROS {
        for (offset, _) in rust
            .code
            .match_indices(word)
            .filter(|(at, _)| stands_alone(&rust.code, *at))
        {
            let what = format!("{word}…)");
            findings.push(Finding::new(&LEFTOVER, &file.path, rust.line(offset), what));
        }
    }
    check_marks(file, &rust.comments, findings);
    for (offset, _) in rust.code.match_indices("#[ignore]") {
        findings.push(Finding::new(
            &IGNORE,
            &file.path,
            rust.line(offset),
            "#[ignore] without a reason",
        ));
    }
}

fn check_marks(file: &File, comments: &str, findings: &mut Vec<Finding>) {
    for (index, line) in comments.lines().enumerate() {
        for mark in MARKS
            .iter()
            .filter(|mark| words(line, mark).next().is_some())
        {
            findings.push(Finding::new(&LEFTOVER, &file.path, index + 1, *mark));
        }
    }
}

/// Whether the name at `offset` is not the end of a longer one, nor a method.
fn stands_alone(code: &str, offset: usize) -> bool {
    let before = code[..offset].chars().next_back();
    !before.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let project = Project::of_files(&[(path, text)]);
        check(&project)
            .iter()
            .map(|finding| (finding.rule.name, finding.line))
            .collect()
    }

    #[test]
    fn unfinished_code_is_found_and_text_about_it_is_not() {
        let text = "fn f() {\n    todo!()\n}\n// FIXME: later\nconst A: &str = \"todo!( XXX\";\n";
        assert_eq!(
            found("src/a.rs", text),
            [("leftovers", 2), ("leftovers", 4)]
        );
    }

    #[test]
    fn marks_are_whole_words() {
        assert_eq!(
            found("a.sh", "mktemp /tmp/XXXXXX\n# XXX\n"),
            [("leftovers", 2)]
        );
    }

    #[test]
    fn an_ignored_test_says_why() {
        let text = "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"needs a GPU\"]\nfn b() {}\n";
        assert_eq!(found("src/a.rs", text), [("ignored-test", 2)]);
    }
}
