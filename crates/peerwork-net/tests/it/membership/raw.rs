//! A client without a swarm: opens and accepts streams over TCP, Noise and yamux, and negotiates their
//! protocols by hand, so that it can say anything.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{DialOpts, PortUse},
        upgrade,
    },
    identity, noise, tcp,
};
use libp2p_yamux as yamux;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};

use crate::node::soon;

/// The header of multistream-select.
const HEADER: &str = "/multistream/1.0.0";
/// The answer of multistream-select to a protocol that is not spoken.
pub(super) const NOT_SPOKEN: &str = "na";

/// A connection; dropping it closes it.
pub(super) struct Raw {
    inbound: mpsc::UnboundedReceiver<SubstreamBox>,
    opens: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
}

impl Raw {
    pub(super) async fn dial(key: &identity::Keypair, address: Multiaddr) -> Self {
        let mut muxer = yamux::Config::default();
        muxer.set_max_num_streams(2048);
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(upgrade::Version::V1)
            .authenticate(noise::Config::new(key).unwrap())
            .multiplex(muxer)
            .boxed();
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dialled = transport.dial(address, options).unwrap();
        let (_, muxer) = timeout_at(soon(), dialled).await.unwrap().unwrap();
        let (inbound_sender, inbound) = mpsc::unbounded_channel();
        let (opens, open_receiver) = mpsc::unbounded_channel();
        tokio::spawn(drive(muxer, inbound_sender, open_receiver));
        Self { inbound, opens }
    }

    /// Opens a stream without a protocol; `None` when the connection is closed.
    pub(super) async fn open(&self) -> Option<SubstreamBox> {
        let (reply, opened) = oneshot::channel();
        self.opens.send(reply).ok()?;
        opened.await.ok()
    }

    /// Opens a stream and proposes a protocol; gives the answer too.
    pub(super) async fn propose(&self, name: &str) -> Option<(SubstreamBox, String)> {
        let mut stream = self.open().await?;
        say(&mut stream, HEADER).await?;
        say(&mut stream, name).await?;
        hear(&mut stream).await.filter(|header| header == HEADER)?;
        let answer = hear(&mut stream).await?;
        Some((stream, answer))
    }

    /// Accepts the next stream with any protocol, and gives its name.
    pub(super) async fn accept(&mut self) -> Option<(SubstreamBox, String)> {
        let mut stream = self.inbound.recv().await?;
        hear(&mut stream).await.filter(|header| header == HEADER)?;
        let name = hear(&mut stream).await?;
        say(&mut stream, HEADER).await?;
        say(&mut stream, &name).await?;
        Some((stream, name))
    }

    /// Waits until the other side has closed the connection.
    pub(super) async fn closed(mut self) {
        timeout_at(soon(), async {
            while self.inbound.recv().await.is_some() {}
        })
        .await
        .unwrap();
    }
}

/// A stream that one of the sides opened.
enum Opened {
    Inbound(SubstreamBox),
    Outbound(SubstreamBox),
}

/// Waits for the next stream; `None` when the connection is closed.
fn poll_opened(
    muxer: &mut StreamMuxerBox,
    cx: &mut Context<'_>,
    outbound: bool,
) -> Poll<Option<Opened>> {
    if let Poll::Ready(Err(_)) = muxer.poll_unpin(cx) {
        return Poll::Ready(None);
    }
    if let Poll::Ready(stream) = muxer.poll_inbound_unpin(cx) {
        return Poll::Ready(stream.ok().map(Opened::Inbound));
    }
    match outbound {
        true => muxer
            .poll_outbound_unpin(cx)
            .map(|stream| stream.ok().map(Opened::Outbound)),
        false => Poll::Pending,
    }
}

/// Runs the connection until its end at either side.
async fn drive(
    mut muxer: StreamMuxerBox,
    inbound: mpsc::UnboundedSender<SubstreamBox>,
    mut opens: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
) {
    let mut waiting: Option<oneshot::Sender<SubstreamBox>> = None;
    loop {
        let outbound = waiting.is_some();
        tokio::select! {
            biased;
            open = opens.recv(), if !outbound => match open {
                Some(reply) => waiting = Some(reply),
                None => return,
            },
            opened = poll_fn(|cx| poll_opened(&mut muxer, cx, outbound)) => match opened {
                None => return,
                Some(Opened::Inbound(stream)) => drop(inbound.send(stream)),
                Some(Opened::Outbound(stream)) => {
                    if let Some(reply) = waiting.take() {
                        let _ = reply.send(stream);
                    }
                }
            },
        }
    }
}

async fn say(stream: &mut SubstreamBox, text: &str) -> Option<()> {
    let length = u8::try_from(text.len() + 1).unwrap();
    assert!(length < 0x80, "a varint of one byte");
    let mut bytes = vec![length];
    bytes.extend(text.as_bytes());
    bytes.push(b'\n');
    stream.write_all(&bytes).await.ok()?;
    stream.flush().await.ok()
}

async fn hear(stream: &mut SubstreamBox) -> Option<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await.ok()?;
    let mut bytes = vec![0; usize::from(length[0])];
    stream.read_exact(&mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).ok()?;
    Some(text.trim_end().to_owned())
}
