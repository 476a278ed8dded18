//! Calls over a link that is slow and loses packets.

use std::time::Duration;

use peerwork_testkit::link::Conditions;

use crate::world::{Over, World, bytes, full};

const POOR: Conditions = Conditions {
    delay: Duration::from_millis(30),
    lost_per_thousand: 50,
    retransmission: Duration::from_millis(100),
    bytes_per_second: Some(512 << 10),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_a_slow_lossy_link_completes_directly_and_over_a_circuit() {
    const BYTES: usize = 128 << 10;
    for over in [Over::Tcp, Over::Circuit] {
        let world = World::with(|setup| setup.over = over).await;
        world.links.set_all(POOR);
        let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        let request = world.request("POST", "/echo").body(full(sent.clone()));
        let response = world.send(request.unwrap()).await;
        let status = response.status();
        let received = bytes(response).await;
        let text = String::from_utf8_lossy(&received);
        assert_eq!(status, 200, "{over:?}: {text}");
        assert!(
            received == sent,
            "{over:?}: {} bytes differ",
            received.len()
        );
    }
}
