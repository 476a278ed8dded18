//! Builds the transports: TCP, WebSocket, QUIC, WebRTC and circuits, authenticated, multiplexed and
//! metered.

mod account;
mod budget;
mod corked;
mod driven;
mod end;
mod frames;
mod gate;
mod handed;
mod interfaces;
mod muxer;
mod name_servers;
mod quic;
mod resolved;
mod security;
mod split;
#[cfg(feature = "webrtc")]
mod webrtc;
mod yamux;

use libp2p::{
    PeerId, Transport as _,
    core::{
        ConnectedPoint,
        muxing::{StreamMuxer, StreamMuxerBox},
        transport::{Boxed, OrTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    noise, relay, tcp, tls, websocket,
};
use peerwork_identity::Keypair;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

pub(crate) use budget::{Bounds, Budget};
pub(crate) use end::End;
pub(crate) use gate::Gate;
use gate::Gated;
use handed::Handed;
pub(crate) use handed::{Accepted, WAITING_MAX};
use name_servers::NameServers;
use quic::Quic;
use resolved::Resolved;
use security::{NoiseOrTls, Outlet};
use yamux::Yamux;

use crate::{Config, error::StartError, metering::Meters, peers::Path};

type Authenticated = Boxed<(PeerId, StreamMuxerBox)>;

fn wrong<E>(transport: &'static str) -> impl FnOnce(E) -> StartError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| StartError::Transport {
        transport,
        source: error.into(),
    }
}

/// Offers Noise first, which needs no certificate and is as fast, and TLS for nodes that offer
/// nothing else.
fn security(keypair: &Keypair) -> Result<NoiseOrTls, StartError> {
    let noise = noise::Config::new(keypair.libp2p()).map_err(wrong("noise"))?;
    let tls = tls::Config::new(keypair.libp2p()).map_err(wrong("tls"))?;
    let outlet = Outlet::default();
    Ok(NoiseOrTls { noise, tls, outlet })
}

/// Security of connections from host to host, which pass the link of a test.
fn direct_security(config: &Config) -> Result<NoiseOrTls, StartError> {
    let security = security(&config.keypair)?;
    #[cfg(feature = "testkit")]
    let security = NoiseOrTls {
        outlet: Outlet {
            link: config.link.clone(),
        },
        ..security
    };
    Ok(security)
}

/// Counts the bytes of all streams.
fn metered<M>(
    meters: &Meters,
    path: Path,
) -> impl FnOnce((PeerId, M), ConnectedPoint) -> (PeerId, StreamMuxerBox) + Clone + use<M>
where
    M: StreamMuxer + Send + Unpin + 'static,
    M::Substream: Send + Unpin + 'static,
    M::Error: std::error::Error + Send + Sync + 'static,
{
    let meters = meters.clone();
    move |(peer, muxer), _| {
        let muxer = meters.wrap(peer, path, muxer);
        (peer, StreamMuxerBox::new(muxer))
    }
}

#[cfg(feature = "webrtc")]
fn direct_webrtc(
    config: &Config,
    shared: &Shared<'_>,
) -> Result<
    impl libp2p::Transport<
        Output = (PeerId, StreamMuxerBox),
        Error: Send + Sync,
        ListenerUpgrade: Send,
        Dial: Send,
    > + Send
    + Unpin
    + use<>,
    StartError,
> {
    let certificate = match &config.certificate {
        Some(certificate) => certificate.clone(),
        None => crate::webrtc::Certificate::generate().map_err(wrong("webrtc"))?,
    };
    let (budget, tasks) = (shared.budget.clone(), shared.tasks.clone());
    let webrtc = webrtc::WebRtc::new(&config.keypair, certificate, budget, tasks);
    let webrtc = webrtc.map_err(wrong("webrtc"))?;
    Ok(webrtc.map(metered(shared.meters, Path::Direct)))
}

/// The state that the transports share with the rest of the network.
pub(crate) struct Shared<'a> {
    pub(crate) meters: &'a Meters,
    pub(crate) gate: &'a Gate,
    pub(crate) budget: &'a Budget,
    pub(crate) tasks: &'a TaskTracker,
}

/// Builds the transport and the relay client behaviour that belongs to it.
pub(crate) fn build(
    config: &Config,
    shared: &Shared<'_>,
    accepted: mpsc::Receiver<Accepted>,
) -> Result<(Authenticated, relay::client::Behaviour), StartError> {
    let Shared { meters, gate, .. } = *shared;
    let tcp_config = || tcp::Config::default().nodelay(true);
    let keypair = &config.keypair;
    let yamux = Yamux::new(shared.tasks.clone(), shared.budget.clone());
    let direct = metered(meters, Path::Direct);
    let plain = tcp::tokio::Transport::new(tcp_config())
        .upgrade(Version::V1Lazy)
        .authenticate(direct_security(config)?)
        .multiplex(yamux.clone())
        .map(direct.clone());
    let quic = Quic::new(keypair, config.limits.unread_bytes_max).map_err(wrong("quic"))?;
    let quic = quic.map(metered(meters, Path::Direct));
    let names = NameServers::of_system();
    let by_tcp = tcp::tokio::Transport::new(tcp_config());
    let resolved = Resolved::new(by_tcp, gate.clone(), names.clone());
    let websocket = websocket::Config::new(resolved)
        .upgrade(Version::V1Lazy)
        .authenticate(direct_security(config)?)
        .multiplex(yamux.clone())
        .map(direct);
    let handed = Handed::new(config.handed.clone(), accepted)
        .upgrade(Version::V1Lazy)
        .authenticate(direct_security(config)?)
        .multiplex(yamux.clone().in_messages())
        .map(metered(meters, Path::Direct));
    let by_ip = OrTransport::new(plain, quic).map(|either, _| either.into_inner());
    let by_name = Resolved::new(by_ip.boxed(), gate.clone(), names);
    // The WebSocket transport comes first: a plain TCP transport would also take the TCP part of a
    // WebSocket address.
    let hosts = OrTransport::new(websocket, by_name).map(|either, _| either.into_inner());
    // Handed-over listeners come before the WebSocket transport, which would bind their port.
    let hosts = OrTransport::new(handed, hosts).map(|either, _| either.into_inner());
    #[cfg(feature = "webrtc")]
    let hosts = OrTransport::new(direct_webrtc(config, shared)?, hosts)
        .map(|either, _| either.into_inner());

    let (circuits, behaviour) = relay::client::new(keypair.libp2p().public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(security(keypair)?)
        .multiplex(yamux.clone())
        .map(metered(meters, Path::Relayed));
    let all = OrTransport::new(circuits, hosts).map(|either, _| either.into_inner());
    let timely = TransportTimeout::new(all, config.limits.handshake_timeout).boxed();
    Ok((Gated::new(timely, gate.clone()).boxed(), behaviour))
}
