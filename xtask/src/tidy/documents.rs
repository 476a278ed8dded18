//! The documents that a project has to have.

use super::finding::{Finding, Rule};
use super::project::Project;

const REQUIRED: Rule = Rule {
    name: "documents",
    why: "people look for these names before they read anything else",
    mend: "write it, or take it off the list in xtask/src/tidy/documents.rs with a reason",
};

const CHANGELOG: Rule = Rule {
    name: "changelog",
    why: "users learn what changed from CHANGELOG.md, version by version",
    mend: "add a heading `## [Unreleased]` or `## [VERSION]` and what users will notice",
};

const NAMES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "STYLE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    super::dependencies::PATH,
];

/// Checks that the documents are there, and that the changelog knows this version.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings: Vec<Finding> = NAMES
        .iter()
        .filter(|name| {
            project
                .file(name)
                .is_none_or(|file| file.text.trim().is_empty())
        })
        .map(|name| Finding::new(&REQUIRED, name, 1, "is missing or empty"))
        .collect();
    let version = project
        .root
        .workspace_version
        .as_deref()
        .unwrap_or_default();
    if let Some(changelog) = project.file("CHANGELOG.md")
        && !has_heading(&changelog.text, version)
    {
        let what = format!("has no heading for {version} and none for Unreleased");
        findings.push(Finding::new(&CHANGELOG, "CHANGELOG.md", 1, what));
    }
    findings
}

fn has_heading(changelog: &str, version: &str) -> bool {
    changelog.lines().any(|line| {
        line.starts_with("## [Unreleased]")
            || (!version.is_empty() && line.starts_with(&format!("## [{version}]")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_documents_are_asked_for() {
        assert_eq!(check(&Project::default()).len(), NAMES.len());
    }

    #[test]
    fn the_changelog_knows_the_version_or_what_is_unreleased() {
        assert!(has_heading(
            "# Changelog\n## [0.1.0] - 2026-11-21\n",
            "0.1.0"
        ));
        assert!(has_heading("## [Unreleased]\n", "0.1.0"));
        assert!(!has_heading("## [0.0.9]\n", "0.1.0"));
        assert!(!has_heading("## []\n", ""));
    }
}
