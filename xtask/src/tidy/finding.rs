//! Rules, the places that break them, and the report for a person.

/// A rule: its name in the output and in `xtask/tidy-allow.txt`, its reason, and how to satisfy it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
}

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: &'static Rule,
    /// Relative to the repository's root.
    pub(super) path: String,
    /// The number of the line, from 1.
    pub(super) line: usize,
    /// The name in that file by which an exception finds the place, such as a function's: line numbers
    /// change too often.
    pub(super) item: Option<String>,
    pub(super) what: String,
}

impl Finding {
    pub(super) fn new(
        rule: &'static Rule,
        path: &str,
        line: usize,
        what: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            path: path.to_owned(),
            line,
            item: None,
            what: what.into(),
        }
    }

    pub(super) fn with_item(self, item: &str) -> Self {
        Self {
            item: Some(item.to_owned()),
            ..self
        }
    }
}

/// All findings, by rule, in the order of their places.
pub(super) fn report(findings: &[Finding]) -> String {
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
