//! Reasons for which requests and messages are refused or dropped: their names in logs and metrics, and
//! their counts.

/// An enum whose list of all reasons and whose names come from one table, so that neither can lack a
/// reason.
macro_rules! reasons {
    ($(#[$about:meta])* $vis:vis $name:ident { $($(#[$doc:meta])* $reason:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $vis enum $name { $($(#[$doc])* $reason,)* }

        impl $name {
            const COUNT: usize = [$(stringify!($reason)),*].len();

            /// All reasons, in the order of their numbers.
            $vis const ALL: [Self; Self::COUNT] = [$(Self::$reason),*];

            /// The reason's name in logs and figures.
            #[must_use]
            $vis fn name(self) -> &'static str {
                match self { $(Self::$reason => $text,)* }
            }
        }
    };
}

pub(crate) use reasons;

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
    use crate::relay::Refusal;

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
}
