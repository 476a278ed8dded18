//! Calls over QUIC and over a circuit behave as over TCP.

use http_body_util::BodyExt;
use peerwork_net::Path;
use peerwork_testkit::{eventually, node::soon};
use tokio::time::timeout;

use crate::world::{Over, SOON, World, bytes, full, text};

const OTHERS: [(Over, Path); 2] = [(Over::Quic, Path::Direct), (Over::Circuit, Path::Relayed)];

async fn world(over: Over) -> World {
    World::with(|setup| setup.over = over).await
}

#[tokio::test]
async fn bodies_pass_both_ways_over_quic_and_over_a_circuit() {
    const BYTES: usize = 8 << 20;
    for (over, path) in OTHERS {
        let world = world(over).await;
        let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        let request = world.request("POST", "/echo").body(full(sent.clone()));
        let received = bytes(world.send(request.unwrap()).await).await;
        assert!(
            received == sent,
            "{over:?}: {} bytes differ",
            received.len()
        );
        assert_eq!(world.relay_network.path(world.node()), Some(path));
        for _ in 0..3 {
            assert_eq!(text(world.get("/echo").await).await, "");
        }
        let opened = world.metric("peerwork_ingress_tunnels_opened_total");
        assert!(opened <= 2.0, "{over:?}: {opened} tunnels");
    }
}

#[tokio::test]
async fn events_are_not_buffered_and_a_disconnect_frees_the_tunnel_over_quic_and_over_a_circuit() {
    for (over, _) in OTHERS {
        let world = world(over).await;
        let mut response = world.get("/events").await;
        for event in ["data: one\n\n", "data: two"] {
            world.app.say(event);
            let frame = timeout(SOON, response.frame()).await.unwrap();
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), event);
        }
        drop(response);
        let tunnels = world.edge.counter();
        eventually("everything to be free again", || {
            (world.app.waiting() == 0 && tunnels() == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_over_quic_and_over_a_circuit() {
    for (over, _) in OTHERS {
        let world = world(over).await;
        for path in ["/dies", "/dies-chunked"] {
            let response = world.get(path).await;
            assert_eq!(response.status(), 200);
            let collected = timeout(SOON, response.into_body().collect()).await.unwrap();
            assert!(collected.is_err(), "{over:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_closed_relay_connection_ends_requests_and_later_calls_succeed() {
    let world = World::start().await;
    text(world.get("/echo").await).await;
    let mut response = world.get("/events").await;
    world
        .relay_network
        .disconnect(world.node(), soon())
        .await
        .unwrap();
    let frame = timeout(SOON, response.frame()).await.unwrap();
    assert!(frame.is_none_or(|frame| frame.is_err()));
    let response = world.get("/echo").await;
    assert_eq!(response.status(), 200);
}
