//! `xtask/tidy-allow.txt`: exceptions, each with its reason.

use std::collections::BTreeMap;

use super::finding::{Finding, Rule};
use super::project::Project;

/// The list's file.
pub(super) const PATH: &str = "xtask/tidy-allow.txt";

const RULE: Rule = Rule {
    name: "allow-list",
    why: "an exception that nobody needs hides the next real finding",
    mend: "write `rule | path | item or - | reason`, and remove the line with its cause",
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

    fn is_stale(&self, findings: &[Finding]) -> bool {
        !findings.iter().any(|finding| self.covers(finding))
    }
}

/// The findings that the list leaves, and how many it allows.
pub(super) struct Applied {
    /// The findings without an exception, and the faults of the list itself.
    pub(super) remaining: Vec<Finding>,
    /// The number of findings with an exception, by the rule's name.
    pub(super) allowed: BTreeMap<&'static str, usize>,
}

/// Takes the findings that the list allows out of `findings`, and adds the faults of the list.
pub(super) fn apply(project: &Project, findings: Vec<Finding>) -> Applied {
    let list = List::read(project);
    let mut remaining = list.faults;
    for entry in list
        .entries
        .iter()
        .filter(|entry| entry.is_stale(&findings))
    {
        let what = "allows nothing that is there; `cargo xtask tidy --mend` removes it";
        remaining.push(Finding::new(&RULE, PATH, entry.line, what));
    }
    let mut allowed = BTreeMap::new();
    for finding in findings {
        if list.entries.iter().any(|entry| entry.covers(&finding)) {
            *allowed.entry(finding.rule.name).or_default() += 1;
        } else {
            remaining.push(finding);
        }
    }
    Applied { remaining, allowed }
}

/// The list without the exceptions that no finding needs; none when there is no list.
pub(super) fn mended(project: &Project, findings: &[Finding]) -> Option<String> {
    let text = &project.file(PATH)?.text;
    let list = List::read(project);
    let is_stale = |line: usize| {
        let mut entries = list.entries.iter();
        entries.any(|entry| entry.line == line && entry.is_stale(findings))
    };
    let lines = text.lines().enumerate();
    let kept = lines.filter(|(index, _text)| !is_stale(index + 1));
    Some(kept.map(|(_index, text)| format!("{text}\n")).collect())
}

/// The list as it is read.
struct List<'text> {
    entries: Vec<Allowed<'text>>,
    /// A finding for each line that is not of the form.
    faults: Vec<Finding>,
}

impl<'text> List<'text> {
    fn read(project: &'text Project) -> Self {
        let text = project.file(PATH).map_or("", |file| file.text.as_str());
        let mut list = Self {
            entries: Vec::new(),
            faults: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(index + 1, line) {
                Some(entry) => list.entries.push(entry),
                None => {
                    list.faults
                        .push(Finding::new(&RULE, PATH, index + 1, "is not of the form"));
                }
            }
        }
        list
    }
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

    fn findings() -> Vec<Finding> {
        vec![Finding::new(&LONG, "src/a.rs", 3, "too long").with_item("run")]
    }

    fn remaining(list: &str) -> Vec<String> {
        let project = Project::of_files(&[(PATH, list)]);
        let remaining = apply(&project, findings()).remaining.into_iter();
        remaining.map(|finding| finding.what).collect()
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
        let stale = "allows nothing that is there; `cargo xtask tidy --mend` removes it";
        let both = [stale, "too long"];
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

    #[test]
    fn exceptions_are_counted_by_rule() {
        let project = Project::of_files(&[(PATH, "long | src/a.rs | run | one table\n")]);
        let allowed = apply(&project, findings()).allowed;
        assert_eq!(allowed, BTreeMap::from([("long", 1)]));
    }

    #[test]
    fn mending_removes_the_exceptions_that_no_finding_needs() {
        let list = "# why\nlong | src/a.rs | run | one table\nlong | src/b.rs | - | gone\nbad\n";
        let project = Project::of_files(&[(PATH, list)]);
        assert_eq!(
            mended(&project, &findings()).as_deref(),
            Some("# why\nlong | src/a.rs | run | one table\nbad\n")
        );
        assert_eq!(mended(&Project::default(), &findings()), None);
    }
}
