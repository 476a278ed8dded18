//! Keeps streams of calls alive and bounded: a silent sender repeats itself, a silent client loses its
//! call.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::timeout;

use crate::error::{ErrorKind, ServiceError};

/// Gives `filler()` whenever `items` gives nothing for `interval`.
pub(super) fn filled<T: Send + 'static>(
    items: impl Stream<Item = T> + Send + 'static,
    interval: Duration,
    filler: impl Fn() -> T + Clone + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    stream::unfold(Box::pin(items), move |mut items| {
        let filler = filler.clone();
        async move {
            let item = match timeout(interval, items.next()).await {
                Ok(item) => item?,
                Err(_) => filler(),
            };
            Some((item, items))
        }
    })
}

/// Ends a client's stream with an error when the client says nothing for `silence`. The stream ends after
/// its first error.
pub(super) fn bounded<T: Send + 'static>(
    items: impl Stream<Item = Result<T, ServiceError>> + Send + 'static,
    silence: Duration,
) -> impl Stream<Item = Result<T, ServiceError>> + Send + 'static {
    stream::unfold(Some(Box::pin(items)), move |items| async move {
        let mut items = items?;
        match timeout(silence, items.next()).await {
            Ok(Some(Ok(item))) => Some((Ok(item), Some(items))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => {
                let message = format!("the caller was silent for {silence:?}");
                let error = ServiceError::new(ErrorKind::Deadline, message);
                Some((Err(error), None))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_silent_sender_is_filled_and_ends_with_its_items() {
        let silent = filled(stream::pending(), SHORT, || 0);
        assert_eq!(silent.take(3).collect::<Vec<_>>().await, [0, 0, 0]);
        let quick = filled(stream::iter([7, 8]), LONG, || 0);
        assert_eq!(quick.collect::<Vec<_>>().await, [7, 8]);
    }

    #[tokio::test]
    async fn a_client_that_is_silent_too_long_loses_its_call() {
        let items = stream::iter([Ok(1)]).chain(stream::pending());
        let all: Vec<_> = bounded(items, SHORT).collect().await;
        assert_eq!(all[0], Ok(1));
        let last = all[1].as_ref().map_err(|error| error.kind);
        assert_eq!(last, Err(ErrorKind::Deadline));
        assert_eq!(all.len(), 2);
    }

    #[tokio::test]
    async fn nothing_follows_an_error() {
        let error = ServiceError::internal("x");
        let items = stream::iter([Err(error.clone()), Ok(1)]);
        let all: Vec<_> = bounded(items, LONG).collect().await;
        assert_eq!(all, [Err(error)]);
    }
}
