//! `docs/dependencies.md`: one row for each library, true to the manifests.

use super::finding::{Finding, Rule};
use super::project::{Member, Project};
use super::rust_source::words;

/// The table's file.
pub(super) const PATH: &str = "docs/dependencies.md";

const RULE: Rule = Rule {
    name: "dependencies",
    why: "a library without a reason stays for ever, and is chosen twice",
    mend: "a row `| crate | used by | what for | why this one |` for each line of [workspace.dependencies]; `cargo xtask tidy --mend` fills in \"used by\"",
};

const UNUSED: Rule = Rule {
    name: "dependency-unused",
    why: "a library that nobody uses is compiled and kept up to date for nothing",
    mend: "remove the line; when only generated code names it, say so in xtask/tidy-allow.txt",
};

/// A row of the table.
struct Row<'text> {
    line: usize,
    library: &'text str,
    used_by: &'text str,
    reasons: Vec<&'text str>,
}

/// Compares the table with the root's list, and the list with the libraries that members use.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    let Some(file) = project.file(PATH) else {
        return Vec::new(); // Its absence is found by the rule about documents.
    };
    let rows: Vec<Row<'_>> = file
        .text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| parse_row(index + 1, line))
        .collect();
    let mut findings = Vec::new();
    for dependency in &project.root.workspace_dependencies {
        let used = !users(project, &dependency.name).is_empty();
        if !used && !dependency.by_path {
            let what = format!("no member uses {}", dependency.name);
            findings.push(Finding::new(&UNUSED, "Cargo.toml", dependency.line, what));
        }
        if !dependency.by_path && !rows.iter().any(|row| row.library == dependency.name) {
            let what = format!("{} has no row in {PATH}", dependency.name);
            findings.push(Finding::new(&RULE, "Cargo.toml", dependency.line, what));
        }
    }
    findings.extend(
        project
            .members
            .iter()
            .flat_map(|member| unused(project, member)),
    );
    findings.extend(rows.iter().filter_map(|row| {
        let what = objection(project, row)?;
        Some(Finding::new(&RULE, PATH, row.line, what))
    }));
    findings
}

/// The libraries that a member lists and whose names its files do not have.
fn unused(project: &Project, member: &Member) -> Vec<Finding> {
    let manifest = &member.manifest;
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let is_named = |library: &str| {
        let name = library.replace('-', "_");
        project
            .rust_files()
            .filter(|(file, _rust)| file.path.starts_with(folder))
            .any(|(_file, rust)| words(&rust.code, &name).next().is_some())
    };
    manifest
        .dependencies
        .iter()
        .filter(|dependency| !is_named(&dependency.name))
        .map(|dependency| {
            let what = format!("no file of {} names {}", member.name, dependency.name);
            Finding::new(&UNUSED, &manifest.path, dependency.line, what).with_item(&dependency.name)
        })
        .collect()
}

/// Corrects the "used by" column of a row by the manifests; any other line stays.
pub(super) fn with_true_users(project: &Project, line: &str) -> String {
    let Some(row) = parse_row(0, line) else {
        return line.to_owned();
    };
    let users = users(project, row.library).join(", ");
    format!(
        "| `{}` | {users} | {} |",
        row.library,
        row.reasons.join(" | ")
    )
}

fn objection(project: &Project, row: &Row<'_>) -> Option<String> {
    let library = row.library;
    let listed = &project.root.workspace_dependencies;
    if !listed.iter().any(|dependency| dependency.name == library) {
        return Some(format!("{library} is not in [workspace.dependencies]"));
    }
    let users = users(project, library).join(", ");
    if row.used_by != users {
        return Some(format!(
            "{library} is used by \"{users}\", and the row says \"{}\"",
            row.used_by
        ));
    }
    let complete = row.reasons.len() == 2 && row.reasons.iter().all(|reason| !reason.is_empty());
    (!complete).then(|| format!("{library} needs a purpose and a reason"))
}

/// The members that name a library, without the project's own prefix.
fn users<'project>(project: &'project Project, library: &str) -> Vec<&'project str> {
    let mut users: Vec<&str> = project
        .members
        .iter()
        .filter(|member| {
            member
                .manifest
                .dependencies
                .iter()
                .any(|it| it.name == library)
        })
        .map(|member| {
            member
                .name
                .strip_prefix("peerwork-")
                .unwrap_or(&member.name)
        })
        .collect();
    users.sort_unstable();
    users
}

/// Reads `` | `crate` | used by | what for | why this one | ``.
fn parse_row(line_number: usize, line: &str) -> Option<Row<'_>> {
    let cells = line.strip_prefix("| `")?.strip_suffix(" |")?;
    let (library, cells) = cells.split_once("` | ")?;
    let mut cells = cells.split(" | ").map(str::trim);
    let used_by = cells.next()?;
    Some(Row {
        line: line_number,
        library,
        used_by,
        reasons: cells.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace.dependencies]\nhex = \"0.4\"\nown = { path = \"own\" }\n";
    const MEMBER: &str = "[dependencies]\nhex.workspace = true\n";

    fn project(table: &str) -> Project {
        Project::of_files(&[
            (PATH, table),
            ("peerwork-net/src/lib.rs", "use hex::encode;\n"),
        ])
        .with_root(ROOT)
        .with_member("peerwork-net", MEMBER)
    }

    fn whats(project: &Project) -> Vec<String> {
        check(project)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn a_true_table_is_left_alone() {
        assert_eq!(
            check(&project("# T\n\n| `hex` | net | bytes as text | small |\n")),
            []
        );
    }

    #[test]
    fn a_missing_row_is_found_at_the_manifest() {
        let found = check(&project("# T\n"));
        assert_eq!((found[0].path.as_str(), found[0].line), ("Cargo.toml", 2));
    }

    #[test]
    fn a_row_too_many_a_wrong_user_and_a_missing_reason_are_found() {
        let table = "| `hex` | api | bytes | small |\n| `gone` | net | x | y |\n";
        assert_eq!(
            whats(&project(table)),
            [
                "hex is used by \"net\", and the row says \"api\"",
                "gone is not in [workspace.dependencies]"
            ]
        );
        assert_eq!(
            whats(&project("| `hex` | net | bytes |\n")),
            ["hex needs a purpose and a reason"]
        );
    }

    #[test]
    fn a_library_that_no_member_uses_is_found() {
        let table = "| `hex` |  | bytes | small |\n";
        let project = Project::of_files(&[(PATH, table)]).with_root(ROOT);
        assert_eq!(whats(&project), ["no member uses hex"]);
    }

    #[test]
    fn a_library_that_a_member_lists_and_never_names_is_found() {
        let files = [
            (PATH, "| `hex` | net | bytes | small |\n"),
            ("peerwork-net/src/lib.rs", "// hex\n"),
            ("other/src/lib.rs", "use hex::encode;\n"),
        ];
        let project = Project::of_files(&files)
            .with_root(ROOT)
            .with_member("peerwork-net", MEMBER);
        assert_eq!(whats(&project), ["no file of peerwork-net names hex"]);
    }

    #[test]
    fn mending_writes_the_users_and_keeps_the_reasons() {
        let project = project("");
        let mended = with_true_users(&project, "| `hex` | ? | bytes as text | small |");
        assert_eq!(mended, "| `hex` | net | bytes as text | small |");
        assert_eq!(
            with_true_users(&project, "| crate | used by |"),
            "| crate | used by |"
        );
    }
}
