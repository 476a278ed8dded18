//! Finds the running node and calls its operator API.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use peerwork::{addresses::reachable, runtime_file::RuntimeFile};
use peerwork_api::{
    config::OperatorToken,
    operator::{self, Client, Connection},
};

use super::settings::Resolved;

/// The default address of a node's operator API.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:50000";
/// How long the node may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The file in the data directory with the token that operators on other machines send.
const TOKEN_FILE: &str = "operator.token";

/// Connects to the node that the settings in `resolved` name.
///
/// # Errors
/// When no node answers; the text says which address was tried and what to do.
pub(crate) async fn connect(resolved: &Resolved) -> anyhow::Result<Client> {
    Ok(operator::system(connection(resolved).await?))
}

/// Connects as [`connect`] does, and gives the clients of all services.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connection(resolved: &Resolved) -> anyhow::Result<Connection> {
    let Found {
        address,
        how,
        node_id,
    } = address(resolved)?;
    let token = if is_local(&address) {
        // A node demands no token of callers on its own machine: a local program that demands the token
        // is not the node, and must not get it.
        None
    } else {
        token(&resolved.data_dir)?
    };
    let connection = operator::connect(&address, token.as_ref(), DEADLINE)
        .await
        .with_context(|| format!("no running node was found ({how})"))?;
    if let Some(expected) = node_id {
        let status = operator::system(connection.clone()).get_status(()).await;
        let status = status.map_err(|status| refused(&status))?.into_inner();
        anyhow::ensure!(
            status.node_id == expected,
            "the node of {} does not run: {address}, where it was, is another node's now",
            resolved.data_dir.display()
        );
    }
    Ok(connection)
}

/// The address of a node's operator API, and how it was found.
struct Found {
    address: String,
    /// A text for people that says how the address was found.
    how: String,
    /// The id that the node should have.
    node_id: Option<String>,
}

/// Whether a connection to `address` is possible. A settings file in the data directory may set a free
/// port (0) or none; the port that the node took is then in `node.json`.
fn can_be_asked(address: &str) -> bool {
    address != "off" && !address.ends_with(":0")
}

/// Whether `address` is on this machine, independent of any DNS resolver.
fn is_local(address: &str) -> bool {
    let at = address.parse::<SocketAddr>();
    at.is_ok_and(|at| at.ip().to_canonical().is_loopback())
}

/// Turns a gRPC error of the node into a text for a person.
pub(crate) fn refused(status: &tonic::Status) -> anyhow::Error {
    let advice = match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
            ": copy operator.token from the node's data directory into yours"
        }
        tonic::Code::DeadlineExceeded | tonic::Code::Unavailable => ": try again",
        _ => "",
    };
    anyhow::anyhow!(
        "the node answered: {} ({:?}){advice}",
        status.message(),
        status.code()
    )
}

/// Finds the address of the operator API, and says how it was found.
fn address(resolved: &Resolved) -> anyhow::Result<Found> {
    if let Some(address) = &resolved.global.grpc_address
        && can_be_asked(address)
    {
        return Ok(Found {
            address: address.clone(),
            how: "its address was given as --grpc-address".into(),
            node_id: None,
        });
    }
    let dir = &resolved.data_dir;
    let running = RuntimeFile::load(dir)
        .with_context(|| format!("cannot read what a running node left in {}", dir.display()))?;
    match running {
        Some(RuntimeFile {
            grpc: Some(address),
            node_id,
            ..
        }) => Ok(Found {
            address: reachable(address).to_string(),
            how: format!("the address was left in {} by a node", dir.display()),
            node_id: Some(node_id),
        }),
        Some(_) => anyhow::bail!(
            "the node of {} runs without an operator API: start it with --grpc-address",
            dir.display()
        ),
        None if resolved.data_dir_is_default => Ok(Found {
            address: DEFAULT_ADDRESS.to_owned(),
            how: format!("none runs with {}; name its --data-dir", dir.display()),
            node_id: None,
        }),
        None => anyhow::bail!(
            "no node runs with {}: start one there, or name another --data-dir or --grpc-address",
            dir.display()
        ),
    }
}

fn token(data_dir: &Path) -> anyhow::Result<Option<OperatorToken>> {
    let path = data_dir.join(TOKEN_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // A node that another user runs on this machine can be called without the token.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
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
    fn a_free_port_and_no_port_are_looked_up_in_the_data_directory() {
        for (address, asked) in [
            ("127.0.0.1:0", false),
            ("off", false),
            ("127.0.0.1:10", true),
        ] {
            assert_eq!(can_be_asked(address), asked, "{address}");
        }
    }

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
