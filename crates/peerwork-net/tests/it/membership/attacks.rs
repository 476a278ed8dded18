//! Attacks on the proof of a secret: relayed, reflected, repeated and malformed messages of
//! `/peerwork/network/1`, and strangers that ask for other protocols.

use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::SubstreamBox;
use peerwork_identity::Keypair;
use peerwork_net::Network;
use peerwork_testkit::{
    eventually,
    node::{NETWORK, key},
};
use tokio::time::timeout_at;

use super::{
    ECHO, WELCOME, dial, echo,
    raw::{NOT_SPOKEN, Raw},
    secret, serve, with,
};
use crate::{
    node::{behind_nat_config, relay_config, soon, start},
    rust,
};

const PROOF: &str = "/peerwork/network/1";
const PROVEN_BYTES: usize = 2 + 32;

async fn stranger(key: &Keypair, to: &Network) -> Raw {
    Raw::dial(key.libp2p(), rust::at(to, "/tcp/")).await
}

/// Accepts the challenge of the other node, and reads its nonce.
async fn challenged(raw: &mut Raw) -> (SubstreamBox, [u8; 32]) {
    let (mut stream, name) = timeout_at(soon(), raw.accept()).await.unwrap().unwrap();
    assert_eq!(name, PROOF);
    let mut nonce = [0; 32];
    stream.read_exact(&mut nonce).await.unwrap();
    (stream, nonce)
}

/// Challenges the other node with a nonce; `None` when it does not answer.
async fn challenge(raw: &Raw, nonce: [u8; 32]) -> Option<(SubstreamBox, [u8; PROVEN_BYTES])> {
    let (mut stream, _) = raw.propose(PROOF).await?;
    stream.write_all(&nonce).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = [0; PROVEN_BYTES];
    stream.read_exact(&mut answer).await.ok()?;
    Some((stream, answer))
}

/// Answers a challenge with these bytes, and reads the verdict.
async fn verdict(stream: &mut SubstreamBox, answer: &[u8]) -> Option<u8> {
    stream.write_all(answer).await.ok()?;
    stream.flush().await.ok()?;
    let mut verdict = [0];
    stream.read_exact(&mut verdict).await.ok()?;
    Some(verdict[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_a_member_opens_no_connection_of_the_node_that_relays_it() {
    let shared = secret();
    let victim = start(with(relay_config(), &[&shared])).await;
    let member = start(with(relay_config(), &[&shared])).await;
    let key = key();
    let mut to_victim = stranger(&key, &victim).await;
    let (mut stream, nonce) = challenged(&mut to_victim).await;
    let to_member = stranger(&key, &member).await;
    let (_asked, answer) = challenge(&to_member, nonce).await.unwrap();
    assert_eq!(verdict(&mut stream, &answer).await, Some(0));
    drop(stream);
    to_victim.closed().await;
    assert!(victim.peers().is_empty() && member.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_of_a_node_to_its_own_challenge_is_refused() {
    let victim = start(with(relay_config(), &[&secret()])).await;
    let key = key();
    let mut raw = stranger(&key, &victim).await;
    let (mut stream, nonce) = challenged(&mut raw).await;
    let (_asked, answer) = challenge(&raw, nonce).await.unwrap();
    assert_eq!(verdict(&mut stream, &answer).await, Some(0));
    drop(stream);
    raw.closed().await;
    assert!(victim.peers().is_empty());
    // The same answer on a later connection of the same node is as useless.
    let mut raw = stranger(&key, &victim).await;
    let (mut stream, _) = challenged(&mut raw).await;
    assert_eq!(verdict(&mut stream, &answer).await, Some(0));
    drop(stream);
    raw.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_answers_end_the_connection() {
    let victim = start(with(relay_config(), &[&secret()])).await;
    let forged = |kind: u8, count: u8| [&[kind, count][..], &[7; 96]].concat();
    for answer in [
        vec![0],
        vec![3],
        vec![5],
        vec![255],
        forged(1, 0),
        forged(1, 1)[..34].to_vec(),
        forged(4, 2)[..66].to_vec(),
        forged(4, 3),
    ] {
        let mut raw = stranger(&key(), &victim).await;
        let (mut stream, _) = challenged(&mut raw).await;
        let said = verdict(&mut stream, &answer).await;
        assert!(said.is_none_or(|verdict| verdict == 0), "{answer:?}");
        drop(stream);
        raw.closed().await;
    }
    assert!(victim.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_answers_four_challenges_of_a_connection_and_no_fifth() {
    let victim = start(with(relay_config(), &[&secret()])).await;
    let mut raw = stranger(&key(), &victim).await;
    let _unanswered = challenged(&mut raw).await;
    for number in 1..=4 {
        let (mut stream, _) = challenge(&raw, [number; 32]).await.unwrap();
        stream.write_all(&[1]).await.unwrap();
        stream.close().await.unwrap();
        // The end of the answering side shows that the next challenge has room.
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    assert!(challenge(&raw, [5; 32]).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_challenges_that_nobody_reads_keeps_no_member_out() {
    let shared = secret();
    let victim = start(with(relay_config(), &[&shared])).await;
    serve(&victim, &ECHO);
    let raw = stranger(&key(), &victim).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        if let Some((mut stream, _)) = raw.propose(PROOF).await {
            let _ = stream.write_all(&[1; 32]).await;
            held.push(stream);
        }
    }
    let member = start(with(behind_nat_config(), &[&shared])).await;
    dial(&member, &victim).await.unwrap();
    echo(&member, &victim, &ECHO).await.unwrap();
    assert!(victim.peers().len() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_verified_node_wait_for_its_verdict_and_one_above_the_bound_is_reset() {
    const EARLY_MAX: usize = 1024;
    let shared = secret();
    let mut settings = with(relay_config(), &[&shared]);
    settings.limits.handshake_timeout = Duration::from_secs(120);
    let member = start(settings).await;
    serve(&member, &ECHO);
    let key = key();
    let mut raw = stranger(&key, &member).await;
    let (mut stream, nonce) = challenged(&mut raw).await;
    let (prover, verifier) = (key.node_id().to_bytes(), member.node_id().to_bytes());
    let parts = [NETWORK.as_bytes(), &prover, &verifier, &nonce];
    let mac = shared.mac("peerwork network proof 1", &parts);
    let answer = [&[1, 1][..], &mac].concat();
    assert_eq!(verdict(&mut stream, &answer).await, Some(1));
    let (mut asked, _) = challenge(&raw, nonce).await.unwrap();
    let mut early = Vec::new();
    for _ in 0..EARLY_MAX {
        let (stream, answer) = raw.propose(ECHO.name()).await.unwrap();
        assert_eq!(answer, ECHO.name());
        early.push(stream);
    }
    if let Some((mut above, _)) = raw.propose(ECHO.name()).await {
        let read = timeout_at(soon(), above.read(&mut [0])).await.unwrap();
        assert!(!matches!(read, Ok(1..)), "{read:?}");
    }
    assert!(member.peers().is_empty(), "no verdict yet");
    asked.write_all(&[1]).await.unwrap();
    asked.flush().await.unwrap();
    for stream in [0, EARLY_MAX - 1] {
        let read = timeout_at(soon(), early[stream].read(&mut [0])).await;
        assert_eq!(read.unwrap().unwrap(), 1, "stream {stream} is answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_guests_leave_room_for_members_and_for_own_dials() {
    const CONNECTIONS_MAX: usize = 40;
    let shared = secret();
    let mut settings = with(relay_config(), &[&shared]);
    settings.limits.connections_max = u32::try_from(CONNECTIONS_MAX).unwrap();
    settings.limits.handshake_timeout = Duration::from_secs(120);
    let victim = start(settings).await;
    let mut strangers = std::collections::VecDeque::new();
    for number in 0..CONNECTIONS_MAX + 10 {
        let mut raw = stranger(&key(), &victim).await;
        let (mut stream, _) = challenged(&mut raw).await;
        if number % 2 == 0 {
            assert_eq!(verdict(&mut stream, &[2]).await, Some(1), "a guest");
        }
        strangers.push_back((raw, stream));
        if strangers.len() > CONNECTIONS_MAX / 4 {
            let (oldest, _stream) = strangers.pop_front().unwrap();
            oldest.closed().await;
        }
    }
    let (member, dialled) = (
        start(with(behind_nat_config(), &[&shared])).await,
        start(with(relay_config(), &[&shared])).await,
    );
    dial(&member, &victim).await.unwrap();
    dial(&victim, &dialled).await.unwrap();
    // The proofs of both took the places of the two oldest strangers; the others stay.
    for (raw, _) in strangers.iter().skip(2) {
        assert!(raw.propose(ECHO.name()).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_offered_the_proof_and_protocols_for_guests_alone() {
    let relay = start(with(relay_config(), &[&secret()])).await;
    serve(&relay, &ECHO);
    serve(&relay, &WELCOME);
    let mut raw = stranger(&key(), &relay).await;
    let _unanswered = challenged(&mut raw).await;
    for name in [
        ECHO.name(),
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
        "/meshsub/1.1.0",
        "/meshsub/1.2.0",
        "/floodsub/1.0.0",
        "/libp2p/circuit/relay/0.2.0/hop",
        "/libp2p/circuit/relay/0.2.0/stop",
        "/libp2p/dcutr",
        "/libp2p/autonat/2/dial-request",
        "/libp2p/autonat/2/dial-back",
        "/peerwork/directory/1",
        "/peerwork/tunnel/1",
    ] {
        let (_, answer) = raw.propose(name).await.unwrap();
        assert_eq!(answer, NOT_SPOKEN, "{name}");
    }
    for name in [PROOF, WELCOME.name()] {
        let (_stream, answer) = raw.propose(name).await.unwrap();
        assert_eq!(answer, name);
    }
    // The relay opens no other stream to a stranger meanwhile.
    let other = tokio::select! {
        biased;
        other = raw.accept() => other.map(|(_, name)| name),
        () = std::future::ready(()) => None,
    };
    assert_eq!(other, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_the_local_network_alone_meets_its_like_and_no_node_with_entries() {
    let node = start(relay_config()).await;
    let mut settings = relay_config();
    settings.membership.entries = true;
    let configured = start(settings).await;
    let member = start(with(relay_config(), &[&secret()])).await;
    let fresh = start(relay_config()).await;
    assert!(node.dials_found() && member.dials_found() && !configured.dials_found());
    for other in [&configured, &member, &fresh] {
        let at = crate::node::address(other);
        node.note_found(at.node, vec![at.transport]);
    }
    eventually("a connection to the fresh node", || {
        node.peer(fresh.node_id())
    })
    .await;
    eventually("the others forget the node", || {
        (configured.peers().is_empty() && member.peers().is_empty()).then_some(())
    })
    .await;
    assert_eq!(node.peers().len(), 1);
}
