//! The stack of running parts in the order of their start, which stops them in reverse order.
//!
//! ```text
//!  start:  push data directory ▶ network ▶ edge ▶ directory ▶ ingress │ API ▶ node.json
//!  stop:   the last part first, each within its own deadline, all within one total deadline
//! ```
//! The error path of a start unwinds the same stack, so every pushed part is stopped.

use std::{future::Future, time::Duration};

use futures::future::{BoxFuture, join_all};
use tokio::time::{Instant, timeout_at};

type Stop = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send + Sync>;

/// A running part with its stop function.
struct Part {
    name: &'static str,
    deadline: Duration,
    stop: Stop,
}

/// The stack of running parts. Dropping it drops their handles, which cancels the parts.
#[derive(Default)]
pub(super) struct Stack {
    /// The levels of the stack; the parts of one level stop at the same time.
    levels: Vec<Vec<Part>>,
}

impl Stack {
    /// Pushes a part that stops before all parts pushed earlier. `stop` is dropped when it takes longer
    /// than `deadline`; the drop must cancel the part.
    pub(super) fn push<F, S>(&mut self, name: &'static str, deadline: Duration, stop: F)
    where
        F: FnOnce() -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        self.levels.push(vec![part(name, deadline, stop)]);
    }

    /// Pushes a part that stops at the same time as the part pushed before it.
    pub(super) fn push_beside<F, S>(&mut self, name: &'static str, deadline: Duration, stop: F)
    where
        F: FnOnce() -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let part = part(name, deadline, stop);
        match self.levels.last_mut() {
            Some(level) => level.push(part),
            None => self.levels.push(vec![part]),
        }
    }

    /// The longest time of a stop, in which every part uses its whole deadline.
    #[cfg(test)]
    pub(super) fn promised(&self) -> Duration {
        let longest = |level: &Vec<Part>| level.iter().map(|part| part.deadline).max();
        self.levels.iter().filter_map(longest).sum()
    }

    /// Stops the parts in reverse order and returns the names of those that were cancelled. After
    /// `total`, each remaining part is polled once and cancelled.
    pub(super) async fn unwind(self, total: Duration) -> Vec<&'static str> {
        let end = Instant::now() + total;
        let mut cut = Vec::new();
        for level in self.levels.into_iter().rev() {
            let stops = level.into_iter().map(|part| part.stop(end));
            cut.extend(join_all(stops).await.into_iter().flatten());
        }
        cut
    }
}

fn part<F, S>(name: &'static str, deadline: Duration, stop: F) -> Part
where
    F: FnOnce() -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    Part {
        name,
        deadline,
        stop: Box::new(move || Box::pin(stop())),
    }
}

impl Part {
    /// Stops the part; returns its name when it had to be cancelled.
    async fn stop(self, end: Instant) -> Option<&'static str> {
        let Self {
            name,
            deadline,
            stop,
        } = self;
        let until = end.min(Instant::now() + deadline);
        match timeout_at(until, stop()).await {
            Ok(()) => None,
            Err(_) => {
                tracing::warn!(
                    part = name,
                    ?deadline,
                    "a part did not stop in time and was cut"
                );
                Some(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Barrier;

    use super::*;

    /// A duration that is longer than any test.
    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    /// Records the names of the parts whose stop was called.
    #[derive(Clone, Default)]
    struct StopCalls(Arc<Mutex<Vec<&'static str>>>);

    impl StopCalls {
        fn note(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
            self.0.lock().push(name);
            std::future::ready(())
        }

        fn names(&self) -> Vec<&'static str> {
            self.0.lock().clone()
        }
    }

    fn push(stack: &mut Stack, calls: &StopCalls, name: &'static str) {
        let calls = calls.clone();
        stack.push(name, LONG, move || calls.note(name));
    }

    #[tokio::test]
    async fn parts_stop_in_the_reverse_order_of_their_start() {
        let (mut stack, calls) = (Stack::default(), StopCalls::default());
        for name in ["network", "directory", "ingress"] {
            push(&mut stack, &calls, name);
        }
        assert!(stack.unwind(LONG).await.is_empty());
        assert_eq!(calls.names(), ["ingress", "directory", "network"]);
    }

    #[tokio::test]
    async fn a_part_that_hangs_is_cancelled_without_delaying_the_others() {
        let (mut stack, calls) = (Stack::default(), StopCalls::default());
        push(&mut stack, &calls, "network");
        let directory = calls.clone();
        stack.push("directory", LONG, move || async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            directory.note("directory").await;
        });
        stack.push("ingress", SHORT, std::future::pending::<()>);
        assert_eq!(stack.unwind(LONG).await, ["ingress"]);
        assert_eq!(calls.names(), ["directory", "network"]);
    }

    #[tokio::test]
    async fn after_the_total_deadline_each_part_is_polled_once_and_cancelled() {
        let (mut stack, calls) = (Stack::default(), StopCalls::default());
        push(&mut stack, &calls, "network");
        for name in ["directory", "ingress"] {
            let calls = calls.clone();
            stack.push(name, LONG, move || {
                drop(calls.note(name));
                std::future::pending::<()>()
            });
        }
        assert_eq!(stack.unwind(SHORT).await, ["ingress", "directory"]);
        assert_eq!(calls.names(), ["ingress", "directory", "network"]);
    }

    #[tokio::test]
    async fn parts_of_one_level_stop_at_the_same_time() {
        let mut stack = Stack::default();
        let meeting = Arc::new(Barrier::new(2));
        let meet = |meeting: &Arc<Barrier>| {
            let meeting = Arc::clone(meeting);
            move || async move {
                meeting.wait().await;
            }
        };
        stack.push("ingress", LONG, meet(&meeting));
        stack.push_beside("API", LONG, meet(&meeting));
        assert!(stack.unwind(LONG).await.is_empty());
    }

    #[test]
    fn the_longest_stop_is_the_sum_of_the_longest_deadlines() {
        let mut stack = Stack::default();
        let nothing = || std::future::ready(());
        stack.push("network", SHORT, nothing);
        stack.push("ingress", 3 * SHORT, nothing);
        stack.push_beside("API", 2 * SHORT, nothing);
        assert_eq!(stack.promised(), 4 * SHORT);
    }

    #[tokio::test]
    async fn a_dropped_stack_drops_the_handles_of_its_parts() {
        let handle = Arc::new(());
        let held = Arc::clone(&handle);
        let mut stack = Stack::default();
        stack.push("part", LONG, move || async move { drop(held) });
        drop(stack);
        assert_eq!(Arc::strong_count(&handle), 1);
    }
}
