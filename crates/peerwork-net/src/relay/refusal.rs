//! The reasons for which a relay refuses, each with its name in logs and metrics.

use crate::reasons::reasons;

reasons! {
    /// Why a reservation was refused.
    pub Refusal {
        /// All places are taken.
        Full = "full",
        /// The node's network address holds as many places as one address may.
        Address = "address",
        /// The relay is closed, and the node is neither on its list nor presented a token.
        NotAllowed = "not-allowed",
        /// The node asks too often.
        TooOften = "too-often",
        /// The node asks through another relay.
        Relayed = "relayed",
    }
}

reasons! {
    /// Why a circuit was refused.
    pub CircuitRefusal {
        /// The relay carries as many circuits as it may.
        Full = "full",
        /// One of the two nodes has as many circuits as one node may.
        Node = "node",
        /// The caller's network address has as many circuits as one address may.
        Address = "address",
        /// No node of that id holds a place.
        NoReservation = "no-reservation",
        /// The caller comes through another relay.
        Relayed = "relayed",
        /// The holder did not answer.
        NotReached = "not-reached",
        /// The holder declined the circuit.
        Declined = "declined",
    }
}

impl Refusal {
    /// The flag of `peerwork relay` that sets the bound, for a reason that is a bound.
    pub(crate) fn flag(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("--max-reservations"),
            Self::Address => Some("--max-reservations-per-address"),
            Self::NotAllowed | Self::TooOften | Self::Relayed => None,
        }
    }
}

impl CircuitRefusal {
    /// The flag of `peerwork relay` that sets the bound, for a reason that is a bound.
    pub(crate) fn flag(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("--max-circuits"),
            Self::Node => Some("--max-circuits-per-peer"),
            Self::Address => Some("--max-circuits-per-address"),
            Self::NoReservation | Self::Relayed | Self::NotReached | Self::Declined => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_a_bound_names_the_flag_that_sets_the_bound() {
        let flag = |reason: Refusal| reason.flag();
        assert_eq!(flag(Refusal::Full), Some("--max-reservations"));
        let per_address = Some("--max-reservations-per-address");
        assert_eq!(flag(Refusal::Address), per_address);
        let without = Refusal::ALL.into_iter().filter(|r| flag(*r).is_none());
        let others = [Refusal::NotAllowed, Refusal::TooOften, Refusal::Relayed];
        assert_eq!(without.collect::<Vec<_>>(), others);
    }

    #[test]
    fn names_are_different_within_each_list() {
        let names: std::collections::HashSet<_> = CircuitRefusal::ALL
            .iter()
            .map(|reason| reason.name())
            .collect();
        assert_eq!(names.len(), CircuitRefusal::ALL.len());
    }
}
