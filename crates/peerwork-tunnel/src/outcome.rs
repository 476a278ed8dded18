//! The outcomes of a request at an ingress, for its log line and its counter.

use crate::problem::Failure;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The whole response was sent, with any status.
    Complete,
    /// The client disconnected before the response was complete.
    Cancelled,
    /// The response broke off in its body.
    Broken,
    /// The app gave no response.
    Failed(Failure),
}

impl Outcome {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let failures = Failure::ALL.iter().copied().map(Self::Failed);
        [Self::Complete, Self::Cancelled, Self::Broken]
            .into_iter()
            .chain(failures)
    }

    /// The position in [`Outcome::all`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Complete => 0,
            Self::Cancelled => 1,
            Self::Broken => 2,
            Self::Failed(failure) => 3 + failure as usize,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Broken => "broken",
            Self::Failed(failure) => failure.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_index() {
        for (index, outcome) in Outcome::all().enumerate() {
            assert_eq!(outcome.index(), index, "{outcome:?}");
        }
    }
}
