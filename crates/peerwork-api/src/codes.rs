//! One table maps each kind of failure to its HTTP, JSON-RPC and gRPC status code.

use axum::http::StatusCode;
use tonic::Code;

use crate::error::{ErrorKind, ServiceError};

/// JSON-RPC 2.0: the text is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0: the JSON is not a request.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0: the server has no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC 2.0: the method does not take these parameters.
pub const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC 2.0: the node failed because of a defect of its own.
pub const INTERNAL_ERROR: i32 = -32603;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes {
    /// HTTP status.
    pub http: StatusCode,
    /// JSON-RPC 2.0 error code; the codes -32000 to -32099 are free for servers to define.
    pub json_rpc: i32,
    /// gRPC status code.
    pub grpc: Code,
}

impl ErrorKind {
    /// The codes of this kind of failure.
    #[must_use]
    pub fn codes(self) -> Codes {
        let (http, json_rpc, grpc) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, -32001, Code::NotFound),
            Self::InvalidArgument => (
                StatusCode::BAD_REQUEST,
                INVALID_PARAMS,
                Code::InvalidArgument,
            ),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, -32002, Code::Unauthenticated),
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                -32003,
                Code::ResourceExhausted,
            ),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, -32004, Code::Unavailable),
            Self::Deadline => (StatusCode::GATEWAY_TIMEOUT, -32005, Code::DeadlineExceeded),
            Self::Unsupported => (StatusCode::NOT_IMPLEMENTED, -32006, Code::Unimplemented),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                INTERNAL_ERROR,
                Code::Internal,
            ),
        };
        Codes {
            http,
            json_rpc,
            grpc,
        }
    }
}

impl From<ServiceError> for tonic::Status {
    fn from(error: ServiceError) -> Self {
        Self::new(error.kind.codes().grpc, error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_own_codes() {
        let lines = [
            (ErrorKind::NotFound, 404, -32001, Code::NotFound),
            (
                ErrorKind::InvalidArgument,
                400,
                -32602,
                Code::InvalidArgument,
            ),
            (
                ErrorKind::Unauthenticated,
                401,
                -32002,
                Code::Unauthenticated,
            ),
            (ErrorKind::Busy, 429, -32003, Code::ResourceExhausted),
            (ErrorKind::Unavailable, 503, -32004, Code::Unavailable),
            (ErrorKind::Deadline, 504, -32005, Code::DeadlineExceeded),
            (ErrorKind::Unsupported, 501, -32006, Code::Unimplemented),
            (ErrorKind::Internal, 500, -32603, Code::Internal),
        ];
        for (kind, http, json_rpc, grpc) in lines {
            let codes = kind.codes();
            assert_eq!(
                (codes.http.as_u16(), codes.json_rpc, codes.grpc),
                (http, json_rpc, grpc)
            );
        }
    }
}
