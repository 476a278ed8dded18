//! Medians over the rounds, and the tables.

use std::{collections::HashMap, fmt, time::Duration};

use super::{gossip::Delivery, load::Rate};
use crate::report::median;

/// A number of operations, and the relay's CPU time for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    per_second: f64,
    cpu_us_each: f64,
}

impl Work {
    pub(super) fn new(rate: Rate, cpu: Duration) -> Self {
        Self {
            per_second: rate.per_second(),
            cpu_us_each: cpu.as_secs_f64() * 1e6 / rate.done.max(1.0),
        }
    }
}

/// One round at one relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) connections: Work,
    pub(super) reservations: Work,
    pub(super) circuits: Work,
    pub(super) alone: Work,
    pub(super) many: Work,
    pub(super) delivery: Delivery,
    pub(super) fan_out: Work,
    pub(super) fan_out_share: f64,
}

/// A relay whose clients hold places and do nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) count: usize,
    /// The time until all clients held a place.
    pub(super) seconds: f64,
    pub(super) kib_each: f64,
    pub(super) mib: f64,
    /// Share of one core.
    pub(super) idle_cpu: f64,
}

/// The figures of both relays.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(super) rounds: HashMap<&'static str, Vec<Round>>,
    pub(super) held: Vec<(&'static str, Vec<Held>)>,
}

type OfRound<T> = (&'static str, fn(&Round) -> T);

const WORK: [OfRound<Work>; 6] = [
    ("connections/s", |round| round.connections),
    ("reservations/s", |round| round.reservations),
    ("circuits opened/s", |round| round.circuits),
    ("one circuit, MiB/s", |round| round.alone),
    ("50 circuits, MiB/s", |round| round.many),
    ("gossip to 100, deliveries/s", |round| round.fan_out),
];

const GOSSIP: [OfRound<f64>; 4] = [
    ("20 messages/s to 100: p50, ms", |round| {
        round.delivery.p50_ms
    }),
    ("20 messages/s to 100: p99, ms", |round| {
        round.delivery.p99_ms
    }),
    ("20 messages/s to 100: delivered, %", |round| {
        round.delivery.share * 100.0
    }),
    ("as fast as possible: delivered, %", |round| {
        round.fan_out_share * 100.0
    }),
];

impl Figures {
    fn of(&self, relay: &str, value: impl Fn(&Round) -> f64) -> f64 {
        let rounds = self.rounds.get(relay).map(Vec::as_slice);
        median(rounds.unwrap_or_default().iter().map(value).collect())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | peerwork | js-libp2p | ratio | CPU each, µs: peerwork | js-libp2p | ratio |\n\
             |---|---|---|---|---|---|---|"
        )?;
        for (name, of) in WORK {
            let [ours, js] =
                ["peerwork", "js-libp2p"].map(|relay| self.of(relay, |round| of(round).per_second));
            let [our_cpu, js_cpu] = ["peerwork", "js-libp2p"]
                .map(|relay| self.of(relay, |round| of(round).cpu_us_each));
            writeln!(
                f,
                "| {name} | {ours:.0} | {js:.0} | {:.1} | {our_cpu:.1} | {js_cpu:.1} | {:.1} |",
                ours / js,
                js_cpu / our_cpu
            )?;
        }
        writeln!(f, "\n| what | peerwork | js-libp2p |\n|---|---|---|")?;
        for (name, of) in GOSSIP {
            let [ours, js] = ["peerwork", "js-libp2p"].map(|relay| self.of(relay, of));
            writeln!(f, "| {name} | {ours:.1} | {js:.1} |")?;
        }
        writeln!(
            f,
            "\n| relay | places held | KiB each | MiB in all | all held after, s \
             | CPU while idle, % of a core |\n|---|---|---|---|---|---|"
        )?;
        for (name, all) in &self.held {
            for held in all {
                writeln!(
                    f,
                    "| {name} | {} | {:.0} | {:.0} | {:.1} | {:.1} |",
                    held.count,
                    held.kib_each,
                    held.mib,
                    held.seconds,
                    held.idle_cpu * 100.0
                )?;
            }
        }
        Ok(())
    }
}
