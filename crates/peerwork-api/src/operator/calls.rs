//! `Calls` runs every gRPC call with a deadline, metrics and a log line, and maps failures to
//! status codes.

use std::{
    future::Future,
    time::{Duration, Instant},
};

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
}
