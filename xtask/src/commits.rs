//! `cargo xtask commits`: checks the subjects of the commits that lead to this one.

use anyhow::{Context as _, Result, bail};

use crate::{say, shell};

/// Commits before this second (2026-11-21 18:34:18 UTC) may have longer subjects.
/// The rule begins at a time and not at a commit, because a shallow clone lacks old commits, and a
/// fresh clone has one branch.
const LENGTH_SINCE: u64 = 1_795_286_058;

/// Commits before this second (2026-11-27 18:30 UTC) may have subjects of another form.
const FORM_SINCE: u64 = 1_795_804_200;

const CHARACTERS_MAX: usize = 60;

/// Words that stand where a verb belongs.
const NO_VERBS: &[&str] = &[
    "a", "all", "an", "each", "every", "fewer", "its", "less", "many", "more", "new", "no", "one",
    "our", "some", "the", "this", "two",
];

/// Verbs that look like another form of a verb.
const VERBS: &[&str] = &[
    "bias", "bring", "embed", "exceed", "feed", "focus", "need", "ping", "seed", "shed", "speed",
    "succeed",
];

/// A commit in the output of `git log`.
struct Commit<'log> {
    seconds: u64,
    hash: &'log str,
    parents: usize,
    subject: &'log str,
}

impl Commit<'_> {
    /// A merge at the end of a shallow history has lost its parents, so that only its subject shows
    /// what it is.
    fn is_merge(&self) -> bool {
        self.parents > 1 || self.subject.starts_with("Merge ")
    }

    fn fault(&self) -> Option<String> {
        let length = (self.seconds >= LENGTH_SINCE).then(|| length_fault(self.subject));
        let form = (self.seconds >= FORM_SINCE).then(|| form_fault(self.subject));
        length.flatten().or_else(|| form.flatten())
    }
}

/// Checks the subjects of all commits since the rule; a folder without git has none.
///
/// # Errors
/// When a subject is too long or of another form; all of them are named.
pub(crate) fn run() -> Result<()> {
    let inside = ["rev-parse", "--is-inside-work-tree"];
    if !shell::succeeds(&mut shell::command("git", &inside)) {
        say::line("commits: no git repository, nothing to check");
        return Ok(());
    }
    let output = shell::command("git", &["log", "--format=%ct%x09%h%x09%P%x09%s"])
        .output()
        .context("asking `git log` for the commits")?;
    if !output.status.success() {
        bail!("`git log` ended with {}", output.status);
    }
    let log = String::from_utf8_lossy(&output.stdout);
    let faults = faults(&log);
    for fault in &faults {
        say::line(fault);
    }
    if !faults.is_empty() {
        bail!(
            "{} commits have a subject that is not `area: imperative subject` of at most \
             {CHARACTERS_MAX} characters; reword them with `git rebase --interactive`",
            faults.len()
        );
    }
    Ok(())
}

/// Returns a line for each commit of `log` that breaks the rule.
fn faults(log: &str) -> Vec<String> {
    log.lines()
        .filter_map(parse)
        .filter(|commit| !commit.is_merge())
        .filter_map(|commit| {
            let fault = commit.fault()?;
            Some(format!("{}: {fault}: {}", commit.hash, commit.subject))
        })
        .collect()
}

fn parse(line: &str) -> Option<Commit<'_>> {
    let mut fields = line.splitn(4, '\t');
    Some(Commit {
        seconds: fields.next()?.parse().ok()?,
        hash: fields.next()?,
        parents: fields.next()?.split_whitespace().count(),
        subject: fields.next()?,
    })
}

fn length_fault(subject: &str) -> Option<String> {
    let characters = subject.chars().count();
    (characters > CHARACTERS_MAX).then(|| format!("{characters} characters"))
}

fn form_fault(subject: &str) -> Option<String> {
    let Some((areas, text)) = subject.split_once(": ") else {
        return Some("no area".to_owned());
    };
    if !areas.split(", ").all(is_area) {
        return Some(format!("`{areas}` is no area"));
    }
    if text.ends_with('.') {
        return Some("a full stop at the end".to_owned());
    }
    let word = text.split_whitespace().next().unwrap_or_default();
    (!is_imperative(word)).then(|| format!("`{word}` is no imperative"))
}

/// A crate without its prefix, a folder or a file: `net`, `sdk/js`, `.ci`.
fn is_area(area: &str) -> bool {
    let is_sign = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_/.".contains(it);
    !area.is_empty() && area.chars().all(is_sign)
}

/// Whether a word may be a verb in the imperative, as far as its letters tell.
fn is_imperative(word: &str) -> bool {
    let is_lower = word.starts_with(|it: char| it.is_ascii_lowercase());
    let ends = |ending: &str| word.ends_with(ending);
    let other_form = ends("ing") || ends("ed") || (ends("s") && !ends("ss"));
    is_lower && !NO_VERBS.contains(&word) && (VERBS.contains(&word) || !other_form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_an_imperative_are_a_good_subject() {
        for subject in [
            "tunnel: refuse ports that the owner did not name",
            "net, sdk/js: pass the reason of a closed stream on",
            "api: need a key",
            "docs: address the reader",
        ] {
            assert_eq!(form_fault(subject), None, "{subject}");
        }
    }

    #[test]
    fn sixty_characters_are_the_limit() {
        let subject = |length: usize| format!("net: add {}", "x".repeat(length - 9));
        assert_eq!(length_fault(&subject(CHARACTERS_MAX)), None);
        assert_eq!(
            length_fault(&subject(CHARACTERS_MAX + 1)).as_deref(),
            Some("61 characters")
        );
    }

    #[test]
    fn other_forms_are_named() {
        for (subject, expected) in [
            ("refuse ports", "no area"),
            ("Net: refuse ports", "`Net` is no area"),
            ("net: refuse ports.", "a full stop at the end"),
            ("net: refuses ports", "`refuses` is no imperative"),
            ("net: refused ports", "`refused` is no imperative"),
            ("net: refusing ports", "`refusing` is no imperative"),
            ("net: Refuse ports", "`Refuse` is no imperative"),
            ("net: a refusal of ports", "`a` is no imperative"),
        ] {
            assert_eq!(form_fault(subject).as_deref(), Some(expected));
        }
    }

    #[test]
    fn commits_before_the_rules_and_merges_are_left_alone() {
        let bad = format!("Bad {}", "x".repeat(CHARACTERS_MAX));
        let found = |seconds: u64, parents: &str, subject: &str| {
            faults(&format!("{seconds}\tabc1\t{parents}\t{subject}\n")).len()
        };
        assert_eq!(found(LENGTH_SINCE - 1, "p1", &bad), 0);
        assert_eq!(found(LENGTH_SINCE, "p1", &bad), 1);
        assert_eq!(found(FORM_SINCE - 1, "p1", "Bad"), 0);
        assert_eq!(found(FORM_SINCE, "p1", "Bad"), 1);
        assert_eq!(found(FORM_SINCE, "p1 p2", "Bad"), 0);
        assert_eq!(found(FORM_SINCE, "", "Merge main"), 0);
    }
}
