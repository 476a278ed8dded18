//! The figures of the last hour.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use peerwork_api::{History, Sample};
use peerwork_net::Network;
use tokio::time::{MissedTickBehavior, interval};

use crate::node::millis_since_1970;

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(5);
/// One hour.
const SAMPLES_MAX: usize = 720;

/// Takes a sample every few seconds.
pub(super) struct Recorder(Arc<Mutex<VecDeque<Sample>>>);

impl Recorder {
    /// Ends with the network.
    pub(super) fn start(network: &Network) -> Self {
        let samples = Arc::new(Mutex::new(VecDeque::with_capacity(SAMPLES_MAX)));
        let (recorded, network) = (Arc::clone(&samples), network.clone());
        let stopping = network.stopping();
        tokio::spawn(async move {
            let record = async {
                let mut ticks = interval(INTERVAL);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    push(&mut recorded.lock(), sample(&network));
                }
            };
            stopping.run_until_cancelled(record).await;
        });
        Self(samples)
    }

    pub(super) fn history(&self) -> History {
        History {
            interval_seconds: INTERVAL.as_secs(),
            samples: self.0.lock().iter().copied().collect(),
        }
    }
}

fn push(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(sample);
}

fn sample(network: &Network) -> Sample {
    let (reservations, circuits) = network.relay_in_use();
    let (received_bytes, sent_bytes) = network.traffic_total();
    Sample {
        at: millis_since_1970(),
        connections: network.peer_count(),
        reservations,
        circuits,
        received_bytes,
        sent_bytes,
        messages: network.forwarded_messages(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept() {
        let mut samples = VecDeque::new();
        for at in 0..=720 {
            let sample = Sample {
                at,
                ..Sample::default()
            };
            push(&mut samples, sample);
        }
        let ends = (samples.front().map(|s| s.at), samples.back().map(|s| s.at));
        assert_eq!((samples.len(), ends), (SAMPLES_MAX, (Some(1), Some(720))));
    }
}
