//! Checks that comments and names use the field's own words.

use super::finding::{Finding, Rule};
use super::project::{File, Project};
use super::rust_source::{RustSource, leading_word, words};

const COMMENT: Rule = Rule {
    name: "riddle",
    why: "a comment without a noun can be understood only by its author",
    mend: "begin with the noun that it is about, then verb and object: \"Accepts streams until the `Incoming` handle is dropped\"",
};

const NAME: Rule = Rule {
    name: "own-word",
    why: "a name that only this project uses for a known thing has to be learnt by every reader",
    mend: "take the field's word: penalty, connection, advertised addresses, permit, direction",
};

/// Words that no comment begins with.
const BEGINNINGS: &[&str] = &["who", "whoever", "what"];

/// Names of types that have a word of the field.
const NAMES: &[&str] = &[
    "Deed", "Conduct", "Conducts", "Sentence", "Line", "Lines", "Told", "Shown", "Turn", "Turns",
    "Way", "Ways",
];

/// The words behind which the name of a type stands.
const TYPE_WORDS: &[&str] = &["struct", "enum", "trait", "type", "union"];

/// The marks of comments in files other than Rust, by the end of the files' names.
const MARKS: &[(&[&str], &[&str])] = &[
    (
        &[".ts", ".mjs", ".js", ".go", ".css", ".proto"],
        &["/**", "/*", "//", "*"],
    ),
    (&[".toml", ".py", ".sh", ".ci/run"], &["#"]),
];

/// Finds comments that begin with a pronoun, and types of the product with a name of [`NAMES`].
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in project.rust_files() {
        check_comments(file, rust, &mut findings);
        check_names(file, rust, &mut findings);
    }
    for file in &project.files {
        let of = |kind: &&(&[&str], &[&str])| kind.0.iter().any(|end| file.path.ends_with(end));
        if let Some((_, marks)) = MARKS.iter().find(of) {
            check_marked_comments(file, marks, &mut findings);
        }
    }
    findings
}

/// Looks at the first line of each block of lines that begin with a mark, and of each paragraph in it.
fn check_marked_comments(file: &File, marks: &[&str], findings: &mut Vec<Finding>) {
    let mut goes_on = false;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        let text = marks.iter().find_map(|mark| line.strip_prefix(mark));
        let text = text.unwrap_or_default().trim();
        if !goes_on {
            findings.extend(riddle(file, index, text));
        }
        goes_on = !text.is_empty();
    }
}

/// The finding for a comment that begins with one of [`BEGINNINGS`].
fn riddle(file: &File, index: usize, text: &str) -> Option<Finding> {
    let first = leading_word(text).to_lowercase();
    BEGINNINGS.contains(&first.as_str()).then(|| {
        let what = format!("begins with \"{first}\": {text}");
        Finding::new(&COMMENT, &file.path, index + 1, what)
    })
}

/// Looks at the first line of each block of comment lines, and of each paragraph in it.
fn check_comments(file: &File, rust: &RustSource, findings: &mut Vec<Finding>) {
    let mut goes_on = false;
    let lines = rust.comments.lines().zip(rust.code.lines());
    for (index, (comment, code)) in lines.enumerate() {
        let text = comment.trim_start().trim_start_matches(['/', '!', '*']);
        let text = text.trim_start();
        if !goes_on {
            findings.extend(riddle(file, index, text));
        }
        goes_on = !text.is_empty() && code.trim().is_empty();
    }
}

fn check_names(file: &File, rust: &RustSource, findings: &mut Vec<Finding>) {
    for word in TYPE_WORDS {
        for offset in words(&rust.code, word) {
            let name = leading_word(rust.code[offset + word.len()..].trim_start());
            let line = rust.line(offset);
            if NAMES.contains(&name) && !rust.is_test(line) {
                let what = format!("{word} {name}");
                let finding = Finding::new(&NAME, &file.path, line, what);
                findings.push(finding.with_item(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize)> {
        let project = Project::of_files(&[("src/a.rs", text)]);
        check(&project)
            .iter()
            .map(|finding| (finding.rule.name, finding.line))
            .collect()
    }

    #[test]
    fn a_comment_of_any_kind_may_not_begin_with_a_pronoun() {
        for comment in [
            "// Who asks.",
            "/// whoever asks",
            "//! What is asked.",
            "/* WHAT */",
            "fn f() {} // who calls",
        ] {
            assert_eq!(found(comment), [("riddle", 1)], "{comment}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_paragraph_counts() {
        assert_eq!(
            found("/// The node\n/// who asks.\n///\n/// What for.\nfn f() {} // Ends.\n// Who.\n"),
            [("riddle", 4), ("riddle", 6)]
        );
        assert_eq!(found("// Whole.\nlet a = \"// who\"; // `who`\n"), []);
    }

    #[test]
    fn comments_of_scripts_schemas_and_manifests_count_too() {
        let found = |path: &str, text: &str| {
            let project = Project::of_files(&[(path, text)]);
            check(&project).iter().map(|f| f.line).collect::<Vec<_>>()
        };
        let typescript =
            "/**\n * Who asks.\n * what for\n *\n * What is asked.\n */\nlet a // who\n";
        assert_eq!(found("a.ts", typescript), [2, 5]);
        assert_eq!(found("a.proto", "// what it is\nmessage A {}\n"), [1]);
        assert_eq!(found("Cargo.toml", "# Who.\na = 1\n# Whole.\n"), [1]);
        assert!(found("a.md", "# What is it\n").is_empty());
    }

    #[test]
    fn a_type_has_the_word_of_its_field() {
        let in_tests = "#[cfg(test)]\nmod tests {\n    struct Line;\n}\n";
        assert_eq!(found(in_tests), []);
        assert_eq!(
            found(
                "pub(crate) struct Turn<'a>(&'a u8);\nenum Way { A }\nstruct Turning;\nfn f(it: Line) {}\n"
            ),
            [("own-word", 1), ("own-word", 2)]
        );
    }
}
