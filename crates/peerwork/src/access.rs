//! The protocol `/peerwork/access/1`: a node sends its token to a closed relay, which then lets it
//! reserve.
//!
//! The relay answers the stream as every protocol of `peerwork-net` does. Then the node writes the
//! token's length (two bytes, most significant first) and the token. The relay writes one byte: 1 when
//! the node may reserve within the next hour, else 0.

use std::{fmt, io, sync::Arc, time::Duration};

use peerwork_limits::Bounds;
use peerwork_net::{InboundStream, Limits, Network, Protocol, Served, error::ServeError};
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The protocol name.
pub const PROTOCOL: Protocol = Protocol::answered("/peerwork/access/1");

/// The longest token in bytes.
const TOKEN_BYTES_MAX: usize = 256;
/// The shortest token in bytes; a shorter token can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// The bounds of streams answered at once, each about 1 KiB. Many nodes behind one network address, as
/// in a class room, may reconnect at the same time within its share.
const STREAMS: Bounds = Bounds {
    all: 256,
    per_key: 4,
    per_origin: 64,
};
/// How long a node may take to send its token.
const PATIENCE: Duration = Duration::from_secs(5);

/// A secret that allows its holders to reserve at a closed relay. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayToken(String);

/// The text is not a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII characters")]
pub struct TokenError;

impl RelayToken {
    /// # Errors
    /// When the text is too short, too long, or not visible ASCII.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len());
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenError),
        }
    }
}

impl fmt::Debug for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayToken(…)")
    }
}

/// Serves the protocol and checks the tokens of nodes, until the returned handle is stopped or dropped.
///
/// # Errors
/// When the protocol is served already.
pub(crate) fn serve(network: &Network, tokens: Vec<RelayToken>) -> Result<Served, ServeError> {
    let limits = Limits::new(STREAMS).with_deadline(Some(PATIENCE));
    let (relay, tokens) = (network.clone(), Arc::<[RelayToken]>::from(tokens));
    network.serve_each(PROTOCOL, limits, move |inbound| {
        let (relay, tokens) = (relay.clone(), Arc::clone(&tokens));
        async move {
            let node = inbound.node;
            if let Err(error) = answer(inbound, &relay, &tokens).await {
                tracing::debug!(%node, %error, "showed no token");
            }
        }
    })
}

async fn answer(
    inbound: InboundStream,
    network: &Network,
    tokens: &[RelayToken],
) -> io::Result<()> {
    let InboundStream {
        node,
        mut stream,
        place: _place,
        ..
    } = inbound;
    let length = usize::from(stream.read_u16().await?);
    if length > TOKEN_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut token_bytes = vec![0; length];
    stream.read_exact(&mut token_bytes).await?;
    // The token is compared with every known token, so that the time of the answer reveals nothing.
    let known = tokens.iter().fold(false, |known, token| {
        known | bool::from(token.0.as_bytes().ct_eq(&token_bytes))
    });
    if known {
        network.grant_reservation(node);
    }
    tracing::debug!(%node, known, "showed a token");
    stream.write_all(&[u8::from(known)]).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::future::join_all;
    use multiaddr::Multiaddr;
    use peerwork_identity::{KeyType, Keypair};
    use peerwork_net::{config::RelayServer, error::OpenError};
    use peerwork_testkit::{DEADLINE, Door};
    use prometheus_client::registry::Registry;
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn short_tokens_are_refused_and_debug_hides_the_token() {
        assert!(RelayToken::new("fifteen-chars-x").is_err());
        assert!(RelayToken::new("sixteen chars xx").is_err());
        assert!(RelayToken::new(&"x".repeat(257)).is_err());
        let token = RelayToken::new("sixteen-chars-xx").unwrap();
        assert!(!format!("{token:?}").contains("sixteen"));
    }

    const TOKEN: &str = "sixteen-chars-xx";

    fn soon() -> Instant {
        Instant::now() + DEADLINE
    }

    async fn network(handed: Vec<Multiaddr>) -> Network {
        let keypair = Keypair::generate(KeyType::Secp256k1);
        let mut config = peerwork_net::Config::new(keypair, "test");
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.handed = handed;
        config.relay_server = Some(RelayServer::default());
        let started = Network::start(config, &mut Registry::default()).await;
        started.unwrap()
    }

    /// Starts a node that is connected to the relay at `address`.
    async fn client(relay: &Network, address: &Multiaddr) -> Network {
        let client = network(Vec::new()).await;
        let dialled = client.dial(relay.node_id(), vec![address.clone()], soon());
        dialled.await.unwrap();
        client
    }

    async fn show(client: &Network, relay: &Network, token: &str) -> u8 {
        let opened = client.open(relay.node_id(), &PROTOCOL, soon()).await;
        let mut stream = opened.unwrap();
        let length = u16::try_from(token.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(token.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn seventeen_silent_nodes_of_one_address_do_not_block_the_token_check() {
        let door = Door::bind().await;
        let dialled: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", door.address().port())
            .parse()
            .unwrap();
        let listener = listener_of(&dialled);
        let relay = network(vec![listener.clone()]).await;
        let handing = relay.clone();
        door.open(move |stream| {
            let remote = ([192, 0, 2, 1], 4001).into();
            let _ = handing.hand_over(stream, listener.clone(), remote);
        });
        let served = serve(&relay, vec![RelayToken::new(TOKEN).unwrap()]).unwrap();
        let mut silent = Vec::new();
        // A silent stream ends after a deadline, so all of them are opened at once.
        let rogues = join_all((0..17).map(|_| client(&relay, &dialled))).await;
        let id = relay.node_id();
        let opens = rogues.iter().flat_map(|rogue| {
            (0..5).map(move |_| async move { rogue.open(id, &PROTOCOL, soon()).await })
        });
        for opened in join_all(opens).await {
            match opened {
                Ok(stream) => silent.push(stream),
                Err(error) => assert_eq!(error, OpenError::Busy),
            }
        }
        assert_eq!(silent.len(), STREAMS.per_origin);
        let listen = relay.listen_addresses().borrow().clone();
        let tcp = listen.iter().find(|at| **at != listener_of(&dialled));
        let honest = client(&relay, tcp.unwrap()).await;
        assert_eq!(show(&honest, &relay, TOKEN).await, 1);
        assert_eq!(show(&honest, &relay, "another-secret-xx").await, 0);
        served.stop(soon()).await.unwrap();
    }

    fn listener_of(dialled: &Multiaddr) -> Multiaddr {
        format!("{dialled}/ws").parse().unwrap()
    }
}
