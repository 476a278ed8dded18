//! Asks an address for the status of a node, and tells a node from other programs.

use std::{error::Error as _, io, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use peerwork_api::{
    config::OperatorToken,
    operator::{self, ConnectError, Connection, v1::ServerStatus},
};
use peerwork_identity::NodeId;
use tonic::{Code, Status};

/// The file in the data directory with the token that operators on other machines send.
const TOKEN_FILE: &str = "operator.token";

/// The result of asking an address for the status of a node.
pub(crate) enum Probed {
    /// A node answers.
    Node(Box<ServerStatus>, Connection),
    /// Nothing listens at the address.
    Nothing(ConnectError),
    /// The program at the address is not a Peerwork node; the text says how it answered.
    Other(String),
    /// The program at the address may be a node: it refused the question, or did not answer in time.
    Unclear(anyhow::Error),
}

impl Probed {
    /// The node at `address`.
    ///
    /// # Errors
    /// When no node answers there; the text says what does.
    pub(crate) fn node(self, address: &str) -> anyhow::Result<(ServerStatus, Connection)> {
        match self {
            Self::Node(status, connection) => Ok((*status, connection)),
            Self::Nothing(error) => Err(error.into()),
            Self::Unclear(error) => Err(error),
            Self::Other(answer) => anyhow::bail!(
                "the program at {address} is not a Peerwork node ({answer}): name the node by its \
                 --data-dir or its --grpc-address"
            ),
        }
    }
}

/// Asks the operator API at `address`. The token is that of `data_dir`.
///
/// # Errors
/// When the token of the data directory cannot be read.
pub(crate) async fn probe(
    address: &str,
    data_dir: &Path,
    deadline: Duration,
) -> anyhow::Result<Probed> {
    let token = token_for(address, data_dir)?;
    let connection = match operator::connect(address, token.as_ref(), deadline).await {
        Ok(connection) => connection,
        Err(error) if is_refused(&error) => return Ok(Probed::Nothing(error)),
        Err(error) => return Ok(Probed::Unclear(error.into())),
    };
    let status = operator::system(connection.clone()).get_status(()).await;
    Ok(match status {
        Ok(status) => {
            let status = status.into_inner();
            match status.node_id.parse::<NodeId>() {
                Ok(_) => Probed::Node(Box::new(status), connection),
                Err(_) => Probed::Other("its status names no node id".to_owned()),
            }
        }
        Err(status) if is_of_another_program(&status) => {
            Probed::Other(format!("{} ({:?})", status.message(), status.code()))
        }
        Err(status) => Probed::Unclear(refused(&status)),
    })
}

/// Whether the connection failed because nothing listens at the address.
fn is_refused(error: &ConnectError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::ConnectionRefused;
        }
        cause = error.source();
    }
    false
}

/// Whether the error is not one that a node answers to this question: the program does not know the
/// call, or does not speak gRPC, which is an error of the transport or of the answer's form.
fn is_of_another_program(status: &Status) -> bool {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::DeadlineExceeded
        | Code::Cancelled => false,
        Code::Unavailable => status.source().is_some(),
        _ => true,
    }
}

/// Turns a gRPC error of the node into a text for a person.
pub(crate) fn refused(status: &Status) -> anyhow::Error {
    let advice = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            ": copy operator.token from the node's data directory into yours"
        }
        Code::DeadlineExceeded | Code::Unavailable => ": try again",
        _ => "",
    };
    anyhow::anyhow!(
        "the node answered: {} ({:?}){advice}",
        status.message(),
        status.code()
    )
}

/// The operator token of `data_dir` for a node at `address`.
///
/// # Errors
/// When the token cannot be read.
pub(crate) fn token_for(address: &str, data_dir: &Path) -> anyhow::Result<Option<OperatorToken>> {
    match is_local(address) {
        // A node demands no token of callers on its own machine: a local program that demands the token
        // is not the node, and must not get it.
        true => Ok(None),
        false => token(data_dir),
    }
}

/// Whether `address` is on this machine, independent of any DNS resolver.
fn is_local(address: &str) -> bool {
    let at = address.parse::<SocketAddr>();
    at.is_ok_and(|at| at.ip().to_canonical().is_loopback())
}

fn token(data_dir: &Path) -> anyhow::Result<Option<OperatorToken>> {
    let path = data_dir.join(TOKEN_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A node that another user runs on this machine can be called without the token.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let token = OperatorToken::new(&text)
        .with_context(|| format!("{} holds no operator token: remove it", path.display()))?;
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_missing_token_is_none_and_a_short_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(token(dir.path()).unwrap().is_none());
        std::fs::write(dir.path().join(TOKEN_FILE), "short").unwrap();
        assert!(token(dir.path()).is_err());
        std::fs::write(dir.path().join(TOKEN_FILE), "long-enough-to-be-one\n").unwrap();
        assert!(token(dir.path()).unwrap().is_some());
    }
}
