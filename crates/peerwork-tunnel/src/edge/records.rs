//! Remembers how many bytes of each kept tunnel reached the app, so that a request which must not reach
//! the app twice can be sent again when none of its bytes did.
//!
//! ```text
//!  ingress ─ request ─▶ kept tunnel ─▶ Guarded ─✗ the app has closed the connection
//!     └─ Head { repeats: tunnel, offset } ─▶ Records::seal: written ≤ offset, and sealed ─▶ Answer { unsent }
//! ```

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    task::Poll,
};

use parking_lot::Mutex;
use peerwork_identity::NodeId;

use crate::wire::{Repeated, RequestId};

/// The tunnels that are remembered; the oldest is forgotten first. A request of a forgotten tunnel is
/// not sent again, and the client gets a 502.
const RECORDS_MAX: usize = 4096;

/// The records of the tunnels of all callers.
#[derive(Default)]
pub(super) struct Records(Mutex<Table>);

#[derive(Default)]
struct Table {
    records: HashMap<Key, Arc<Record>>,
    oldest: VecDeque<Key>,
}

/// A tunnel, by the node that opened it and by the request id in its head.
type Key = (NodeId, RequestId);

/// The bytes of one tunnel that reached the app's socket.
#[derive(Default)]
pub(super) struct Record(Mutex<Written>);

#[derive(Default)]
struct Written {
    bytes: u64,
    sealed: bool,
}

impl Records {
    /// Begins the record of a tunnel. A caller that repeats a request id gets a new record.
    pub(super) fn begin(&self, caller: NodeId, tunnel: RequestId) -> Arc<Record> {
        let record = Arc::<Record>::default();
        let key = (caller, tunnel);
        let mut table = self.0.lock();
        if table.records.insert(key, Arc::clone(&record)).is_none() {
            table.oldest.push_back(key);
        }
        if table.oldest.len() > RECORDS_MAX
            && let Some(oldest) = table.oldest.pop_front()
        {
            table.records.remove(&oldest);
        }
        record
    }

    /// Whether no byte of a request has reached the app; then its tunnel is sealed, so that none will.
    pub(super) fn seal(&self, caller: NodeId, repeated: Repeated) -> bool {
        let table = self.0.lock();
        let record = table.records.get(&(caller, repeated.tunnel));
        record.is_some_and(|record| record.seal(repeated.offset))
    }
}

impl Record {
    /// Runs `write` and counts its bytes, unless the tunnel is sealed.
    pub(super) fn write(
        &self,
        write: impl FnOnce() -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut written = self.0.lock();
        if written.sealed {
            let error = "the request is sent again on another tunnel";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, error)));
        }
        let result = write();
        if let Poll::Ready(Ok(n)) = &result {
            written.bytes += *n as u64;
        }
        result
    }

    fn seal(&self, offset: u64) -> bool {
        let mut written = self.0.lock();
        let unsent = written.bytes <= offset;
        written.sealed |= unsent;
        unsent
    }
}

#[cfg(test)]
mod tests {
    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    fn write(record: &Record, bytes: usize) -> bool {
        record.write(|| Poll::Ready(Ok(bytes))).map(|r| r.is_ok()) == Poll::Ready(true)
    }

    fn caller() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[test]
    fn a_request_is_unsent_until_its_first_byte_and_a_sealed_tunnel_takes_no_more() {
        let (records, caller, tunnel) = (Records::default(), caller(), RequestId::random());
        let record = records.begin(caller, tunnel);
        assert!(write(&record, 100));
        let after = |offset| Repeated { tunnel, offset };
        assert!(!records.seal(caller, after(99)));
        assert!(write(&record, 1));
        assert!(!records.seal(caller, after(100)));
        assert!(records.seal(caller, after(101)));
        assert!(!write(&record, 1));
        assert!(records.seal(caller, after(101)));
    }

    #[test]
    fn other_callers_and_unknown_tunnels_are_not_vouched_for() {
        let (records, tunnel) = (Records::default(), RequestId::random());
        let (one, other) = (caller(), caller());
        let _record = records.begin(one, tunnel);
        let all = u64::MAX;
        let of = |tunnel| Repeated {
            tunnel,
            offset: all,
        };
        assert!(!records.seal(other, of(tunnel)));
        assert!(!records.seal(one, of(RequestId::random())));
        assert!(records.seal(one, of(tunnel)));
    }

    #[test]
    fn the_oldest_tunnel_is_forgotten_when_there_are_more_than_the_bound() {
        let (records, caller, first) = (Records::default(), caller(), RequestId::random());
        records.begin(caller, first);
        let repeated = Repeated {
            tunnel: first,
            offset: 0,
        };
        for _ in 1..RECORDS_MAX {
            records.begin(caller, RequestId::random());
        }
        assert!(records.seal(caller, repeated));
        records.begin(caller, RequestId::random());
        assert!(!records.seal(caller, repeated));
    }
}
