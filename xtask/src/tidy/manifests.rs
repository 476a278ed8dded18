//! Rules for the start of every member's manifest and every Rust file.

use super::finding::{Finding, Rule};
use super::project::{Member, Project};

const LINTS: Rule = Rule {
    name: "lints",
    why: "a crate that leaves the workspace's lints out is checked by nobody",
    mend: "write `[lints]` and `workspace = true` in the member, the lint itself in the root Cargo.toml",
};

const VERSIONS: Rule = Rule {
    name: "workspace-dependency",
    why: "one place decides on versions, so no two crates use two",
    mend: "move the version to [workspace.dependencies] in the root and write `workspace = true` here",
};

const FIRST_LINE: Rule = Rule {
    name: "file-docs",
    why: "a reader decides by the first line whether this is the file he looks for",
    mend: "start the file with `//!`: what it is for, and what it does not do",
};

/// Lints without which the style cannot hold.
const LINTS_NEEDED: &[&str] = &[
    "rust.missing_docs",
    "rust.unreachable_pub",
    "rust.unsafe_code",
    "clippy.unwrap_used",
    "clippy.dbg_macro",
    "clippy.todo",
    "clippy.unimplemented",
    "clippy.print_stdout",
    "clippy.await_holding_lock",
];

/// Checks lints, where versions come from, and first lines.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let mut findings: Vec<Finding> = LINTS_NEEDED
        .iter()
        .filter(|lint| !project.root.workspace_lints.iter().any(|it| it == *lint))
        .map(|lint| {
            Finding::new(
                &LINTS,
                "Cargo.toml",
                1,
                format!("the lint {lint} is not set"),
            )
        })
        .collect();
    findings.extend(project.members.iter().flat_map(check_member));
    for (file, _rust) in project.rust_files() {
        if !file.text.starts_with("//!") {
            findings.push(Finding::new(
                &FIRST_LINE,
                &file.path,
                1,
                "does not start with `//!`",
            ));
        }
    }
    findings
}

fn check_member(member: &Member) -> Vec<Finding> {
    let path = &member.manifest.path;
    let mut findings = Vec::new();
    if !member.manifest.uses_workspace_lints {
        findings.push(Finding::new(
            &LINTS,
            path,
            1,
            "does not take the workspace's lints",
        ));
    }
    for dependency in member
        .manifest
        .dependencies
        .iter()
        .filter(|it| !it.from_workspace)
    {
        let what = format!("{} has a version of its own", dependency.name);
        findings.push(Finding::new(&VERSIONS, path, dependency.line, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> String {
        LINTS_NEEDED
            .iter()
            .map(|lint| format!("workspace.lints.{lint} = \"warn\"\n"))
            .collect()
    }

    #[test]
    fn a_member_that_follows_the_rules_is_left_alone() {
        let member = "lints.workspace = true\n[dependencies]\nhex.workspace = true\n";
        let project = Project::of_files(&[("one/src/lib.rs", "//! One.\n")])
            .with_root(&root())
            .with_member("one", member);
        assert_eq!(check(&project), []);
    }

    #[test]
    fn missing_lints_own_versions_and_silent_files_are_found() {
        let project = Project::of_files(&[("one/src/lib.rs", "/// One.\nmod a;\n")])
            .with_root(
                &root().replace("workspace.lints.rust.unsafe_code", "workspace.lints.rust.x"),
            )
            .with_member("one", "[dependencies]\nhex = \"0.4\"\n");
        let names: Vec<&str> = check(&project)
            .iter()
            .map(|finding| finding.rule.name)
            .collect();
        assert_eq!(
            names,
            ["lints", "lints", "workspace-dependency", "file-docs"]
        );
    }
}
