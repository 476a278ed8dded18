//! Answers to the wants of other nodes.

use std::sync::{Arc, Mutex};

use peerwork_identity::NodeId;
use peerwork_net::{Limits, Network};
use peerwork_store::exchange::wire::{
    Entry, Message, Outgoing, PROTOCOL, Presence, WantType, Wantlist, cid_of, read_frame,
};
use peerwork_testkit::{DEADLINE, Mesh, eventually};

use super::kit::{Peer, leaf, send, tree};

/// A node that asks and notes the answers.
struct Asker {
    network: Network,
    of: NodeId,
    got: Arc<Mutex<Vec<Message>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asker {
    fn new(network: &Network, of: NodeId) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&got);
        let mut incoming = network.serve(PROTOCOL, Limits::default()).unwrap();
        let task = tokio::spawn(async move {
            while let Some(mut inbound) = incoming.next().await {
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let stream = &mut inbound.stream;
                    while let Ok(Some(frame)) =
                        read_frame(stream, &mut |_| (), DEADLINE, DEADLINE).await
                    {
                        notes.lock().unwrap().push(Message::read(frame).unwrap());
                    }
                });
            }
        });
        let network = network.clone();
        Self {
            network,
            of,
            got,
            task,
        }
    }

    async fn ask(&self, entries: Vec<Entry>, full: bool) {
        let message = Message {
            wantlist: Some(Wantlist { entries, full }),
            ..Message::default()
        };
        send(&self.network, self.of, vec![Outgoing::of(&message)]).await;
    }

    /// Waits for so many blocks and presences; their data, and the statements in order.
    async fn answers(&self, blocks: usize, presences: usize) -> (Vec<Vec<u8>>, Vec<i32>) {
        eventually("the answers", || {
            let got = self.got.lock().unwrap();
            let data: Vec<_> = got
                .iter()
                .flat_map(|m| &m.payload)
                .map(|p| p.data.to_vec())
                .collect();
            let said: Vec<_> = got
                .iter()
                .flat_map(|m| &m.presences)
                .map(|p| p.presence)
                .collect();
            let enough = data.len() >= blocks && said.len() >= presences;
            enough.then_some((data, said))
        })
        .await
    }
}

fn quiet(entry: Entry) -> Entry {
    Entry {
        send_dont_have: false,
        ..entry
    }
}

const ABSENT: i32 = Presence::Absent as i32;
const PRESENT: i32 = Presence::Present as i32;

#[tokio::test]
async fn wants_are_answered_with_blocks_and_statements() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let (here, absent) = (leaf(31, 700), leaf(32, 700));
    a.put(&[here.clone()]);
    let asker = Asker::new(&mesh[1], a.id());
    let have = |block: &peerwork_store::Block| Entry::want(block.cid(), WantType::Have);
    let want = |block: &peerwork_store::Block| Entry::want(block.cid(), WantType::Block);
    asker.ask(vec![have(&here)], false).await;
    assert_eq!(asker.answers(0, 1).await.1, [PRESENT]);
    asker.ask(vec![have(&absent)], false).await;
    assert_eq!(asker.answers(0, 2).await.1, [PRESENT, ABSENT]);
    asker.ask(vec![want(&absent), want(&here)], false).await;
    let (blocks, said) = asker.answers(1, 3).await;
    assert_eq!(blocks, [here.data().to_vec()]);
    assert_eq!(said, [PRESENT, ABSENT, ABSENT]);
    mesh.stop().await;
}

#[tokio::test]
async fn a_want_without_dont_have_is_answered_when_the_block_comes() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let (late, cancelled, other) = (leaf(33, 700), leaf(34, 700), leaf(35, 10));
    let asker = Asker::new(&mesh[1], a.id());
    let want = |block: &peerwork_store::Block| quiet(Entry::want(block.cid(), WantType::Block));
    asker.ask(vec![want(&late), want(&cancelled)], false).await;
    eventually("both are remembered", || {
        let remembered = a.metric("peerwork_exchange_wants_total{outcome=\"remembered\"}");
        (remembered == 2.0).then_some(())
    })
    .await;
    asker.ask(vec![Entry::cancel(cancelled.cid())], false).await;
    // The answer to the next question tells that the cancel was read.
    asker
        .ask(vec![Entry::want(other.cid(), WantType::Have)], false)
        .await;
    assert_eq!(asker.answers(0, 1).await.1, [ABSENT]);
    a.put(&[cancelled, late.clone()]);
    let (blocks, _) = asker.answers(1, 1).await;
    assert!(blocks == [late.data().to_vec()]);
    mesh.stop().await;
}

#[tokio::test]
async fn a_full_wantlist_ends_all_wants_before() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let (old, new) = (leaf(36, 700), leaf(37, 700));
    let asker = Asker::new(&mesh[1], a.id());
    let want = |block: &peerwork_store::Block| quiet(Entry::want(block.cid(), WantType::Block));
    for (block, full, count) in [(&old, false, 1.0), (&new, true, 2.0)] {
        asker.ask(vec![want(block)], full).await;
        eventually("the want is remembered", || {
            let remembered = a.metric("peerwork_exchange_wants_total{outcome=\"remembered\"}");
            (remembered == count).then_some(())
        })
        .await;
    }
    a.put(&[old, new.clone()]);
    let (blocks, _) = asker.answers(1, 0).await;
    assert!(blocks == [new.data().to_vec()]);
    mesh.stop().await;
}

#[tokio::test]
async fn a_node_has_at_most_1024_wants_and_is_told_of_the_others() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let asker = Asker::new(&mesh[1], a.id());
    let want = |seed| quiet(Entry::want(leaf(seed, 8).cid(), WantType::Block));
    let mut entries: Vec<Entry> = (0..1024).map(|i| want(40_000 + i)).collect();
    asker.ask(entries.clone(), false).await;
    eventually("all are remembered", || {
        let remembered = a.metric("peerwork_exchange_wants_total{outcome=\"remembered\"}");
        (remembered == 1024.0).then_some(())
    })
    .await;
    let here = leaf(39, 8);
    a.put(&[here.clone()]);
    entries.clear();
    entries.push(Entry::want(here.cid(), WantType::Block));
    asker.ask(entries, false).await;
    let (_, said) = asker.answers(0, 1).await;
    assert_eq!(said, [ABSENT]);
    assert_eq!(
        a.metric("peerwork_exchange_wants_total{outcome=\"refused\"}"),
        1.0
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_go_in_few_messages_and_in_the_order_of_the_wants() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let tree = tree(38, 400, 4000);
    a.put(&tree.blocks);
    let asker = Asker::new(&mesh[1], a.id());
    let wants = tree
        .blocks
        .iter()
        .map(|b| Entry::want(b.cid(), WantType::Block));
    asker.ask(wants.collect(), false).await;
    let (blocks, _) = asker.answers(tree.blocks.len(), 0).await;
    let expected: Vec<_> = tree.blocks.iter().map(|b| b.data().to_vec()).collect();
    assert!(blocks == expected, "the order is another");
    let messages = asker.got.lock().unwrap().len();
    assert!(messages <= 10, "{messages} messages");
    let cids = asker.got.lock().unwrap();
    assert!(
        cids.iter()
            .all(|m| m.presences.iter().all(|p| cid_of(&p.cid).is_some()))
    );
    drop(cids);
    mesh.stop().await;
}
