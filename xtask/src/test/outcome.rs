//! The counts of a runner's tests, and the reason why a run failed.

/// The counts that all tests of a runner reported together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

/// The end of one runner's tests.
pub(super) struct Outcome {
    pub(super) sum: Sum,
    /// The reason why the run is no success, with the command that repeats it.
    pub(super) problem: Option<String>,
}
