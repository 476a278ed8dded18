//! Line ends and trailing spaces.

use super::finding::{Finding, Rule};
use super::project::{File, Project};

const RULE: Rule = Rule {
    name: "bytes",
    why: "invisible bytes make changes look larger than they are",
    mend: "cargo xtask tidy --mend",
};

/// Finds carriage returns, trailing spaces and missing or doubled last line ends.
pub(super) fn check(project: &Project) -> Vec<Finding> {
    project
        .files
        .iter()
        .filter(|file| is_ours(file))
        .flat_map(check_file)
        .collect()
}

/// Test data is kept to the byte; so are the licences.
pub(super) fn is_ours(file: &File) -> bool {
    !file.path.split('/').any(|part| part == "testdata") && !file.path.starts_with("LICENSE-")
}

/// The text as the rule wants it.
pub(super) fn mended(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let text = lines.join("\n");
    match text.trim_end_matches('\n') {
        "" => String::new(),
        content => format!("{content}\n"),
    }
}

fn check_file(file: &File) -> Vec<Finding> {
    let find = |line: usize, what: &str| Finding::new(&RULE, &file.path, line, what);
    let mut findings = Vec::new();
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with('\r') {
            findings.push(find(index + 1, "ends with a carriage return"));
        } else if line.ends_with([' ', '\t']) {
            findings.push(find(index + 1, "ends with a space"));
        }
    }
    let lines = file.text.lines().count();
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(find(lines, "the last line has no end"));
    } else if file.text.ends_with("\n\n") {
        findings.push(find(lines, "ends with an empty line"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_bytes_are_found_and_mended() {
        let text = "a \nb\r\nc\t\n\nd";
        let project = Project::of_files(&[("a.md", text)]);
        let lines: Vec<usize> = check(&project).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
        assert_eq!(mended(text), "a\nb\nc\n\nd\n");
        assert_eq!(check(&Project::of_files(&[("a.md", &mended(text))])), []);
    }

    #[test]
    fn an_empty_line_at_the_end_is_one_too_many() {
        assert_eq!(check(&Project::of_files(&[("a.md", "a\n\n")])).len(), 1);
        assert_eq!(mended("a\n\n\n"), "a\n");
        assert_eq!(mended(""), "");
    }

    #[test]
    fn test_data_is_kept_to_the_byte() {
        let project = Project::of_files(&[("crates/c/testdata/a.txt", "a \n\n")]);
        assert_eq!(check(&project), []);
    }
}
