//! Streams of answers from work that tells its progress, without a task of its own: dropping the stream
//! ends the work.

use std::{future::Future, pin::Pin};

use futures::{StreamExt as _, stream};
use peerwork_api::{ServiceError, store::Answers};
use tokio::sync::mpsc;

/// Events that wait to be sent; the work waits when there are more.
const EVENTS_MAX: usize = 4;

struct Work<T, F> {
    work: Option<Pin<Box<F>>>,
    events: mpsc::Receiver<T>,
    /// The last item, kept until the events before it are given.
    last: Option<Result<T, ServiceError>>,
}

/// The events that `work` sends, and then its result.
pub(super) fn answers<T, F>(work: impl FnOnce(mpsc::Sender<T>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ServiceError>> + Send + 'static,
{
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let state = Work {
        work: Some(Box::pin(work(sender))),
        events,
        last: None,
    };
    stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    })
    .boxed()
}

impl<T, F: Future<Output = Result<T, ServiceError>>> Work<T, F> {
    async fn next(&mut self) -> Option<Result<T, ServiceError>> {
        if let Some(work) = &mut self.work {
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => return Some(Ok(event)),
                last = work => {
                    self.last = Some(last);
                    self.work = None;
                }
            }
        }
        match self.events.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(_) => self.last.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn events_come_in_order_and_the_result_is_the_last() {
        let stream = answers(|events| async move {
            for event in 0..20 {
                let _ = events.send(event).await;
            }
            Ok(20)
        });
        let all: Vec<_> = stream.map(Result::ok).collect().await;
        assert_eq!(all, (0..=20).map(Some).collect::<Vec<Option<i32>>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn dropping_the_stream_ends_the_work() {
        let held = Arc::new(());
        let in_work = Arc::clone(&held);
        let mut stream = answers(|events| async move {
            let _ = events.send(1).await;
            std::future::pending::<()>().await;
            drop(in_work);
            Ok(2)
        });
        assert_eq!(stream.next().await, Some(Ok(1)));
        assert_eq!(Arc::strong_count(&held), 2);
        drop(stream);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
