//! Whether a node is ready for work, as `/readyz` shows it.

use serde::Serialize;

/// Whether the node can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True when the node should get work; what `/readyz` turns into 200 or 503.
    pub ready: bool,
    /// The single checks behind it.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Ready exactly when every check is ok.
    #[must_use]
    pub fn from_checks(checks: Vec<Check>) -> Self {
        Self {
            ready: checks.iter().all(|check| check.ok),
            checks,
        }
    }
}

/// One thing that has to be right before the node is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Short name, as in `listening`.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen, for a person.
    pub detail: String,
}
