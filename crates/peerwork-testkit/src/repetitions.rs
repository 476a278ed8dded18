//! Says how often a test repeats its steps.

/// A tenth of `whole`, rounded up; the whole number under `cargo xtask soak`.
#[must_use]
pub fn repetitions(whole: usize) -> usize {
    match std::env::var_os("PEERWORK_TEST_WHOLE") {
        Some(_) => whole,
        None => whole.div_ceil(10),
    }
}
