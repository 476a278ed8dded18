//! `within` puts a deadline around a call of a service.

use std::{future::Future, time::Duration};

use crate::error::{ErrorKind, ServiceError};

/// Waits for `call`, but not longer than `deadline`.
pub(crate) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    tokio::time::timeout(deadline, call)
        .await
        .unwrap_or_else(|_| {
            let message = format!("the node did not answer within {deadline:?}; try again");
            Err(ServiceError::new(ErrorKind::Deadline, message))
        })
}
