//! The messages of a relay's client: circuit relay v2, identify and gossipsub by libp2p's
//! specifications, in length-prefixed frames.

use anyhow::Context as _;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use prost::Message;

/// The protocols that a client speaks.
pub(super) mod protocol {
    pub(crate) const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";
    pub(crate) const STOP: &str = "/libp2p/circuit/relay/0.2.0/stop";
    pub(crate) const GOSSIP: &str = "/meshsub/1.1.0";
    pub(crate) const IDENTIFY: &str = "/ipfs/id/1.0.0";
    pub(crate) const PING: &str = "/ipfs/ping/1.0.0";
}

/// Status 100 of circuit relay v2.
pub(super) const OK: i32 = 100;
/// Bytes of a frame that a client reads.
const FRAME_MAX: usize = 1 << 20;

/// Types: 0 reserve, 1 connect, 2 status.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hop {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) peer: Option<Peer>,
    #[prost(int32, optional, tag = "5")]
    pub(super) status: Option<i32>,
}

/// Types: 0 connect, 1 status.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Stop {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(int32, optional, tag = "4")]
    pub(super) status: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Peer {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(super) id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Identify {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) public_key: Option<Vec<u8>>,
    #[prost(string, repeated, tag = "3")]
    pub(super) protocols: Vec<String>,
    #[prost(string, optional, tag = "5")]
    pub(super) protocol_version: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(super) agent_version: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Rpc {
    #[prost(message, repeated, tag = "1")]
    pub(super) subscriptions: Vec<Subscription>,
    #[prost(message, repeated, tag = "2")]
    pub(super) publish: Vec<Published>,
    #[prost(message, optional, tag = "3")]
    pub(super) control: Option<Control>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Subscription {
    #[prost(bool, optional, tag = "1")]
    pub(super) subscribe: Option<bool>,
    #[prost(string, optional, tag = "2")]
    pub(super) topic: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Published {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) from: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) data: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) seqno: Option<Vec<u8>>,
    #[prost(string, optional, tag = "4")]
    pub(super) topic: Option<String>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) signature: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Control {
    #[prost(message, repeated, tag = "3")]
    pub(super) graft: Vec<Graft>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graft {
    #[prost(string, optional, tag = "1")]
    pub(super) topic: Option<String>,
}

/// Sends one message behind its length.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
) -> anyhow::Result<()> {
    stream
        .write_all(&message.encode_length_delimited_to_vec())
        .await?;
    stream.flush().await?;
    Ok(())
}

/// Reads one message and not a byte behind it; `None` at the stream's end.
pub(super) async fn receive<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
) -> anyhow::Result<Option<M>> {
    let mut length = 0_usize;
    for shift in (0..).step_by(7) {
        let mut byte = [0_u8];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
        anyhow::ensure!(shift < 21, "a length of more than four bytes");
    }
    anyhow::ensure!(length <= FRAME_MAX, "a frame of {length} bytes");
    let mut frame = vec![0; length];
    stream
        .read_exact(&mut frame)
        .await
        .context("half a frame")?;
    Ok(Some(M::decode(frame.as_slice())?))
}
