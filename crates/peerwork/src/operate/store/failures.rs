//! Errors of the content store as errors of the service, and work that blocks its thread.

use peerwork_api::{ErrorKind, ServiceError};
use peerwork_store::{PinError, RemoveError, StoreError, exchange::FetchError};

use crate::store::OpenError;

/// A binary CID of the caller.
pub(super) fn cid(bytes: &[u8]) -> Result<cid::Cid, ServiceError> {
    cid::Cid::try_from(bytes).map_err(|error| {
        let error = peerwork_store::not_a_cid(&error);
        ServiceError::invalid_argument(format!("these bytes are no CID: {error}"))
    })
}

/// The store cannot be used.
pub(super) fn not_open(error: &OpenError) -> ServiceError {
    ServiceError::unavailable(format!("the content store cannot be used: {error}"))
}

/// The store did not do what it was asked.
pub(super) fn refused(error: &StoreError) -> ServiceError {
    let kind = match error {
        StoreError::DiskFull { .. } | StoreError::QuotaFull { .. } => ErrorKind::Busy,
        StoreError::Missing(_) => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    };
    ServiceError::new(kind, error.to_string())
}

/// A pin was refused.
pub(super) fn not_pinned(error: &PinError) -> ServiceError {
    match error {
        PinError::Store(error) => refused(error),
        error => ServiceError::invalid_argument(error.to_string()),
    }
}

/// A root was not removed.
pub(super) fn not_removed(error: &RemoveError) -> ServiceError {
    match error {
        RemoveError::Store(error) => refused(error),
        error => ServiceError::invalid_argument(error.to_string()),
    }
}

/// A fetch ended early.
pub(super) fn not_fetched(error: &FetchError) -> ServiceError {
    match error {
        FetchError::Store(error) => refused(error),
        FetchError::NotFound { .. } => ServiceError::not_found(error.to_string()),
        FetchError::Bound { .. } | FetchError::Malformed { .. } => {
            ServiceError::invalid_argument(error.to_string())
        }
        error => ServiceError::unavailable(error.to_string()),
    }
}

/// Runs work that blocks its thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| Err(ServiceError::internal("the work on the store ended early")))
}
