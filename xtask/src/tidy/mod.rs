//! `cargo xtask tidy`: checks the rules that neither rustc nor clippy knows.
//!
//! Each module holds one group of rules as a pure function from the [`Project`] to findings.
//! All findings are printed at once, by rule, each with its place.

mod allow;
mod bytes;
mod circles;
mod dependencies;
mod documents;
mod environment;
mod finding;
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
mod sleeps;
mod words;

use anyhow::{Result, bail};

use crate::{say, shell};
use finding::{Finding, report};
use project::Project;

/// The arguments of `cargo xtask tidy`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Mend line endings, trailing spaces, the "used by" column and exceptions that no place needs
    #[arg(long)]
    mend: bool,
}

const CHECKS: &[fn(&Project) -> Vec<Finding>] = &[
    floors::check,
    only_in::check,
    environment::check,
    circles::check,
    sizes::check,
    manifests::check,
    dependencies::check,
    documents::check,
    links::check,
    named_tests::check,
    leftovers::check,
    sleeps::check,
    words::check,
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
        let project = Project::read(&root)?;
        mend::write(&root, &project, &findings(&project))?;
    }
    let project = Project::read(&root)?;
    let applied = allow::apply(&project, findings(&project));
    say::print(&report(&applied.remaining));
    for (rule, count) in &applied.allowed {
        say::line(format!("tidy: {count} allowed exceptions from {rule}"));
    }
    say::line(format!(
        "tidy: {} files, {} findings; {} Rust files over {} lines",
        project.files.len(),
        applied.remaining.len(),
        sizes::long_files(&project),
        sizes::FILE_LINES_TYPICAL,
    ));
    if !applied.remaining.is_empty() {
        bail!(
            "{} places break the project's rules",
            applied.remaining.len()
        );
    }
    Ok(())
}

fn findings(project: &Project) -> Vec<Finding> {
    CHECKS.iter().flat_map(|check| check(project)).collect()
}
