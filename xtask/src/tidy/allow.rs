//! `xtask/tidy-allow.txt`: exceptions, each with its reason.

use super::project::Project;
use super::{Finding, Rule};

const PATH: &str = "xtask/tidy-allow.txt";

const RULE: Rule = Rule {
    name: "allow-list",
    why: "an exception that nobody needs hides the next real finding",
    mend: "write `rule | path | function or - | reason`, and remove the line with its cause",
};

/// One line of the list.
struct Allowed<'text> {
    line: usize,
    rule: &'text str,
    path: &'text str,
    item: Option<&'text str>,
}

impl Allowed<'_> {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule.name
            && self.path == finding.path
            && (self.item.is_none() || self.item == finding.item.as_deref())
    }
}

/// Takes what the list allows out of `findings`, and adds what is wrong with the list itself.
pub(super) fn apply(project: &Project, findings: Vec<Finding>) -> Vec<Finding> {
    let text = project.file(PATH).map_or("", |file| file.text.as_str());
    let mut allowed = Vec::new();
    let mut result = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse(index + 1, line) {
            Some(entry) => allowed.push(entry),
            None => result.push(Finding::new(&RULE, PATH, index + 1, "is not of the form")),
        }
    }
    for entry in &allowed {
        if !findings.iter().any(|finding| entry.covers(finding)) {
            result.push(Finding::new(
                &RULE,
                PATH,
                entry.line,
                "allows what nobody does",
            ));
        }
    }
    let is_allowed = |finding: &Finding| allowed.iter().any(|entry| entry.covers(finding));
    result.extend(findings.into_iter().filter(|finding| !is_allowed(finding)));
    result
}

fn parse(line_number: usize, line: &str) -> Option<Allowed<'_>> {
    let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let [rule, path, item, reason] = parts[..] else {
        return None;
    };
    if reason.is_empty() {
        return None;
    }
    let item = (item != "-").then_some(item);
    Some(Allowed {
        line: line_number,
        rule,
        path,
        item,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Rule = Rule {
        name: "long",
        why: "w",
        mend: "m",
    };

    fn remaining(list: &str) -> Vec<String> {
        let findings = vec![Finding::new(&LONG, "src/a.rs", 3, "too long").with_item("run")];
        let project = Project::of_files(&[(PATH, list)]);
        apply(&project, findings)
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn an_exception_with_a_reason_is_taken_out() {
        let nothing: [&str; 0] = [];
        assert_eq!(
            remaining("# why\n\nlong | src/a.rs | run | one table\n"),
            nothing
        );
        assert_eq!(remaining("long | src/a.rs | - | one table\n"), nothing);
    }

    #[test]
    fn an_exception_for_something_else_is_itself_a_finding() {
        let both = ["allows what nobody does", "too long"];
        assert_eq!(remaining("long | src/a.rs | walk | one table\n"), both);
        assert_eq!(remaining("long | src/b.rs | - | one table\n"), both);
    }

    #[test]
    fn an_exception_without_a_reason_does_not_count() {
        assert_eq!(
            remaining("long | src/a.rs | run |\n"),
            ["is not of the form", "too long"]
        );
    }
}
