//! Records the relay's figures of the last hour.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use peerwork_api::{History, Sample};
use peerwork_net::Network;
use tokio::time::{MissedTickBehavior, interval};

use crate::{tasks::Tasks, time::millis_since_1970};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of samples in one hour.
const SAMPLES_MAX: usize = 720;

/// Records a sample every [`INTERVAL`].
pub(super) struct Recorder {
    samples: Arc<Mutex<VecDeque<Sample>>>,
    tasks: Tasks,
}

impl Recorder {
    pub(super) fn start(network: &Network) -> Self {
        let samples = Arc::new(Mutex::new(VecDeque::with_capacity(SAMPLES_MAX)));
        let (recorded, network) = (Arc::clone(&samples), network.clone());
        let tasks = Tasks::default();
        tasks.spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                push(&mut recorded.lock(), sample(&network));
            }
        });
        Self { samples, tasks }
    }

    pub(super) async fn stop(&self) {
        self.tasks.stop().await;
    }

    pub(super) fn history(&self) -> History {
        History {
            interval_seconds: INTERVAL.as_secs(),
            samples: self.samples.lock().iter().copied().collect(),
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
    fn samples_of_one_hour_are_kept() {
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
