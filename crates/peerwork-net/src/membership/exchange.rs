//! The IO of `/peerwork/network/1`: one stream carries one challenge, its answer and the verdict.

use std::io;

use libp2p::PeerId;
use peerwork_identity::{NetworkSecret, network_secret::MAC_BYTES};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    proof::{ACCEPTED, Answer, Kind, NONCE_BYTES, Parties, REFUSED, is_count, kind},
    standing::{Membership, Refusal},
};

/// The kind of node that a challenger accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A node that knows a secret of the network.
    Member,
    /// A node without secret and entry points, as a node of the local network alone is.
    Local,
}

/// The end of a challenge that was answered as wanted.
#[derive(Debug)]
pub(super) enum Verified {
    /// The other node proved these of this node's secrets.
    Member {
        proven: Vec<NetworkSecret>,
        /// Whether the other node gives a verdict about this one too.
        challenges: bool,
    },
    /// The other node uses protocols for guests alone.
    Guest,
    /// The other node has neither secret nor entry points.
    Local,
}

/// Challenges the node `peer`, and tells it the verdict.
///
/// # Errors
/// An error of the stream, which includes that the node does not speak the protocol.
pub(super) async fn challenge<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    membership: &Membership,
    peer: &PeerId,
    wanted: Wanted,
) -> io::Result<Result<Verified, Refusal>> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    stream.write_all(&nonce).await?;
    stream.flush().await?;
    let answer = read_answer(&mut stream).await?;
    let parties = Parties {
        network: membership.network(),
        prover: peer,
        verifier: membership.this(),
    };
    let proven = answer.proven(&membership.secrets(), parties, &nonce);
    let verdict = judge(&answer, proven, wanted);
    let byte = if verdict.is_ok() { ACCEPTED } else { REFUSED };
    stream.write_all(&[byte]).await?;
    // The verdict stands also when the other node is gone before the end of the stream.
    let _ = stream.shutdown().await;
    Ok(verdict)
}

fn judge(answer: &Answer, proven: Vec<NetworkSecret>, wanted: Wanted) -> Result<Verified, Refusal> {
    match (wanted, answer) {
        (Wanted::Member, Answer::Proofs { .. }) if proven.is_empty() => Err(Refusal::OtherSecret),
        (Wanted::Member, Answer::Proofs { challenges, .. }) => Ok(Verified::Member {
            proven,
            challenges: *challenges,
        }),
        (_, Answer::Guest) => Ok(Verified::Guest),
        (Wanted::Member, _) => Err(Refusal::WithoutSecret),
        (Wanted::Local, Answer::Local) => Ok(Verified::Local),
        (Wanted::Local, _) => Err(Refusal::OtherNetwork),
    }
}

async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Answer> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    match kind(stream.read_u8().await?).ok_or_else(invalid)? {
        Kind::Whole(plain) => Ok(plain.answer()),
        Kind::Proofs { challenges } => {
            let count = stream.read_u8().await?;
            if !is_count(count) {
                return Err(invalid());
            }
            let mut macs = smallvec::SmallVec::new();
            for _ in 0..count {
                let mut mac = [0; MAC_BYTES];
                stream.read_exact(&mut mac).await?;
                macs.push(mac);
            }
            Ok(Answer::Proofs { macs, challenges })
        }
    }
}

/// Answers the challenge of the node `peer`, and tells whether that node accepted the answer.
///
/// # Errors
/// An error of the stream.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    membership: &Membership,
    peer: &PeerId,
) -> io::Result<bool> {
    let mut nonce = [0; NONCE_BYTES];
    stream.read_exact(&mut nonce).await?;
    let parties = Parties {
        network: membership.network(),
        prover: membership.this(),
        verifier: peer,
    };
    let answer = Answer::of(&membership.standing(), parties, &nonce);
    stream.write_all(&answer.encode()).await?;
    stream.flush().await?;
    let verdict = stream.read_u8().await?;
    let _ = stream.shutdown().await;
    Ok(verdict == ACCEPTED)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::network_file::SECRETS_MAX;
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    fn node(secrets: &[&NetworkSecret], entries: bool, guest: bool) -> Membership {
        let config = config::Membership {
            secrets: secrets.iter().map(|&secret| secret.clone()).collect(),
            entries,
            guest,
        };
        Membership::new("test", PeerId::random(), &config)
    }

    async fn meet(
        challenger: &Membership,
        responder: &Membership,
        wanted: Wanted,
    ) -> (Result<Verified, Refusal>, bool) {
        let (here, there) = tokio::io::duplex(256);
        let (verdict, accepted) = tokio::join!(
            challenge(here, challenger, responder.this(), wanted),
            answer(there, responder, challenger.this()),
        );
        (verdict.unwrap(), accepted.unwrap())
    }

    #[tokio::test]
    async fn both_sides_of_a_challenge_learn_the_verdict() {
        let [shared, other] = [(); 2].map(|()| NetworkSecret::generate());
        let member = || node(&[&shared], true, false);
        let (verdict, accepted) = meet(&member(), &member(), Wanted::Member).await;
        assert!(
            matches!(verdict, Ok(Verified::Member { proven, challenges: true }) if proven == [shared.clone()])
        );
        assert!(accepted);
        for (responder, wanted, refusal) in [
            (
                node(&[&other], true, false),
                Wanted::Member,
                Refusal::OtherSecret,
            ),
            (
                node(&[], true, false),
                Wanted::Member,
                Refusal::WithoutSecret,
            ),
            (
                node(&[], false, false),
                Wanted::Member,
                Refusal::WithoutSecret,
            ),
            (node(&[], true, false), Wanted::Local, Refusal::OtherNetwork),
            (
                node(&[&other], true, false),
                Wanted::Local,
                Refusal::OtherNetwork,
            ),
        ] {
            let (verdict, accepted) = meet(&member(), &responder, wanted).await;
            assert_eq!(verdict.unwrap_err(), refusal);
            assert!(!accepted);
        }
        let (verdict, accepted) = meet(&member(), &node(&[], true, true), Wanted::Member).await;
        assert!(matches!(verdict, Ok(Verified::Guest)));
        assert!(accepted);
        let local = || node(&[], false, false);
        let (verdict, accepted) = meet(&local(), &local(), Wanted::Local).await;
        assert!(matches!(verdict, Ok(Verified::Local)));
        assert!(accepted);
    }

    #[tokio::test]
    async fn the_answer_of_a_node_is_of_no_use_to_the_node_between() {
        let shared = NetworkSecret::generate();
        let member = || node(&[&shared], true, false);
        let (victim, prover) = (member(), member());
        // The node between has connections of its own with both, and passes all bytes on.
        let between = PeerId::random();
        let (here, there) = tokio::io::duplex(256);
        let (verdict, accepted) = tokio::join!(
            challenge(here, &victim, &between, Wanted::Member),
            answer(there, &prover, &between),
        );
        assert_eq!(verdict.unwrap().unwrap_err(), Refusal::OtherSecret);
        assert!(!accepted.unwrap());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let read = futures::executor::block_on(read_answer(&mut &*bytes));
            if let Ok(Answer::Proofs { macs, .. }) = read {
                prop_assert!((1..=SECRETS_MAX).contains(&macs.len()));
                prop_assert!(bytes.len() >= 2 + macs.len() * MAC_BYTES);
            }
        }
    }
}
