//! `Problems` collects the mistakes of a network file, so that all are reported at once.

use std::fmt;

/// The longest part of a wrong value that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 160;

/// One mistake in a network file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field with the mistake, such as `bootnodes[3]`; empty for the file as a whole.
    pub key: String,
    /// The wrong value, shortened; empty when the mistake has no value.
    pub value: String,
    /// The reason why the value is wrong.
    pub reason: String,
}

/// All mistakes of a file, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problem {
    pub(super) fn new(key: impl Into<String>, value: &str, reason: impl fmt::Display) -> Self {
        let mut shortened: String = value.chars().take(SHOWN_CHARS_MAX).collect();
        if shortened.len() < value.len() {
            shortened.push('…');
        }
        Self {
            key: key.into(),
            value: shortened,
            reason: reason.to_string(),
        }
    }
}

impl Problems {
    /// Returns `value` when the list of problems is empty, and otherwise the problems.
    pub(super) fn none_or<T>(problems: Vec<Problem>, value: T) -> Result<T, Self> {
        if problems.is_empty() {
            Ok(value)
        } else {
            Err(Self(problems))
        }
    }

    /// The mistakes, in the order of the file's fields.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)?;
        if !self.value.is_empty() {
            write!(f, " (found {})", self.value)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
