//! The memory of answers that callers do not read.

use hyper::{Response, body::Incoming};
use peerwork_net::Network;
use peerwork_testkit::{eventually, eventually_async};

use crate::world::{Over, World, text};

/// Bounds of unread bytes of all connections of a node; one connection may hold half.
const UNREAD_MAX: usize = 8 << 20;
/// Streams that were reset count until their muxers have dropped them.
const RESETTING: usize = UNREAD_MAX;
/// A window of yamux.
const WINDOW: usize = 256 << 10;

fn within_bounds(network: &Network) {
    let unread = network.buffered().unread_bytes;
    assert!(unread <= UNREAD_MAX + RESETTING, "{unread}");
}

/// Requests of clients that read the head of an answer of 100 MB and none of its body.
async fn deaf(world: &World, clients: usize) -> Vec<Response<Incoming>> {
    let mut deaf = Vec::new();
    for _ in 0..clients {
        deaf.push(world.get("/blob?100000000").await);
    }
    deaf
}

async fn world(over: Over) -> World {
    World::with(|setup| {
        setup.over = over;
        setup.limits.unread_bytes_max = UNREAD_MAX;
        setup.limits.unread_bytes_per_connection_max = UNREAD_MAX / 2;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_read_take_a_window_each_until_the_bound_resets_some() {
    for over in [Over::Tcp, Over::Circuit] {
        let world = world(over).await;
        let networks = [&world.relay_network, &world.edge_network];
        let (requests, tunnels) = (world.ingress.counter(), world.edge.counter());
        // These few fit: their windows fill, and then the app waits.
        const FEW: usize = 2;
        let few = deaf(&world, FEW).await;
        eventually("full windows", || {
            networks.into_iter().for_each(within_bounds);
            let unread = world.relay_network.buffered().unread_bytes;
            (unread >= FEW * WINDOW / 2).then_some(())
        })
        .await;
        assert_eq!((requests(), tunnels()), (FEW, FEW));
        // The windows of these are twice as much as the connection may hold.
        const MANY: usize = 32;
        let many = deaf(&world, MANY).await;
        eventually("tunnels to be ended by the bound", || {
            networks.into_iter().for_each(within_bounds);
            let settled = networks
                .iter()
                .all(|network| network.buffered().unread_bytes <= UNREAD_MAX / 2);
            // Sixteen full windows fit; more streams stay where some windows are not full.
            (settled && tunnels() <= FEW + MANY * 3 / 4).then_some(())
        })
        .await;
        eventually_async("another caller to be served", async || {
            networks.into_iter().for_each(within_bounds);
            let response = world.get("/echo").await;
            (response.status() == 200 && text(response).await.is_empty()).then_some(())
        })
        .await;
        drop((few, many));
        eventually("the memory to be free again", || {
            let unread = world.relay_network.buffered().unread_bytes;
            (requests() == 0 && unread < WINDOW).then_some(())
        })
        .await;
    }
}
