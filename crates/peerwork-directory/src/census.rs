//! Counts the nodes of a network by a relay's word, without a directory of its own.

use peerwork_identity::NodeId;
use peerwork_net::Network;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};

use crate::protocol::{
    ADVERTISEMENT_TYPE, EnvelopeHead, Frames, PROTOCOL, Request, Response, SnapshotRequest,
    request, response,
};

/// The most nodes that are counted: their announcements are received whole, about 2 KiB each.
pub const COUNTED_MAX: usize = 10_000;

/// Asks a connected relay for the directory of `name`, and counts the advertisements in it, at most
/// [`COUNTED_MAX`]. `None` when the relay sends no whole directory before the deadline.
///
/// The signatures are not checked: the number is the relay's word, for people.
pub async fn count_nodes(
    network: &Network,
    name: &str,
    relay: NodeId,
    deadline: Instant,
) -> Option<usize> {
    let counting = count(network, name, relay, deadline);
    timeout_at(deadline, counting).await.ok().flatten()
}

async fn count(network: &Network, name: &str, relay: NodeId, deadline: Instant) -> Option<usize> {
    let stream = network.open(relay, &PROTOCOL, deadline).await.ok()?;
    let mut frames = Frames::asking(stream);
    let question = request::Kind::Snapshot(SnapshotRequest {
        network: name.to_owned(),
        relays_only: false,
        offering: String::new(),
    });
    frames.write(&Request::from(question)).await.ok()?;
    let mut counted = 0;
    loop {
        let response: Response = frames.read().await.ok()??;
        let Some(response::Kind::Chunk(chunk)) = response.kind else {
            return None;
        };
        let advertisements = chunk
            .envelopes
            .iter()
            .filter(|bytes| is_advertisement(bytes));
        counted += advertisements.count();
        if chunk.last || counted >= COUNTED_MAX {
            return Some(counted.min(COUNTED_MAX));
        }
        if chunk.envelopes.is_empty() {
            return None;
        }
    }
}

fn is_advertisement(envelope: &[u8]) -> bool {
    EnvelopeHead::decode(envelope).is_ok_and(|head| head.payload_type == ADVERTISEMENT_TYPE)
}
