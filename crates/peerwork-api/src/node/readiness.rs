//! `Readiness` tells whether a node can serve requests; `/readyz` returns it.

use serde::Serialize;

/// The readiness of a node, with the checks that decide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True when the node should receive requests; `/readyz` answers 200 then, and otherwise 503.
    pub ready: bool,
    /// The checks, all of which must succeed.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Creates a readiness that is true exactly when every check succeeded.
    #[must_use]
    pub fn from_checks(checks: Vec<Check>) -> Self {
        Self {
            ready: checks.iter().all(|check| check.ok),
            checks,
        }
    }
}

/// One condition that must hold before the node is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The short name of the condition, as in `listening`.
    pub name: String,
    /// Whether the condition holds.
    pub ok: bool,
    /// The observation behind the result, as text for people.
    pub detail: String,
}
