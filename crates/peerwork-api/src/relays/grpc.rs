//! This module converts relays and reservations to messages of gRPC `v1.System`.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

use super::{RelayConnections, Reservation};
use crate::operator::v1;

pub(crate) fn relay_connections(count: RelayConnections) -> v1::RelayConnectionsCount {
    let RelayConnections {
        connected,
        reservations_max,
    } = count;
    v1::RelayConnectionsCount {
        connected,
        max_reservations: i64::try_from(reservations_max).unwrap_or(i64::MAX),
    }
}

/// The reservation as text in the form of EdgeMatrix (spec 8.1); 0 means unlimited.
pub(crate) fn reservation_text(reservation: &Reservation) -> String {
    let Reservation {
        bytes_max,
        duration_max,
        expires_at,
        addresses,
    } = reservation;
    format!(
        "LimitData:{}, LimitDuration:{}, Expiration:{}, Addrs:[{}]",
        bytes_max.unwrap_or(0),
        go_duration(duration_max.unwrap_or_default()),
        expires_at.map_or_else(|| "unknown".to_owned(), go_time),
        addresses.join(" "),
    )
}

/// Whole seconds as Go prints them: `0s`, `2m0s`, `1h0m5s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Whole seconds as Go prints a UTC time: `2026-01-31 12:00:00 +0000 UTC`.
fn go_time(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let rfc3339 = Timestamp { seconds, nanos: 0 }.to_string();
    rfc3339.replace('T', " ").replace('Z', " +0000 UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_reads_as_in_edgematrix() {
        let mut reservation = Reservation {
            bytes_max: None,
            duration_max: None,
            expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800)),
            addresses: Vec::new(),
        };
        assert_eq!(
            reservation_text(&reservation),
            "LimitData:0, LimitDuration:0s, Expiration:2026-01-31 12:00:00 +0000 UTC, Addrs:[]"
        );
        reservation.bytes_max = Some(131_072);
        reservation.duration_max = Some(Duration::from_secs(120));
        reservation.addresses = vec!["/ip4/1.2.3.4/tcp/1".into(), "/ip4/1.2.3.4/tcp/2".into()];
        assert_eq!(
            reservation_text(&reservation),
            "LimitData:131072, LimitDuration:2m0s, Expiration:2026-01-31 12:00:00 +0000 UTC, \
             Addrs:[/ip4/1.2.3.4/tcp/1 /ip4/1.2.3.4/tcp/2]"
        );
        assert_eq!(go_duration(Duration::from_secs(3605)), "1h0m5s");
    }
}
