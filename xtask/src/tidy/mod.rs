//! `cargo xtask tidy`: the rules that neither rustc nor clippy knows.
//!
//! Each module holds one group of rules as a pure function from the [`Project`] to findings.
//! All findings are printed at once, by rule, each with its place.

mod allow;
mod bytes;
mod dependencies;
mod documents;
mod environment;
mod floors;
mod leftovers;
mod links;
mod manifest;
mod manifests;
mod mend;
mod named_tests;
mod only_in;
mod project;
mod runtimes;
mod rust_source;
mod sizes;

use anyhow::{Result, bail};

use crate::shell;
use project::Project;

/// The arguments of `cargo xtask tidy`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Write what a machine can mend: line endings, trailing spaces, the "used by" column
    #[arg(long)]
    mend: bool,
}

/// A rule: its name in the output and in `xtask/tidy-allow.txt`, why it is there, how to satisfy it.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    name: &'static str,
    why: &'static str,
    mend: &'static str,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static Rule,
    /// Relative to the repository's root.
    path: String,
    /// From 1.
    line: usize,
    /// What in that file, where a line number is too fleeting to allow: a function's name.
    item: Option<String>,
    what: String,
}

impl Finding {
    fn new(rule: &'static Rule, path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            rule,
            path: path.to_owned(),
            line,
            item: None,
            what: what.into(),
        }
    }

    fn with_item(self, item: &str) -> Self {
        Self {
            item: Some(item.to_owned()),
            ..self
        }
    }
}

const CHECKS: &[fn(&Project) -> Vec<Finding>] = &[
    floors::check,
    only_in::check,
    environment::check,
    sizes::check,
    manifests::check,
    dependencies::check,
    documents::check,
    links::check,
    named_tests::check,
    leftovers::check,
    runtimes::check,
    bytes::check,
];

/// Checks all rules on the repository.
///
/// # Errors
/// When the repository cannot be read, or breaks a rule.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = shell::repository();
    if arguments.mend {
        mend::write(&root, &Project::read(&root)?)?;
    }
    let project = Project::read(&root)?;
    let found = CHECKS.iter().flat_map(|check| check(&project)).collect();
    let findings = allow::apply(&project, found);
    print!("{}", report(&findings));
    println!(
        "tidy: {} files, {} findings; {} Rust files over {} lines",
        project.files.len(),
        findings.len(),
        sizes::long_files(&project),
        sizes::FILE_LINES_TYPICAL,
    );
    if !findings.is_empty() {
        bail!("{} places break the project's rules", findings.len());
    }
    Ok(())
}

/// All findings, by rule, in the order of their places.
fn report(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| (finding.rule.name, &finding.path, finding.line));
    let mut text = String::new();
    for group in sorted.chunk_by(|one, next| one.rule == next.rule) {
        for finding in group {
            text += &format!("{}:{}: {}\n", finding.path, finding.line, finding.what);
        }
        let rule = group[0].rule;
        text += &format!(
            "    rule: {}\n    why:  {}\n    mend: {}\n\n",
            rule.name, rule.why, rule.mend
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        name: "quiet",
        why: "people sleep",
        mend: "whisper",
    };

    #[test]
    fn a_report_names_the_place_the_reason_and_the_way_out() {
        let findings = [
            Finding::new(&RULE, "src/b.rs", 2, "it shouts"),
            Finding::new(&RULE, "src/a.rs", 9, "it sings"),
        ];
        assert_eq!(
            report(&findings),
            "src/a.rs:9: it sings\nsrc/b.rs:2: it shouts\n    rule: quiet\n    why:  people sleep\n    mend: whisper\n\n"
        );
    }
}
