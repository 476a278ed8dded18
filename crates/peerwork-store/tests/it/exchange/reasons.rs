//! The reasons for which a fetch leaves providers alone, as events and in its error.

use std::{collections::HashSet, time::Duration};

use peerwork_store::{
    Source as _,
    exchange::{
        Answer, Dropped, FetchError, FetchEvent, FetchOptions, ProviderReport,
        wire::{Outgoing, Presence, cid_of},
    },
};
use peerwork_testkit::{DEADLINE, Mesh, eventually};
use tokio::time::timeout;

use super::kit::{Fake, Peer, Tree, config, leaf, message, tree};

/// A node that gives the first `given` different blocks of a tree, and then is as if it were stopped.
fn stops_after(network: &peerwork_net::Network, tree: &Tree, given: usize) -> Fake {
    let blocks = tree.blocks.clone();
    let mut sent = HashSet::new();
    Fake::new(network, move |entry| {
        let cid = cid_of(&entry.block).unwrap();
        let block = blocks.iter().find(|block| *block.cid() == cid).unwrap();
        let gives = sent.len() < given && sent.insert(cid);
        gives.then(|| message(block)).into_iter().collect()
    })
}

fn named(mesh: &Mesh) -> FetchOptions {
    FetchOptions {
        named: vec![mesh.id(1)],
        ..FetchOptions::default()
    }
}

/// The events of dropped providers, and the error, of a fetch that fails.
async fn failing(
    node: &Peer,
    root: cid::Cid,
    options: FetchOptions,
) -> (Vec<ProviderReport>, FetchError) {
    let mut drops = Vec::new();
    let fetch = node.exchange.fetch(root, options, |event| {
        if let FetchEvent::Dropped(report) = event {
            drops.push(report);
        }
    });
    let failed = timeout(DEADLINE, fetch).await.unwrap().err().unwrap();
    (drops, failed)
}

#[tokio::test]
async fn a_provider_that_stopped_answering_is_named_with_its_silence_and_what_it_gave() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let tree = tree(71, 20, 1000);
    let _fake = stops_after(&mesh[1], &tree, 7);
    let (drops, error) = failing(&a, tree.root, named(&mesh)).await;
    let text = error.to_string();
    let bytes: usize = tree.blocks[..7].iter().map(|b| b.data().len()).sum();
    let of_node = format!("{} stopped answering: nothing came from it for", mesh.id(1));
    assert!(text.contains(&of_node), "{text}");
    assert!(
        text.contains(&format!("after 7 blocks of {bytes} bytes")),
        "{text}"
    );
    let FetchError::Stalled { received, .. } = error else {
        panic!("{text}");
    };
    assert_eq!((received.blocks, received.bytes), (7, bytes as u64));
    let first = drops
        .first()
        .expect("the drop is told while the fetch goes on");
    assert_eq!(first.node, mesh.id(1));
    assert_eq!(first.answer, Answer::Dropped(Dropped::Silent));
    assert!(first.quiet.unwrap() >= config().silence, "{first:?}");
    mesh.stop().await;
}

/// The fetch ends before the provider is dropped for its silence.
#[tokio::test]
async fn a_provider_that_stopped_is_named_also_where_patience_ends_first() {
    let mesh = Mesh::line(2).start().await;
    let mut patient = config();
    patient.silence = DEADLINE;
    let a = Peer::with(&mesh[0], patient);
    let tree = tree(72, 20, 1000);
    let _fake = stops_after(&mesh[1], &tree, 7);
    let options = FetchOptions {
        patience: Some(Duration::from_millis(1500)),
        ..named(&mesh)
    };
    let (drops, error) = failing(&a, tree.root, options).await;
    let text = error.to_string();
    assert!(text.contains("stopped answering: nothing came"), "{text}");
    assert_eq!(drops, []);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_connection_breaks_is_named_with_that_reason() {
    let mut mesh = Mesh::line(2).start().await;
    let mut patient = config();
    patient.silence = DEADLINE;
    let a = Peer::with(&mesh[0], patient);
    let tree = tree(73, 20, 1000);
    let _fake = stops_after(&mesh[1], &tree, 7);
    let (drops, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let (exchange, root, options) = (a.exchange.clone(), tree.root, named(&mesh));
    let fetch = tokio::spawn(async move {
        let on = |event| {
            if let FetchEvent::Dropped(report) = event {
                let _ = drops.send(report);
            }
        };
        exchange.fetch(root, options, on).await
    });
    let node = mesh.id(1);
    eventually("the first blocks", || {
        (a.blocks_from(node) == 7).then_some(())
    })
    .await;
    mesh.kill(1).await;
    let first = timeout(DEADLINE, dropped.recv()).await.unwrap().unwrap();
    assert_eq!(first.dropped, [Dropped::Failed]);
    assert!(
        first
            .told()
            .contains("broke the connection, after 7 blocks")
    );
    let error = timeout(DEADLINE, fetch).await.unwrap().unwrap();
    let text = error.err().unwrap().to_string();
    assert!(text.contains("could not be reached"), "{text}");
    assert!(text.contains("it broke the connection"), "{text}");
    mesh.stop().await;
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_named_with_the_words_of_the_dial() {
    let mesh = Mesh::apart(2).start().await;
    let a = Peer::new(&mesh[0]);
    let (drops, error) = failing(&a, *leaf(74, 10).cid(), named(&mesh)).await;
    let text = error.to_string();
    let words = "could not be reached (the test does not know the node)";
    assert!(text.contains(words), "{text}");
    assert!(drops[0].told().contains(words), "{drops:?}");
    mesh.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_speak_bitswap_is_named_so() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let (_, error) = failing(&a, *leaf(75, 10).cid(), named(&mesh)).await;
    let text = error.to_string();
    assert!(text.contains("does not speak Bitswap"), "{text}");
    mesh.stop().await;
}

#[tokio::test]
async fn a_reader_of_a_session_hears_of_a_liar_and_of_its_reason() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let _fake = Fake::new(&mesh[1], |_| vec![message(&leaf(4711, 100))]);
    let wanted = *leaf(76, 10).cid();
    let session = a.exchange.session(wanted, vec![mesh.id(1)]);
    let mut drops = session.drops();
    let failed = timeout(DEADLINE, session.get(&wanted)).await.unwrap();
    let text = failed.unwrap_err().to_string();
    assert!(text.contains("sent data that nobody asked for"), "{text}");
    let told = drops.try_recv().unwrap();
    assert_eq!((told.node, told.dropped), (mesh.id(1), vec![Dropped::Lied]));
    mesh.stop().await;
}

/// A node that says it has a block, and later that it has not.
#[tokio::test]
async fn a_node_that_takes_its_word_back_ends_a_fetch_with_its_last_answer() {
    let mesh = Mesh::line(2).start().await;
    let a = Peer::new(&mesh[0]);
    let _fake = Fake::new(&mesh[1], |entry| {
        let mut outgoing = Outgoing::default();
        let presence = match entry.want_type {
            1 => Presence::Present,
            _ => Presence::Absent,
        };
        outgoing.add_presence(&cid_of(&entry.block).unwrap(), presence);
        vec![outgoing]
    });
    a.knows(mesh.id(1)).await;
    let (_, error) = failing(&a, *leaf(77, 10).cid(), FetchOptions::default()).await;
    let text = error.to_string();
    assert!(text.contains("does not have it"), "{text}");
    mesh.stop().await;
}
