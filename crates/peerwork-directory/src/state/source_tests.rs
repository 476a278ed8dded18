//! The bounds of what one source may bring into the table.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    limiter::Rate,
    samples::{NOW_MS, advertisement, goodbye, heartbeat, numbered},
};

const ENTRIES_MAX: usize = 64;
const PER_SOURCE_MAX: usize = 8;
const BURST: u32 = 100;

fn limits() -> Limits {
    let rate = Rate {
        burst: BURST,
        interval: Duration::from_secs(1),
    };
    Limits {
        entries_max: ENTRIES_MAX,
        bytes_max: 1 << 20,
        expiry: Duration::from_secs(60),
        skew: Duration::from_secs(300),
        rate,
        entries_per_source_max: PER_SOURCE_MAX,
        bytes_per_source_max: 1 << 17,
        newcomer_rate: rate,
    }
}

fn at(seconds: u64) -> Moment {
    Moment {
        elapsed: Duration::from_secs(seconds),
        unix_ms: NOW_MS + seconds * 1000,
    }
}

fn stranger(number: u16, ip: Option<&str>) -> Source {
    Source::Stranger(Stranger {
        node: numbered(number),
        origin: ip.and_then(|ip| peerwork_limits::Origin::of(ip.parse().unwrap())),
        solicited: false,
    })
}

fn solicited(source: Source) -> Source {
    match source {
        Source::Stranger(stranger) => Source::Stranger(Stranger {
            solicited: true,
            ..stranger
        }),
        other => other,
    }
}

/// The advertisement of a numbered node.
fn about(number: u16, sequence: u64) -> Announcement {
    let mut advertisement = advertisement(1, sequence);
    advertisement.node = numbered(number);
    advertisement.into()
}

struct Table(DirectoryState);

impl Table {
    fn new() -> Self {
        Self(DirectoryState::new(limits()))
    }

    fn hear(
        &mut self,
        seconds: u64,
        announcement: impl Into<Announcement>,
        source: Source,
    ) -> Result<Outcome, Refusal> {
        let envelope = Arc::from(*b"signed");
        self.0
            .apply(at(seconds), announcement.into(), &envelope, source)
    }

    fn has(&self, number: u16) -> bool {
        self.0.get(numbered(number)).is_some()
    }

    /// Lets a source bring so many new nodes; returns how many of them the table takes.
    fn flood(&mut self, seconds: u64, count: u16, source: Source) -> usize {
        let numbers = 1000..1000 + count;
        let taken = numbers.filter(|number| self.hear(seconds, about(*number, 1), source).is_ok());
        taken.count()
    }
}

#[test]
fn one_sender_of_thousands_of_keys_leaves_room_for_honest_nodes() {
    let mut table = Table::new();
    let honest = stranger(1, Some("192.0.2.1"));
    table.hear(0, about(1, 1), honest).unwrap();
    let rogue = stranger(2, Some("192.0.2.2"));
    assert_eq!(table.flood(0, 5000, rogue), PER_SOURCE_MAX);
    assert_eq!(
        table.hear(0, about(3, 1), rogue),
        Err(Refusal::Crowded),
        "the source has its share"
    );
    for number in 4..20 {
        let ip = format!("192.0.2.{number}");
        let source = stranger(number, Some(&ip));
        table.hear(1, about(number, 1), source).unwrap();
    }
    assert!(table.has(1) && table.has(19));
}

#[test]
fn many_nodes_of_one_network_address_have_one_share() {
    let mut table = Table::new();
    let from = |number: u16| stranger(number, Some("192.0.2.1"));
    let taken = (1..5000).filter(|number| table.hear(0, about(*number, 1), from(*number)).is_ok());
    assert_eq!(taken.count(), PER_SOURCE_MAX);
    let other = stranger(9000, Some("192.0.2.2"));
    assert!(table.hear(0, about(9000, 1), other).is_ok());
}

#[test]
fn a_full_source_may_still_update_and_end_its_nodes() {
    let mut table = Table::new();
    let source = stranger(1, Some("192.0.2.1"));
    for number in 1..=8 {
        table.hear(0, about(number, 1), source).unwrap();
    }
    assert_eq!(table.hear(0, about(9, 1), source), Err(Refusal::Crowded));
    assert!(table.hear(1, about(8, 2), source).is_ok());
    let mut beat = heartbeat(1, 2, 1);
    beat.node = numbered(8);
    assert!(table.hear(1, beat, source).is_ok());
    // A node that left makes room for another one of its source.
    let mut leave = goodbye(1, 1);
    leave.node = numbered(7);
    assert!(table.hear(1, leave, source).is_ok());
    assert!(table.hear(1, about(9, 1), source).is_ok());
    assert_eq!(table.hear(1, about(10, 1), source), Err(Refusal::Crowded));
    // A node that fell silent makes room too; node 9 lives until 61 s.
    table.0.expire(at(60));
    assert!(table.hear(60, about(10, 1), source).is_ok());
}

#[test]
fn goodbyes_of_unknown_nodes_count_too() {
    let mut table = Table::new();
    let source = stranger(1, None);
    for number in 1..200 {
        let mut leave = goodbye(1, 1);
        leave.node = numbered(number);
        let _ = table.hear(0, leave, source);
    }
    assert_eq!(table.0.remembered(), PER_SOURCE_MAX);
}

#[test]
fn a_node_counts_for_the_source_of_its_last_update() {
    let mut table = Table::new();
    let rogue = stranger(1, None);
    for number in 1..=8 {
        table.hear(0, about(number, 1), rogue).unwrap();
    }
    // Node 8's own announcement moves its record from the rogue's account to its own.
    let itself = stranger(8, Some("192.0.2.8"));
    table.hear(1, about(8, 2), itself).unwrap();
    assert!(table.hear(1, about(9, 1), rogue).is_ok());
    assert_eq!(table.hear(1, about(10, 1), rogue), Err(Refusal::Crowded));
    // An update by a source without room still counts for the node's former source.
    assert!(table.hear(2, about(8, 3), rogue).is_ok());
    assert!(table.has(8));
    assert_eq!(table.hear(2, about(10, 1), rogue), Err(Refusal::Crowded));
}

#[test]
fn the_bytes_of_a_source_are_bounded() {
    let mut table = Table::new();
    let source = stranger(1, None);
    // The sample's offer costs 256 bytes in the index.
    let half: Arc<[u8]> = vec![0; (1 << 16) - 256].into();
    let mut bring = |number: u16| {
        let announcement = about(number, 1);
        table.0.apply(at(0), announcement, &half, source)
    };
    assert!(bring(1).is_ok() && bring(2).is_ok());
    assert_eq!(bring(3), Err(Refusal::Crowded));
}

#[test]
fn new_nodes_come_at_a_rate_unless_they_were_asked_for() {
    let mut table = Table(DirectoryState::new(Limits {
        entries_max: 4096,
        entries_per_source_max: 2048,
        bytes_per_source_max: 1 << 20,
        ..limits()
    }));
    let source = stranger(1, Some("192.0.2.1"));
    assert_eq!(table.flood(0, 500, source), BURST as usize);
    assert!(table.hear(0, about(1000, 2), source).is_ok(), "it is known");
    assert!(table.hear(1, about(3000, 1), source).is_ok());
    assert_eq!(table.hear(1, about(3001, 1), source), Err(Refusal::Crowded));
    let neighbour = stranger(2, Some("192.0.2.1"));
    assert!(
        table.hear(1, about(3001, 1), neighbour).is_err(),
        "same address"
    );
    assert!(
        table
            .hear(1, about(3001, 1), stranger(2, Some("192.0.2.2")))
            .is_ok()
    );
    // A snapshot of a thousand nodes after a join.
    let mut joined = (0..1000).map(|number| table.hear(1, about(number, 1), solicited(source)));
    assert!(joined.all(|heard| heard.is_ok()));
}

#[test]
fn lookups_are_asked_for_at_the_rate_of_new_nodes_and_within_the_quota() {
    let mut table = Table::new();
    let source = stranger(1, None);
    let asks = (1..500).filter(|number| table.0.may_ask(at(0), numbered(*number), source));
    assert_eq!(asks.count(), BURST as usize);
    assert!(
        table
            .0
            .may_ask(at(0), numbered(1), Source::Trusted(numbered(2)))
    );
    let other = stranger(3, None);
    for number in 1..=8 {
        table.hear(0, about(number, 1), other).unwrap();
    }
    assert!(!table.0.may_ask(at(0), numbered(9), other), "no room");
    assert!(table.0.may_ask(at(0), numbered(8), other), "it is known");
}

#[test]
fn a_node_of_the_network_file_may_bring_the_whole_network() {
    let mut table = Table::new();
    let relay = Source::Trusted(numbered(1));
    assert_eq!(table.flood(0, 1000, relay), ENTRIES_MAX);
    assert_eq!(table.hear(0, about(1, 1), relay), Err(Refusal::Full));
}
