//! The reasons for which a relay refuses, each with its name in logs and metrics, and their counts.

/// An enum whose list of all reasons and whose names come from one table, so that neither can lack a
/// reason.
macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $reason:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $reason,)* }

        impl $name {
            const COUNT: usize = [$(stringify!($reason)),*].len();

            /// All reasons, in the order of their numbers.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$reason),*];

            /// The reason's name in logs and figures.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$reason => $text,)* }
            }
        }
    };
}

reasons! {
    /// Why a reservation was refused.
    Refusal {
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
    CircuitRefusal {
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

/// How often each reason was given. Looking a reason up by comparing cannot go out of bounds, and the
/// lists are short.
#[derive(Debug)]
pub(crate) struct Counted<R>(Vec<(R, u64)>);

impl<R: Copy + Eq> Counted<R> {
    pub(crate) fn new(all: impl IntoIterator<Item = R>) -> Self {
        Self(all.into_iter().map(|reason| (reason, 0)).collect())
    }

    /// Counts one refusal; a reason that is not listed is listed from then on.
    pub(crate) fn add(&mut self, reason: R) {
        match self.0.iter_mut().find(|(listed, _)| *listed == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }

    /// Every reason with its count.
    pub(crate) fn all(&self) -> Vec<(R, u64)> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_also_one_that_no_list_names() {
        let mut counted = Counted::new(Refusal::ALL);
        for reason in Refusal::ALL {
            counted.add(reason);
        }
        assert_eq!(counted.all(), Refusal::ALL.map(|reason| (reason, 1)));
        let mut counted = Counted::new([Refusal::Full]);
        counted.add(Refusal::Relayed);
        counted.add(Refusal::Relayed);
        assert_eq!(counted.all(), [(Refusal::Full, 0), (Refusal::Relayed, 2)]);
    }

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
