//! The claims of writers on blocks: a living writer keeps what itself put or touched. Pure data.
//!
//! Each block has one claim of eight bytes in its index entry, so that claims need no memory of their
//! own. A block that one writer claims names that writer; the claim of a second one, while the first
//! lives, makes it a claim of several, which holds as long as any writer lives that began before it.
//! That may be longer than needed, and is never shorter.

use std::collections::BTreeSet;

/// The bit of an encoded claim of several writers; the clock never reaches it.
const SEVERAL: u64 = 1 << 63;

/// The claim on a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The writer that began at this clock.
    By(u64),
    /// Several writers, the last of which claimed the block at this clock.
    Several(u64),
}

impl Claim {
    pub(crate) fn encode(self) -> u64 {
        match self {
            Self::By(writer) => writer & !SEVERAL,
            Self::Several(at) => at | SEVERAL,
        }
    }

    pub(crate) fn decode(number: u64) -> Self {
        match number & SEVERAL {
            0 => Self::By(number),
            _ => Self::Several(number & !SEVERAL),
        }
    }
}

/// The writers that live, by the clock at which each began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writers {
    living: BTreeSet<u64>,
    /// Claims before this clock may be lost.
    lost: u64,
    /// The clock of the last claim of several writers.
    several: u64,
}

/// The blocks that the end of a writer lets go, apart from those that itself put or touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Nothing,
    /// Blocks that several others had claimed.
    Several,
    /// All, because claims were lost while it lived.
    All,
}

impl Writers {
    pub(crate) fn begin(&mut self, writer: u64) {
        self.living.insert(writer);
    }

    pub(crate) fn end(&mut self, writer: u64) -> Ended {
        self.living.remove(&writer);
        if writer < self.lost {
            return Ended::All;
        }
        match writer <= self.several {
            true => Ended::Several,
            false => Ended::Nothing,
        }
    }

    /// Notes that claims before `now` may be lost. Until all writers end that live, everything is claimed.
    pub(crate) fn lose(&mut self, now: u64) {
        self.lost = now;
    }

    /// The claim on a block with an earlier claim after a writer claims it too.
    pub(crate) fn claim(&mut self, before: Claim, writer: u64, now: u64) -> Claim {
        let others_hold = match before {
            Claim::By(other) => other != writer && self.living.contains(&other),
            Claim::Several(at) => self.living.range(..=at).any(|other| *other != writer),
        };
        match others_hold {
            true => {
                self.several = now;
                Claim::Several(now)
            }
            false => Claim::By(writer),
        }
    }

    fn hold(&self, claim: Claim) -> bool {
        let first = self.living.first();
        let holds = match claim {
            Claim::By(writer) => self.living.contains(&writer),
            Claim::Several(at) => first.is_some_and(|first| *first <= at),
        };
        holds || first.is_some_and(|first| *first < self.lost)
    }
}

/// The claims that a collection respects: those of writers that live when it begins, and of later ones.
#[derive(Debug)]
pub(crate) struct Respected {
    began: u64,
    writers: Writers,
}

impl Respected {
    /// The claims from now on; no writer has begun at this clock.
    pub(crate) fn new(began: u64, writers: &Writers) -> Self {
        Self {
            began,
            writers: writers.clone(),
        }
    }

    pub(crate) fn holds(&self, claim: Claim) -> bool {
        // A writer that ended before `began` claims nothing after it.
        let (Claim::By(clock) | Claim::Several(clock)) = claim;
        clock >= self.began || self.writers.hold(claim)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_claim_ends_with_its_writer_beside_an_older_one() {
        let mut writers = Writers::default();
        writers.begin(1);
        writers.begin(2);
        let own = writers.claim(Claim::By(0), 1, 3);
        let other = writers.claim(Claim::By(0), 2, 4);
        let both = writers.claim(own, 2, 5);
        writers.end(2);
        let respected = Respected::new(6, &writers);
        assert!(respected.holds(own) && respected.holds(both));
        assert!(!respected.holds(other), "its writer ended");
        writers.end(1);
        assert!(!Respected::new(7, &writers).holds(both));
        assert_eq!(writers.claim(both, 8, 9), Claim::By(8));
    }

    #[test]
    fn lost_claims_keep_everything_until_the_writers_of_that_time_end() {
        let mut writers = Writers::default();
        writers.begin(1);
        writers.lose(2);
        writers.begin(3);
        assert!(Respected::new(4, &writers).holds(Claim::By(0)));
        writers.end(1);
        assert!(!Respected::new(5, &writers).holds(Claim::By(0)));
    }

    #[test]
    fn claims_are_read_as_they_were_written() {
        for claim in [
            Claim::By(0),
            Claim::By(SEVERAL - 1),
            Claim::Several(0),
            Claim::Several(7),
        ] {
            assert_eq!(Claim::decode(claim.encode()), claim);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        End(usize),
        Claim { writer: usize, block: u8 },
        Collect,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Begin),
            1 => (0..8_usize).prop_map(Step::End),
            6 => (0..8_usize, 0..6_u8).prop_map(|(writer, block)| Step::Claim { writer, block }),
            1 => Just(Step::Collect),
        ]
    }

    proptest! {
        #[test]
        fn a_collection_respects_each_claim_of_its_time(
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let mut clock = 0;
            let mut living: Vec<u64> = Vec::new();
            let mut writers = Writers::default();
            let mut claims: BTreeMap<u8, Claim> = BTreeMap::new();
            // The truth: all writers that ever claimed a block.
            let mut claimed: BTreeMap<u8, BTreeSet<u64>> = BTreeMap::new();
            // A collection that runs, with the blocks that it must keep.
            let mut running: Option<(Respected, BTreeSet<u8>)> = None;
            for step in steps {
                clock += 1;
                match step {
                    Step::Begin => {
                        writers.begin(clock);
                        living.push(clock);
                    }
                    Step::End(number) if number < living.len() => {
                        writers.end(living.remove(number));
                    }
                    Step::Claim { writer, block } if writer < living.len() => {
                        let writer = living[writer];
                        let before = claims.get(&block).copied().unwrap_or(Claim::By(0));
                        claims.insert(block, writers.claim(before, writer, clock));
                        claimed.entry(block).or_default().insert(writer);
                        if let Some((_respected, kept)) = &mut running {
                            kept.insert(block);
                        }
                    }
                    Step::Collect => {
                        let kept = claimed.iter().filter(|(_block, by)| {
                            by.iter().any(|writer| living.contains(writer))
                        });
                        let kept = kept.map(|(block, _by)| *block).collect();
                        running = Some((Respected::new(clock, &writers), kept));
                        if living.is_empty() {
                            let (respected, _kept) = running.as_ref().expect("it began");
                            prop_assert!(!claims.values().any(|claim| respected.holds(*claim)));
                        }
                    }
                    _ => {}
                }
                if let Some((respected, kept)) = &running {
                    for block in kept {
                        prop_assert!(respected.holds(claims[block]), "{block}");
                    }
                }
            }
        }
    }
}
