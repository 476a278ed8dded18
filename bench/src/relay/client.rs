//! A client of a relay: libp2p's transport, with the protocols encoded by hand. It does little work, so
//! that the figures are the relay's.
//!
//! ```text
//!  TCP ─▶ noise ─▶ yamux ─▶ drive (a task) ─┬─ ping, identify: answered here
//!                              ▲            └─ stop, gossip: to the inbox
//!                              └─ Client::open
//! ```

use std::{sync::Arc, task::Poll};

use anyhow::Context as _;
use futures::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint, Negotiated,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp,
};
use libp2p_yamux as yamux;
use multistream_select::{dialer_select_proto, listener_select_proto};
use tokio::sync::{mpsc, oneshot};

use super::wire::{self, Identify, protocol};

/// A stream whose protocol is negotiated.
pub(super) type Stream = Negotiated<SubstreamBox>;

/// The streams that the relay opened, each with its protocol.
pub(super) type Inbox = mpsc::UnboundedReceiver<(&'static str, Stream)>;

type Open = oneshot::Sender<SubstreamBox>;

/// A message or stream that the relay started and the client accepted.
const ACCEPTED: [&str; 4] = [
    protocol::PING,
    protocol::IDENTIFY,
    protocol::STOP,
    protocol::GOSSIP,
];
/// Streams of one client: 50 circuits and what the relay opens by itself.
const STREAMS_MAX: usize = 1024;

/// A connected client; dropping the client ends its connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) key: Arc<Keypair>,
    opens: mpsc::UnboundedSender<Open>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Connects to a relay at `/ip4/…/tcp/…`.
    pub(super) async fn connect(relay: &Multiaddr) -> anyhow::Result<(Self, Inbox)> {
        let key = Arc::new(Keypair::generate_ed25519());
        let mut streams = yamux::Config::default();
        streams.set_max_num_streams(STREAMS_MAX);
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&key)?)
            .multiplex(streams)
            .boxed();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let (_, muxer) = transport.dial(relay.clone(), options)?.await?;
        let (opens, to_open) = mpsc::unbounded_channel();
        let (inbox, streams) = mpsc::unbounded_channel();
        let task = tokio::spawn(drive(muxer, to_open, inbox, Arc::clone(&key)));
        Ok((Self { key, opens, task }, streams))
    }

    pub(super) fn id(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    /// Opens a stream.
    pub(super) async fn open(&self, protocol: &'static str) -> anyhow::Result<Stream> {
        let (reply, stream) = oneshot::channel();
        let gone = "the relay closed the connection";
        self.opens.send(reply).ok().context(gone)?;
        let stream = stream.await.context(gone)?;
        let (_, stream) = dialer_select_proto(stream, [protocol], Version::V1Lazy).await?;
        Ok(stream)
    }
}

/// Drives the connection until it ends.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut to_open: mpsc::UnboundedReceiver<Open>,
    inbox: mpsc::UnboundedSender<(&'static str, Stream)>,
    key: Arc<Keypair>,
) {
    let mut waiting: Option<Open> = None;
    let ended = poll_fn(move |cx| {
        loop {
            while muxer.poll_unpin(cx)?.is_ready() {}
            let inbound = muxer.poll_inbound_unpin(cx)?;
            let inbound_idle = inbound.is_pending();
            if let Poll::Ready(stream) = inbound {
                tokio::spawn(accept(stream, inbox.clone(), Arc::clone(&key)));
            }
            if waiting.is_none()
                && let Poll::Ready(open) = to_open.poll_recv(cx)
            {
                waiting = Some(open.ok_or(std::io::ErrorKind::BrokenPipe)?);
            }
            if waiting.is_some()
                && let Poll::Ready(stream) = muxer.poll_outbound_unpin(cx)?
                && let Some(open) = waiting.take()
            {
                // The caller may no longer wait.
                let _ = open.send(stream);
            } else if inbound_idle {
                return Poll::<std::io::Result<()>>::Pending;
            }
        }
    });
    // The end of the connection ends all streams, whose readers report it.
    let _ = ended.await;
}

/// Negotiates the protocol of a stream; answers ping and identify, and hands other streams on.
async fn accept(
    stream: SubstreamBox,
    inbox: mpsc::UnboundedSender<(&'static str, Stream)>,
    key: Arc<Keypair>,
) -> anyhow::Result<()> {
    let (protocol, mut stream) = listener_select_proto(stream, ACCEPTED).await?;
    match protocol {
        protocol::PING => loop {
            let mut bytes = [0; 32];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes).await?;
            stream.flush().await?;
        },
        protocol::IDENTIFY => {
            let message = Identify {
                public_key: Some(key.public().encode_protobuf()),
                protocols: ACCEPTED.map(String::from).into(),
                protocol_version: Some("bench".to_owned()),
                agent_version: Some("bench".to_owned()),
            };
            wire::send(&mut stream, &message).await?;
            stream.close().await?;
        }
        other => {
            let _ = inbox.send((other, stream));
        }
    }
    Ok(())
}
