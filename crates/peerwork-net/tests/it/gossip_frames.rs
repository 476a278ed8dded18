//! Frames of pubsub that are larger than a node reads, and streams that a client opens anew: the client
//! loses what is above a bound, and nothing else.

use std::collections::HashSet;

use peerwork_identity::Keypair;
use peerwork_net::config::Hub;
use peerwork_testkit::{RawFrame, RawGossip, RawMessage, eventually, node::key};

use crate::{
    gossip_forms::{ROOM, Room, drops, next, room},
    node::{address, config, start},
};

/// The most bytes of a frame: the network's largest message and what may stand beside it.
const FRAME_BYTES_MAX: usize = (1 << 20) + (144 << 10);
/// The most bytes of subscriptions and control messages in a frame.
const CONTROL_BYTES_MAX: usize = 128 << 10;

/// A message that differs from the others by its number.
fn message(author: &Keypair, number: u64) -> RawMessage {
    let message = RawMessage {
        seqno: Some(number.to_be_bytes().to_vec()),
        ..RawMessage::unsigned(ROOM, &number.to_be_bytes())
    };
    message.signed_by(author)
}

async fn hears(room: &mut Room, number: u64) {
    assert_eq!(*next(&mut room.topic).await.data, number.to_be_bytes());
}

async fn clients(room: &Room) -> [RawGossip; 2] {
    [
        RawGossip::floodsub(address(&room.hub)).await,
        RawGossip::gossipsub(address(&room.hub)).await,
    ]
}

/// js-libp2p's gossipsub sends frames of up to 4 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_above_the_bound_is_counted_and_costs_its_sender_nothing_else() {
    let (mut room, author) = (room().await, key());
    let mut number = 0;
    for (mut client, above) in clients(&room).await.into_iter().zip([1, 3 << 20]) {
        let before = drops(&room.metrics, "size");
        number += 3;
        let frame = |number| RawFrame::publishing(message(&author, number));
        let at_bound = frame(number).padded_to(FRAME_BYTES_MAX);
        client.send_frame(&at_bound).await;
        hears(&mut room, number).await;
        let above_bound = frame(number + 1).padded_to(FRAME_BYTES_MAX + above);
        client.send_frame(&above_bound).await;
        client.send_frame(&frame(number + 2)).await;
        hears(&mut room, number + 2).await;
        eventually("the frame to be counted", || {
            (drops(&room.metrics, "size") == before + 1).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_messages_above_the_bound_are_counted_and_cost_their_sender_nothing_else() {
    let (mut room, author) = (room().await, key());
    let mut client = RawGossip::gossipsub(address(&room.hub)).await;
    for (number, above) in [(1, 0), (2, 1)] {
        // A name that no hub follows, as long as the bound allows.
        let name = |bytes| RawFrame::subscribing(["x".repeat(bytes)]);
        let beside = name(CONTROL_BYTES_MAX).bytes() - CONTROL_BYTES_MAX;
        let mut frame = name(CONTROL_BYTES_MAX + above - beside);
        frame.publish = vec![message(&author, number)];
        client.send_frame(&frame).await;
        if above == 0 {
            hears(&mut room, number).await;
        }
    }
    client.send(message(&author, 3)).await;
    hears(&mut room, 3).await;
    eventually("the frame to be counted", || {
        (drops(&room.metrics, "frame") == 1).then_some(())
    })
    .await;
}

/// All subscriptions of a client are in the first frame of its stream.
#[tokio::test]
async fn a_client_subscribes_to_all_topics_of_its_share_in_one_frame() {
    let mut settings = config();
    settings.gossip.hub = Some(Hub::default());
    let hub = start(settings).await;
    let mut client = RawGossip::gossipsub(address(&hub)).await;
    // The longest names, as many as one node may have.
    let names: HashSet<_> = (0..64).map(|number| format!("{number:0>256}")).collect();
    let frame = RawFrame::subscribing(names.clone());
    client.send_frame(&frame).await;
    eventually("all topics", || {
        let topics = hub.forwarded_topics();
        let followed: HashSet<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        followed.is_superset(&names).then_some(())
    })
    .await;
}

/// A client ends its stream when its pubsub stops, and opens another one when it starts again; floodsub
/// of rust-libp2p has a stream for each message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_heard_on_every_stream_that_it_opens_anew() {
    let (mut room, author) = (room().await, key());
    let mut number = 0;
    for mut client in clients(&room).await {
        for _ in 0..20 {
            number += 1;
            client.send(message(&author, number)).await;
            hears(&mut room, number).await;
            client.open_anew().await;
        }
    }
}
