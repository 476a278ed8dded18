//! `Calls` runs every gRPC call with a deadline, metrics and a log line, and maps failures to
//! status codes.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use tonic::{Response, Status};

use crate::{
    deadline::within,
    error::ServiceError,
    metrics::{Contract, Metrics, Outcome, log_failure},
};

/// The wrapper around every call of every gRPC service.
#[derive(Clone)]
pub(crate) struct Calls {
    metrics: Metrics,
    deadline: Duration,
}

impl Calls {
    pub(super) fn new(metrics: Metrics, deadline: Duration) -> Self {
        Self { metrics, deadline }
    }

    /// Waits for `call` within the deadline, counts it under the name `method`, and converts its
    /// result.
    pub(crate) async fn answer<T, M>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, ServiceError>> + Send,
        convert: impl FnOnce(T) -> M,
    ) -> Result<Response<M>, Status> {
        let started = Instant::now();
        let answer = within(self.deadline, call).await;
        let outcome = answer
            .as_ref()
            .map_or_else(|error| error.kind.into(), |_| Outcome::Ok);
        self.metrics
            .finished(Contract::Operator, method, outcome, started);
        match answer {
            Ok(value) => Ok(Response::new(convert(value))),
            Err(error) => {
                log_failure(method, &error);
                Err(error.into())
            }
        }
    }

    /// Answers with the stream `items`, and counts it under the name `method` when it ends. A stream that
    /// the caller leaves counts as the caller's error.
    pub(crate) fn stream<T, M>(
        &self,
        method: &'static str,
        items: impl Stream<Item = Result<T, ServiceError>> + Send + 'static,
        convert: impl Fn(T) -> M + Send + 'static,
    ) -> Result<Response<BoxStream<'static, Result<M, Status>>>, Status>
    where
        T: Send + 'static,
        M: Send + 'static,
    {
        let counted = Counted {
            metrics: self.metrics.clone(),
            method,
            outcome: Outcome::CallerError,
            started: Instant::now(),
        };
        let state = (Box::pin(items), convert, counted);
        let messages = futures::stream::unfold(Some(state), |state| async move {
            let (mut items, convert, mut counted) = state?;
            match items.next().await {
                Some(Ok(item)) => {
                    let message = convert(item);
                    Some((Ok(message), Some((items, convert, counted))))
                }
                Some(Err(error)) => {
                    log_failure(counted.method, &error);
                    counted.outcome = error.kind.into();
                    Some((Err(Status::from(error)), None))
                }
                None => {
                    counted.outcome = Outcome::Ok;
                    None
                }
            }
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// Counts a stream when it is dropped.
struct Counted {
    metrics: Metrics,
    method: &'static str,
    outcome: Outcome,
    started: Instant,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics
            .finished(Contract::Operator, self.method, self.outcome, self.started);
    }
}
