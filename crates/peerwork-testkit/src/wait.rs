//! Waiting for a condition with a deadline, in place of sleeping and hoping.

use std::{future::Future, thread, time::Duration};

use tokio::time::Instant;

/// The time that a test gives to something that should happen soon; generous, because test machines
/// are shared and slow.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Polls `condition` every few milliseconds until it yields a value.
///
/// # Panics
/// After [`DEADLINE`], naming what was waited for.
pub async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    eventually_async(what, || std::future::ready(condition())).await
}

/// As [`eventually`], with a condition that must wait for something itself.
///
/// # Panics
/// After [`DEADLINE`], naming what was waited for.
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
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`eventually`], for tests without a runtime: the thread sleeps between two looks.
///
/// # Panics
/// After [`DEADLINE`], naming what was waited for.
pub fn eventually_blocking<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        let now = std::time::Instant::now();
        assert!(now < deadline, "waited {DEADLINE:?} for {what}");
        thread::sleep(PAUSE);
    }
}
