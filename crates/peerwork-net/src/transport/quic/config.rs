//! The settings of quinn for libp2p's QUIC: TLS 1.3 with the certificate of the node's key, and no
//! unidirectional streams or datagrams.

use std::{io, sync::Arc, time::Duration};

use libp2p::tls;
use peerwork_identity::Keypair;
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use ring::hmac;

/// Bytes that all streams of a connection may hold unread: the window of the connection. 2 MiB carry
/// 40 MB/s over a path with 50 ms of delay.
pub(super) const CONNECTION_BYTES: u32 = 2 << 20;
/// Bytes that one stream may hold unread, so that one slow reader leaves room for other streams.
const STREAM_BYTES: u32 = 1 << 20;
/// Streams that the other node may have open at once.
const STREAMS_MAX: u32 = 256;
/// A connection without a packet for this time ends.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// An idle connection sends a packet this often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The settings of all endpoints of a node.
#[derive(Debug, Clone)]
pub(super) struct Configs {
    pub(super) endpoint: EndpointConfig,
    pub(super) server: ServerConfig,
    pub(super) client: ClientConfig,
}

impl Configs {
    pub(super) fn new(keypair: &Keypair) -> io::Result<Self> {
        let transport = Arc::new(transport());
        let key = keypair.libp2p();
        let tls = tls::make_server_config(key).map_err(io::Error::other)?;
        let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(Arc::clone(&transport));
        // libp2p knows one address for each connection.
        server.migration(false);
        let tls = tls::make_client_config(key, None).map_err(io::Error::other)?;
        let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(transport);
        Ok(Self {
            endpoint: endpoint(key),
            server,
            client,
        })
    }
}

/// Derives the key of stateless resets from the node's key, so that a node that was restarted can end
/// the connections of its former process.
fn endpoint(key: &libp2p::identity::Keypair) -> EndpointConfig {
    let secret = key.derive_secret(b"libp2p quic stateless reset key");
    let reset_key = secret.map(|secret| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)));
    let mut endpoint = match reset_key {
        Some(key) => EndpointConfig::new(key),
        // Keys of this kind derive no secrets, and the key is a random one.
        None => EndpointConfig::default(),
    };
    // libp2p uses version 1 alone.
    endpoint.supported_versions(vec![1]);
    endpoint
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .allow_spin(false)
        .stream_receive_window(VarInt::from_u32(STREAM_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_BYTES));
    transport
}
