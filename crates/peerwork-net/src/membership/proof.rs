//! The messages of `/peerwork/network/1`, and the proofs in them. Pure: bytes in, bytes out.
//!
//! The challenger writes a nonce. The responder writes its answer: one byte for the kind and, where it
//! proves secrets, their number and a MAC for each. The challenger writes its verdict, one byte.

use libp2p::PeerId;
use peerwork_identity::{NetworkSecret, network_file::SECRETS_MAX, network_secret::MAC_BYTES};
use smallvec::SmallVec;

use super::standing::Standing;

/// The bytes of a challenge.
pub(crate) const NONCE_BYTES: usize = 32;
/// The verdict that lets the responder take part.
pub(super) const ACCEPTED: u8 = 1;
/// The verdict that refuses the responder.
pub(super) const REFUSED: u8 = 0;

/// The kinds of answers.
const OPEN: u8 = 0;
const PROOFS: u8 = 1;
const GUEST: u8 = 2;
const LOCAL: u8 = 3;
const PROOFS_ALONE: u8 = 4;

/// The label of the MACs.
const LABEL: &str = "peerwork network proof 1";

pub(crate) type Nonce = [u8; NONCE_BYTES];
type MacBytes = [u8; MAC_BYTES];

/// The network and the two nodes that a proof is about.
#[derive(Clone, Copy)]
pub(crate) struct Parties<'a> {
    pub(crate) network: &'a str,
    pub(crate) prover: &'a PeerId,
    pub(crate) verifier: &'a PeerId,
}

impl Parties<'_> {
    fn prove(&self, secret: &NetworkSecret, nonce: &Nonce) -> MacBytes {
        let (prover, verifier) = (self.prover.to_bytes(), self.verifier.to_bytes());
        secret.mac(LABEL, &[self.network.as_bytes(), &prover, &verifier, nonce])
    }

    fn verify(&self, secret: &NetworkSecret, nonce: &Nonce, mac: &MacBytes) -> bool {
        let (prover, verifier) = (self.prover.to_bytes(), self.verifier.to_bytes());
        secret.verify(
            LABEL,
            &[self.network.as_bytes(), &prover, &verifier, nonce],
            mac,
        )
    }
}

/// The answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The responder has no secret, and its network has entry points.
    Open,
    /// The responder proves its secrets.
    Proofs {
        macs: SmallVec<[MacBytes; SECRETS_MAX]>,
        /// Whether the responder challenges too, so that the connection opens after its verdict.
        challenges: bool,
    },
    /// The responder wants protocols for guests alone.
    Guest,
    /// The responder has no secret and no entry points.
    Local,
}

impl Answer {
    pub(super) fn of(standing: &Standing, parties: Parties<'_>, nonce: &Nonce) -> Self {
        match standing {
            Standing::Member(secrets) => Self::Proofs {
                macs: secrets.iter().map(|s| parties.prove(s, nonce)).collect(),
                challenges: true,
            },
            Standing::Open => Self::Open,
            Standing::Local => Self::Local,
            Standing::Guest => Self::Guest,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open => vec![OPEN],
            Self::Guest => vec![GUEST],
            Self::Local => vec![LOCAL],
            Self::Proofs { macs, challenges } => {
                let kind = if *challenges { PROOFS } else { PROOFS_ALONE };
                let count = u8::try_from(macs.len()).expect("invariant: at most two secrets");
                let mut bytes = vec![kind, count];
                bytes.extend(macs.iter().flatten());
                bytes
            }
        }
    }

    /// The secrets among `secrets` that the answer proves.
    pub(super) fn proven(
        &self,
        secrets: &[NetworkSecret],
        parties: Parties<'_>,
        nonce: &Nonce,
    ) -> Vec<NetworkSecret> {
        let Self::Proofs { macs, .. } = self else {
            return Vec::new();
        };
        let proven =
            |secret: &&NetworkSecret| macs.iter().any(|mac| parties.verify(secret, nonce, mac));
        secrets.iter().filter(proven).cloned().collect()
    }
}

/// The first byte of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer ends with this byte.
    Whole(Plain),
    /// The number of MACs follows, and the MACs.
    Proofs { challenges: bool },
}

/// An answer without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Open,
    Guest,
    Local,
}

impl Plain {
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Open => Answer::Open,
            Self::Guest => Answer::Guest,
            Self::Local => Answer::Local,
        }
    }
}

/// The kind of an answer by its first byte; `None` when no kind has it.
pub(super) fn kind(byte: u8) -> Option<Kind> {
    Some(match byte {
        OPEN => Kind::Whole(Plain::Open),
        GUEST => Kind::Whole(Plain::Guest),
        LOCAL => Kind::Whole(Plain::Local),
        PROOFS => Kind::Proofs { challenges: true },
        PROOFS_ALONE => Kind::Proofs { challenges: false },
        _ => return None,
    })
}

/// Whether an answer may have this many MACs.
pub(super) fn is_count(count: u8) -> bool {
    (1..=SECRETS_MAX).contains(&usize::from(count))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn nodes() -> (PeerId, PeerId) {
        (PeerId::random(), PeerId::random())
    }

    fn proofs(secrets: &[NetworkSecret], parties: Parties<'_>, nonce: &Nonce) -> Answer {
        Answer::of(&Standing::Member(secrets.into()), parties, nonce)
    }

    #[test]
    fn a_proof_holds_for_its_network_nodes_direction_nonce_and_secret_alone() {
        let (one, other) = nodes();
        let secret = NetworkSecret::generate();
        let own = [secret.clone()];
        let parties = Parties {
            network: "7",
            prover: &one,
            verifier: &other,
        };
        let nonce = [1; NONCE_BYTES];
        let answer = proofs(&own, parties, &nonce);
        assert_eq!(answer.proven(&own, parties, &nonce), own);
        let (third, _) = nodes();
        for parties in [
            Parties {
                network: "8",
                ..parties
            },
            Parties {
                prover: &third,
                ..parties
            },
            Parties {
                verifier: &third,
                ..parties
            },
            // The proof is not its own mirror image.
            Parties {
                prover: &other,
                verifier: &one,
                ..parties
            },
        ] {
            assert!(answer.proven(&own, parties, &nonce).is_empty());
        }
        assert!(answer.proven(&own, parties, &[2; NONCE_BYTES]).is_empty());
        let stranger = [NetworkSecret::generate()];
        assert!(answer.proven(&stranger, parties, &nonce).is_empty());
    }

    #[test]
    fn nodes_with_two_secrets_meet_by_any_that_they_share() {
        let (one, other) = nodes();
        let [a, b, c] = [(); 3].map(|()| NetworkSecret::generate());
        let parties = Parties {
            network: "7",
            prover: &one,
            verifier: &other,
        };
        let nonce = [1; NONCE_BYTES];
        let answer = proofs(&[b.clone(), a.clone()], parties, &nonce);
        assert_eq!(answer.proven(&[c.clone(), b.clone()], parties, &nonce), [b]);
        assert_eq!(
            answer.proven(std::slice::from_ref(&a), parties, &nonce),
            [a]
        );
        assert!(answer.proven(&[c], parties, &nonce).is_empty());
    }

    /// The documented MAC was computed with Python's `hmac` module.
    #[test]
    fn the_documented_mac_is_the_one_of_the_documented_values() {
        const PAGE: &str = include_str!("../../../../proto/peer/README.md");
        let node = |text: &str| {
            assert!(PAGE.contains(text));
            text.parse::<PeerId>().unwrap()
        };
        let parties = Parties {
            network: "1000",
            prover: &node("16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi"),
            verifier: &node("12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
        };
        let secret = NetworkSecret::from_bytes([1; 32]);
        assert!(PAGE.contains(secret.to_text().as_str()));
        let nonce = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let Answer::Proofs { macs, .. } = proofs(&[secret], parties, &nonce) else {
            panic!("a member answers with proofs");
        };
        let mac: String = macs[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(PAGE.contains(&format!("| MAC | `{mac}` |")), "{mac}");
    }

    #[test]
    fn an_answer_has_the_documented_bytes() {
        let (one, other) = nodes();
        let parties = Parties {
            network: "7",
            prover: &one,
            verifier: &other,
        };
        let secrets = [NetworkSecret::generate(), NetworkSecret::generate()];
        let bytes = proofs(&secrets, parties, &[1; NONCE_BYTES]).encode();
        assert_eq!((bytes.len(), bytes[0], bytes[1]), (2 + 2 * MAC_BYTES, 1, 2));
        for (answer, byte) in [(Answer::Open, 0), (Answer::Guest, 2), (Answer::Local, 3)] {
            assert_eq!(answer.encode(), [byte]);
            let Some(Kind::Whole(plain)) = kind(byte) else {
                panic!("{byte}");
            };
            assert_eq!(plain.answer(), answer);
        }
        assert_eq!(kind(1), Some(Kind::Proofs { challenges: true }));
        assert_eq!(kind(4), Some(Kind::Proofs { challenges: false }));
        assert!((5..=255).all(|byte| kind(byte).is_none()));
        assert_eq!([0, 1, 2, 3].map(is_count), [false, true, true, false]);
    }
}
