//! The failures of the store, as the gateway tells them.

use peerwork_api::gateway::{GatewayError, Reach};
use peerwork_store::{
    GetError,
    car::CarError,
    dag::{DagError, WalkError},
    unixfs::ReadError,
};

/// A block that was not given: from the local store alone, its absence is certain.
pub(super) fn get(error: GetError, reach: Reach) -> GatewayError {
    match (error, reach) {
        (GetError::NotFound { cid, .. }, Reach::Local) => GatewayError::NotHere(cid),
        (GetError::NotFound { cid, asked }, Reach::Network) => GatewayError::NotFound {
            cid,
            asked: asked.into(),
        },
        (GetError::TimedOut { cid, asked }, _) => GatewayError::TimedOut {
            cid,
            asked: asked.into(),
        },
        (error @ GetError::Failed { .. }, _) => GatewayError::Internal(error.to_string()),
    }
}

pub(super) fn read(error: ReadError, reach: Reach) -> GatewayError {
    match error {
        ReadError::Get(error) => get(error, reach),
        ReadError::Dag(DagError::Codec { cid }) => GatewayError::NoNames(cid),
        error => GatewayError::Malformed(error.to_string()),
    }
}

pub(super) fn car(error: CarError, reach: Reach) -> GatewayError {
    match error {
        CarError::Read(error) => read(error, reach),
        CarError::Walk(WalkError::Get(error)) => get(error, reach),
        error => GatewayError::Malformed(error.to_string()),
    }
}
