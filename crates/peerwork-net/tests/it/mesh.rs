//! Gossip among several nodes that are not all connected.

use std::time::Duration;

use peerwork_net::gossip::{Message, Mode, Verdict};
use peerwork_testkit::{DEADLINE, Mesh};
use tokio::time::timeout;

use crate::node::soon;

/// How long a message may take before the next one is sent.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_passes_along_a_line_of_five_nodes_in_both_directions() {
    let mesh = Mesh::line(5).start().await;
    let accept = |_: &Message| Verdict::Accept;
    let mut topics = Vec::new();
    for i in 0..5 {
        let topic = mesh[i].topic("test", Mode::Subscribe, accept, soon()).await;
        topics.push(topic.unwrap());
    }
    for (from, to) in [(0, 4), (4, 0)] {
        let publisher = topics[from].publisher();
        // A node forwards only to subscribers that it knows, so that the first messages may be lost.
        let heard = async {
            for number in 0_u32.. {
                let text = format!("{number} from {from}");
                let published = publisher.publish(text.into_bytes(), soon()).await;
                let message = timeout(RETRY_AFTER, topics[to].next()).await;
                if let (Ok(()), Ok(Some(message))) = (published, message) {
                    return message;
                }
            }
            unreachable!("the deadline comes first");
        };
        let message = timeout(DEADLINE, heard).await.unwrap();
        assert!(message.data.ends_with(format!("from {from}").as_bytes()));
    }
    for i in 0..5 {
        let neighbours = if i == 0 || i == 4 { 1 } else { 2 };
        assert_eq!(mesh[i].peer_count(), neighbours, "node {i}");
    }
}
