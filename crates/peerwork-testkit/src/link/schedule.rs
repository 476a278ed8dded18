//! Computes when packets arrive at the far end of a link: pure, with the time as an argument.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::conditions::Conditions;

/// Packets under way in one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// Thousandths of a loss that have added up.
    losses: u16,
    /// When the packet before the first one had left the sender.
    sent: Option<Instant>,
    /// When that packet was delivered.
    delivered: Option<Instant>,
}

#[derive(Debug)]
struct Packet {
    data: Bytes,
    entered: Instant,
    lost: bool,
}

impl Schedule {
    /// Bytes under way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a packet to the schedule.
    pub(super) fn push(&mut self, data: Bytes, conditions: &Conditions, now: Instant) {
        self.losses += conditions.lost_per_thousand.min(1000);
        let lost = self.losses >= 1000;
        if lost {
            self.losses -= 1000;
        }
        self.bytes += data.len();
        self.packets.push_back(Packet {
            data,
            entered: now,
            lost,
        });
    }

    /// When the first packet arrives under these conditions.
    pub(super) fn due(&self, conditions: &Conditions) -> Option<Instant> {
        let first = self.packets.front()?;
        let delivered = self.sent(first, conditions) + conditions.delay + first.late(conditions);
        Some(delivered.max(self.delivered.unwrap_or(delivered)))
    }

    /// Takes the first packet out, delivered when it was due.
    pub(super) fn pop(&mut self, conditions: &Conditions) -> Option<Bytes> {
        let delivered = self.due(conditions);
        let first = self.packets.pop_front()?;
        self.sent = Some(self.sent(&first, conditions));
        self.delivered = delivered;
        self.bytes -= first.data.len();
        Some(first.data)
    }

    /// When the last byte of a packet has left the sender: one packet after the other.
    fn sent(&self, packet: &Packet, conditions: &Conditions) -> Instant {
        let begin = packet.entered.max(self.sent.unwrap_or(packet.entered));
        let seconds = |rate: u32| packet.data.len() as f64 / f64::from(rate.max(1));
        let rate = conditions.bytes_per_second;
        begin + Duration::from_secs_f64(rate.map_or(0.0, seconds))
    }
}

impl Packet {
    fn late(&self, conditions: &Conditions) -> Duration {
        if self.lost {
            conditions.retransmission
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The milliseconds at which packets of 1000 bytes are due that entered at the times of `entries`.
    fn due(conditions: &Conditions, entries: &[u32]) -> Vec<u128> {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        for entry in entries {
            schedule.push(vec![0; 1000].into(), conditions, start + *entry * MS);
        }
        let mut due = Vec::new();
        while let Some(at) = schedule.due(conditions) {
            due.push((at - start).as_millis());
            schedule.pop(conditions).unwrap();
        }
        assert_eq!(schedule.bytes(), 0);
        due
    }

    #[test]
    fn a_clear_line_delivers_at_once() {
        assert_eq!(due(&Conditions::CLEAR, &[0, 3]), [0, 3]);
    }

    #[test]
    fn packets_are_under_way_side_by_side() {
        let delay = 50 * MS;
        let conditions = Conditions {
            delay,
            ..Conditions::CLEAR
        };
        assert_eq!(due(&conditions, &[0, 1]), [50, 51]);
    }

    #[test]
    fn the_rate_holds_for_packets_together_and_an_idle_line_saves_nothing() {
        let conditions = Conditions {
            delay: 50 * MS,
            bytes_per_second: Some(100_000),
            ..Conditions::CLEAR
        };
        let due = due(&conditions, &[0, 0, 100, 100]);
        assert_eq!(due, [60, 70, 160, 170]);
    }

    #[test]
    fn a_lost_packet_arrives_after_its_timeout_and_those_behind_wait_for_it() {
        let conditions = Conditions {
            delay: 10 * MS,
            lost_per_thousand: 250,
            retransmission: 200 * MS,
            ..Conditions::CLEAR
        };
        let due = due(&conditions, &[0, 1, 2, 3, 4, 205, 206]);
        assert_eq!(due, [10, 11, 12, 213, 213, 215, 216]);
    }

    #[test]
    fn a_thousandth_is_one_packet_of_a_thousand_and_a_thousand_all() {
        let lost = |lost_per_thousand: u16| {
            let conditions = Conditions {
                lost_per_thousand,
                ..Conditions::CLEAR
            };
            let (mut schedule, now) = (Schedule::default(), Instant::now());
            for _ in 0..2000 {
                schedule.push(Bytes::new(), &conditions, now);
            }
            schedule.packets.iter().filter(|packet| packet.lost).count()
        };
        assert_eq!([0, 1, 50, 1000, 1001].map(lost), [0, 2, 100, 2000, 2000]);
    }

    #[test]
    fn changed_conditions_hold_for_packets_under_way() {
        let slow = Conditions {
            bytes_per_second: Some(1),
            ..Conditions::CLEAR
        };
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.push(vec![0; 1000].into(), &slow, start);
        assert_eq!(schedule.due(&slow), Some(start + 1_000_000 * MS));
        assert_eq!(schedule.due(&Conditions::CLEAR), Some(start));
    }
}
