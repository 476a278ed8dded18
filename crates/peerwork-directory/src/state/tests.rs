//! The table accepts announcements in any order and with any repetition.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{
    limiter::Rate,
    offer::Offers,
    samples::{NOW_MS, advertisement, goodbye, heartbeat, key, node, offer},
};

const EXPIRY: Duration = Duration::from_secs(60);
const SKEW: Duration = Duration::from_secs(300);

fn limits() -> Limits {
    Limits {
        entries_max: 8,
        bytes_max: 1 << 20,
        expiry: EXPIRY,
        skew: SKEW,
        rate: Rate {
            burst: 1000,
            interval: Duration::from_secs(1),
        },
        entries_per_source_max: 4,
        bytes_per_source_max: 1 << 19,
        newcomer_rate: Rate {
            burst: 1000,
            interval: Duration::from_secs(1),
        },
    }
}

fn at(seconds: u64) -> Moment {
    Moment {
        elapsed: Duration::from_secs(seconds),
        unix_ms: NOW_MS + seconds * 1000,
    }
}

/// An envelope that differs from all others; the state never opens it.
fn envelope(announcement: &Announcement) -> Arc<[u8]> {
    format!("{announcement:?}").into_bytes().into()
}

struct Directory(DirectoryState);

impl Directory {
    fn new() -> Self {
        Self(DirectoryState::new(limits()))
    }

    fn hear(
        &mut self,
        seconds: u64,
        announcement: impl Into<Announcement>,
    ) -> Result<Outcome, Refusal> {
        let announcement = announcement.into();
        let envelope = envelope(&announcement);
        self.0.apply(
            at(seconds),
            announcement,
            &envelope,
            Source::Trusted(node(100)),
        )
    }

    fn has(&self, number: u8) -> bool {
        self.0.get(node(number)).is_some()
    }

    fn sequence(&self, number: u8) -> Option<u64> {
        let entry = self.0.get(node(number))?;
        Some(entry.advertisement.sequence)
    }
}

#[test]
fn an_advertisement_makes_a_node_known_and_a_second_copy_changes_nothing() {
    let mut directory = Directory::new();
    let outcome = directory.hear(0, advertisement(1, 5)).unwrap();
    let entry = directory.0.get(node(1)).unwrap();
    assert_eq!(
        outcome,
        Outcome::Accepted(Some(Event::Announced(entry.clone())))
    );
    assert_eq!(entry.via, Some(node(100)));
    assert_eq!(
        directory.hear(1, advertisement(1, 5)).unwrap(),
        Outcome::Duplicate
    );
    assert_eq!(directory.0.len(), 1);
}

#[test]
fn a_lower_sequence_is_stale_and_the_newest_is_handed_back() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    let newest = envelope(&advertisement(1, 5).into());
    let refused = directory.hear(0, advertisement(1, 4)).unwrap_err();
    assert_eq!(refused, Refusal::Stale { newest });
    assert!(!refused.is_offence());
    assert_eq!(directory.sequence(1), Some(5));
}

#[test]
fn silence_expires_a_node_and_heartbeats_keep_it() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    directory.hear(0, advertisement(2, 5)).unwrap();
    directory.hear(50, heartbeat(1, 5, 1)).unwrap();
    assert_eq!(directory.0.expire(at(59)), []);
    assert_eq!(
        directory.0.expire(at(60)),
        [Event::Gone(node(2), Reason::Expired)]
    );
    assert!(directory.has(1) && !directory.has(2));
    assert_eq!(
        directory.0.expire(at(110)),
        [Event::Gone(node(1), Reason::Expired)]
    );
    assert!(directory.0.is_empty());
}

#[test]
fn an_expired_node_does_not_come_back_by_replay() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    directory.hear(1, heartbeat(1, 5, 7)).unwrap();
    directory.0.expire(at(100));
    assert_eq!(
        directory.hear(101, advertisement(1, 5)).unwrap(),
        Outcome::Duplicate
    );
    assert_eq!(
        directory.hear(101, heartbeat(1, 5, 7)).unwrap(),
        Outcome::Duplicate
    );
    assert!(directory.hear(101, advertisement(1, 4)).is_err());
    assert!(!directory.has(1));
}

#[test]
fn a_newer_heartbeat_wakes_a_dormant_node() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    directory.0.expire(at(100));
    let mut late = heartbeat(1, 5, 8);
    late.issued_at_ms = NOW_MS + 100_000;
    let outcome = directory.hear(101, late).unwrap();
    assert!(matches!(
        outcome,
        Outcome::Accepted(Some(Event::Announced(_)))
    ));
    assert!(directory.has(1));
}

#[test]
fn an_old_advertisement_heard_for_the_first_time_waits_for_a_heartbeat() {
    let mut directory = Directory::new();
    let outcome = directory.hear(800, advertisement(1, 5)).unwrap();
    assert_eq!(outcome, Outcome::Accepted(None));
    assert!(!directory.has(1));
    assert_eq!(
        directory.hear(800, heartbeat(1, 5, 1)),
        Err(Refusal::Outdated)
    );
    let mut fresh = heartbeat(1, 5, 53);
    fresh.issued_at_ms = NOW_MS + 795_000;
    directory.hear(800, fresh).unwrap();
    assert!(directory.has(1));
}

#[test]
fn a_goodbye_removes_at_once_and_nothing_older_revives() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    let outcome = directory.hear(1, goodbye(1, 5)).unwrap();
    let gone = Event::Gone(node(1), Reason::Goodbye);
    assert_eq!(outcome, Outcome::Accepted(Some(gone)));
    assert!(!directory.has(1));
    assert!(matches!(
        directory.hear(2, advertisement(1, 5)),
        Err(Refusal::Stale { .. })
    ));
    assert!(matches!(
        directory.hear(2, heartbeat(1, 5, 9)),
        Err(Refusal::Stale { .. })
    ));
    assert_eq!(
        directory.hear(2, goodbye(1, 5)).unwrap(),
        Outcome::Duplicate
    );
    directory.hear(3, advertisement(1, 6)).unwrap();
    assert_eq!(directory.sequence(1), Some(6));
}

#[test]
fn a_goodbye_that_overtakes_its_advertisement_still_counts() {
    let mut directory = Directory::new();
    assert_eq!(
        directory.hear(0, goodbye(1, 5)).unwrap(),
        Outcome::Accepted(None)
    );
    assert!(directory.hear(0, advertisement(1, 5)).is_err());
    assert!(!directory.has(1));
}

#[test]
fn a_heartbeat_of_an_unknown_advertisement_asks_for_it() {
    let mut directory = Directory::new();
    let refused = directory.hear(0, heartbeat(1, 5, 1)).unwrap_err();
    assert_eq!(refused, Refusal::UnknownAdvertisement);
    directory.hear(0, advertisement(1, 4)).unwrap();
    let refused = directory.hear(0, heartbeat(1, 5, 1)).unwrap_err();
    assert_eq!(refused, Refusal::UnknownAdvertisement);
    directory.hear(0, advertisement(1, 5)).unwrap();
    assert!(directory.hear(0, heartbeat(1, 5, 1)).is_ok());
    assert!(matches!(
        directory.hear(0, heartbeat(1, 4, 99)),
        Err(Refusal::Stale { .. })
    ));
}

#[test]
fn heartbeats_bring_memory_and_uptime_up_to_date() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    let mut beat = heartbeat(1, 5, 1);
    beat.mem_info = Some("less".into());
    beat.uptime = Duration::from_secs(77);
    directory.hear(1, beat).unwrap();
    directory.hear(2, heartbeat(1, 5, 2)).unwrap();
    let entry = directory.0.get(node(1)).unwrap();
    assert_eq!(entry.mem_info, "less");
    assert_eq!(entry.uptime, Duration::from_secs(5));
}

#[test]
fn clocks_may_differ_by_the_skew_and_no_more() {
    let mut ahead = advertisement(1, 5);
    ahead.issued_at_ms = NOW_MS + 300_000;
    assert!(Directory::new().hear(0, ahead.clone()).is_ok());
    ahead.issued_at_ms += 1;
    let refused = Directory::new().hear(0, ahead).unwrap_err();
    assert_eq!(refused, Refusal::ClockSkew { ahead_ms: 300_001 });
    let mut behind = advertisement(1, 5);
    behind.issued_at_ms = NOW_MS - 3_600_000 - 300_000;
    assert_eq!(Directory::new().hear(0, behind), Err(Refusal::Outdated));
}

#[test]
fn an_advertisement_that_is_not_renewed_ends_in_spite_of_heartbeats() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    for second in (15..3900).step_by(15) {
        let mut beat = heartbeat(1, 5, second);
        beat.issued_at_ms = NOW_MS + second * 1000;
        directory.hear(second, beat).unwrap();
        assert_eq!(directory.0.expire(at(second)), []);
    }
    assert!(directory.has(1));
    assert_eq!(
        directory.0.expire(at(3900)),
        [Event::Gone(node(1), Reason::Expired)]
    );
    assert_eq!(directory.0.remembered(), 0);
}

#[test]
fn announcements_that_come_too_often_are_refused_and_replays_by_others_are_not_counted() {
    let mut settings = limits();
    settings.rate.burst = 3;
    let mut directory = Directory(DirectoryState::new(settings));
    for sequence in 1..=3 {
        directory.hear(0, advertisement(1, sequence)).unwrap();
        for _ in 0..9 {
            directory.hear(0, advertisement(1, sequence)).unwrap();
        }
    }
    assert_eq!(
        directory.hear(0, advertisement(1, 4)),
        Err(Refusal::TooFrequent)
    );
    assert!(directory.hear(0, advertisement(2, 4)).is_ok());
    assert!(directory.hear(1, advertisement(1, 4)).is_ok());
}

#[test]
fn a_full_table_refuses_unknown_nodes_and_serves_known_ones() {
    let mut directory = Directory::new();
    for number in 1..=8 {
        directory.hear(0, advertisement(number, 1)).unwrap();
    }
    assert_eq!(directory.hear(0, advertisement(9, 1)), Err(Refusal::Full));
    assert!(directory.hear(0, advertisement(8, 2)).is_ok());
    directory.hear(0, goodbye(3, 1)).unwrap();
    assert!(directory.hear(0, advertisement(9, 1)).is_ok());
    assert_eq!((directory.0.len(), directory.0.remembered()), (8, 8));
}

#[test]
fn the_bytes_kept_are_bounded_and_a_refused_update_keeps_the_former_entry() {
    // The sample's offer has a place in the index.
    let size = envelope(&advertisement(1, 1).into()).len() + 256;
    let mut settings = limits();
    settings.bytes_max = 2 * size + 10;
    let mut directory = Directory(DirectoryState::new(settings));
    directory.hear(0, advertisement(1, 1)).unwrap();
    directory.hear(0, advertisement(2, 1)).unwrap();
    assert_eq!(directory.hear(0, advertisement(3, 1)), Err(Refusal::Full));
    let mut larger = advertisement(2, 2);
    larger.name = "x".repeat(100);
    assert_eq!(directory.hear(0, larger), Err(Refusal::Full));
    assert_eq!(directory.sequence(2), Some(1));
}

#[test]
fn a_snapshot_holds_each_advertisement_before_its_heartbeat() {
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 5)).unwrap();
    directory.hear(0, heartbeat(1, 5, 3)).unwrap();
    directory.hear(0, advertisement(2, 1)).unwrap();
    directory.hear(0, goodbye(2, 1)).unwrap();
    let expected = [
        envelope(&advertisement(1, 5).into()),
        envelope(&heartbeat(1, 5, 3).into()),
    ];
    assert_eq!(directory.0.snapshot(|_| true), expected);
    assert_eq!(directory.0.envelopes(node(1)), expected);
    assert!(directory.0.envelopes(node(2)).is_empty());
    assert!(
        directory
            .0
            .snapshot(|entry| entry.advertisement.is_relay())
            .is_empty()
    );
}

#[test]
fn nodes_are_found_by_the_kinds_of_their_offers_while_they_are_there() {
    let store = Kind::from_static("store");
    let jobs = Kind::from_static("jobs");
    let offering = |directory: &Directory, kind: &Kind| {
        let entries = directory.0.offering(kind).into_iter();
        let mut nodes: Vec<_> = entries.map(|entry| entry.node()).collect();
        nodes.sort();
        nodes
    };
    let mut both = vec![node(1), node(2)];
    both.sort();
    let mut directory = Directory::new();
    directory.hear(0, advertisement(1, 1)).unwrap();
    directory.hear(0, advertisement(2, 1)).unwrap();
    assert_eq!(offering(&directory, &store), both);
    let mut changed = advertisement(1, 2);
    changed.offers = Offers::new([offer("jobs", b"")]).unwrap();
    directory.hear(1, changed).unwrap();
    assert_eq!(offering(&directory, &store), [node(2)]);
    assert_eq!(offering(&directory, &jobs), [node(1)]);
    directory.hear(2, goodbye(1, 2)).unwrap();
    assert!(offering(&directory, &jobs).is_empty());
    directory.0.expire(at(100));
    assert!(offering(&directory, &store).is_empty(), "dormant");
    let mut late = heartbeat(2, 1, 8);
    late.issued_at_ms = NOW_MS + 100_000;
    directory.hear(100, late).unwrap();
    assert_eq!(offering(&directory, &store), [node(2)]);
}

fn any_announcement() -> impl Strategy<Value = Announcement> {
    (1_u8..4, 1_u64..5, 1_u64..5, 0_u8..4).prop_map(|(number, sequence, beat, kind)| match kind {
        0 | 1 => advertisement(number, sequence).into(),
        2 => heartbeat(number, sequence, beat).into(),
        _ => goodbye(number, sequence).into(),
    })
}

fn final_state(directory: &Directory) -> Vec<Arc<[u8]>> {
    let mut state = directory.0.snapshot(|_| true);
    state.sort();
    state
}

proptest! {
    /// Two rounds, because a heartbeat is not kept until its advertisement is known.
    #[test]
    fn any_order_and_duplication_converges(
        (first, second) in proptest::collection::vec(any_announcement(), 0..24).prop_flat_map(|all| {
            let mut doubled = all.clone();
            doubled.extend(all.iter().take(7).cloned());
            (Just(all).prop_shuffle(), Just(doubled).prop_shuffle())
        }),
    ) {
        let (mut here, mut there) = (Directory::new(), Directory::new());
        for _ in 0..2 {
            for announcement in &first {
                let _ = here.hear(0, announcement.clone());
            }
            for announcement in &second {
                let _ = there.hear(0, announcement.clone());
            }
        }
        prop_assert_eq!(final_state(&here), final_state(&there));
    }

    #[test]
    fn a_sequence_never_goes_back(
        heard in proptest::collection::vec((any_announcement(), 0_u64..30), 0..60),
    ) {
        let mut directory = Directory::new();
        let mut seconds = 0;
        let mut highest = [0; 4];
        for (announcement, pause) in heard {
            seconds += pause;
            let _ = directory.hear(seconds, announcement);
            directory.0.expire(at(seconds));
            for number in 1..4 {
                if let Some(sequence) = directory.sequence(number) {
                    let slot = &mut highest[usize::from(number)];
                    prop_assert!(sequence >= *slot);
                    *slot = sequence;
                }
            }
        }
    }

    #[test]
    fn expired_and_departed_nodes_never_reappear_by_replay(
        heard in proptest::collection::vec(any_announcement(), 1..40),
        replayed in proptest::collection::vec((any::<prop::sample::Index>(), 0_u64..4000), 1..60),
    ) {
        let mut directory = Directory::new();
        for announcement in &heard {
            let _ = directory.hear(0, announcement.clone());
        }
        // The announcements arrive once more, so that each heartbeat meets its advertisement.
        for announcement in &heard {
            let _ = directory.hear(0, announcement.clone());
        }
        directory.0.expire(at(3600));
        prop_assert!(directory.0.is_empty());
        let mut times: Vec<_> = replayed;
        times.sort_by_key(|(_, seconds)| *seconds);
        for (index, seconds) in times {
            let _ = directory.hear(3600 + seconds, index.get(&heard).clone());
            directory.0.expire(at(3600 + seconds));
            prop_assert!(directory.0.is_empty());
        }
    }
}

#[test]
fn samples_are_signed_by_their_nodes() {
    assert_eq!(key(1).node_id(), node(1));
}
