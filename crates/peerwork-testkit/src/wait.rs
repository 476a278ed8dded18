//! Waiting for a condition with a deadline, in place of sleeping and hoping.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

/// The time that a test waits for an event that should happen soon; generous, because test machines are
/// shared and slow.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Polls `condition` every few milliseconds until it yields a value.
///
/// # Panics
/// After [`DEADLINE`], with the name of the condition.
pub async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    eventually_async(what, || std::future::ready(condition())).await
}

/// As [`eventually`], with a condition that itself waits.
///
/// # Panics
/// After [`DEADLINE`], with the name of the condition.
pub async fn eventually_async<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
