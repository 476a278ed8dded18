//! The streams of one connection: the state that their users and the connection's task share.
//!
//! ```text
//!  users: Muxer, Stream ──▶ Table ◀── Connection, in a task of its own
//!       bytes to send, ends, drops │ bytes received, new streams, the end
//! ```

use std::{
    collections::{HashMap, VecDeque},
    io,
    task::{Context, Poll, Waker},
};

use multiaddr::multihash::Multihash;
use tokio::time::Instant;

use super::{
    super::budget::{Budget, Stake, Tally},
    outgoing::{Outgoing, Total},
    state::{Key, Reading, Room, State, Writing, wake},
};

/// Bytes of memory that the unread bytes of one stream take before no further message is read from
/// SCTP, whose window then holds the other side back. The last message may exceed it.
pub(super) const UNREAD_BYTES_MAX: usize = 256 << 10;
/// Memory that the unread bytes of all streams of a connection take before no further message is read.
pub(super) const UNREAD_ALL_BYTES_MAX: usize = 1 << 20;
/// Inbound streams that wait for the swarm.
const INBOUND_MAX: usize = 256;

/// The streams, and the requests of users to the connection.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) streams: HashMap<Key, State>,
    /// Streams whose users have written, read, ended or dropped them.
    pub(super) queue: VecDeque<Key>,
    /// Whether the user waits for a new outbound stream.
    pub(super) wanted: bool,
    /// Whether the user has dropped the connection or closes it.
    pub(super) closing: bool,
    next_key: u64,
    /// Bytes of memory that unread bytes take.
    unread: Tally,
    /// Bytes of memory that SCTP and the decoders take for bytes that no user can read yet.
    unsorted: Tally,
    /// Whether the budget has run out, so that the connection has to end.
    failed: bool,
    /// Bytes of all streams that wait to be sent.
    outgoing: Total,
    /// Streams whose users wait until others have sent.
    waiting: Vec<Key>,
    inbound: VecDeque<Key>,
    opened: Option<Key>,
    certificate: Option<Multihash<64>>,
    ended: Option<io::ErrorKind>,
    on_inbound: Option<Waker>,
    on_opened: Option<Waker>,
    on_certificate: Option<Waker>,
    on_end: Option<Waker>,
    /// Whether the swarm has to poll the connection again.
    again: bool,
}

impl Table {
    pub(super) fn new(budget: &Budget) -> Self {
        Self {
            streams: HashMap::new(),
            queue: VecDeque::new(),
            wanted: false,
            closing: false,
            next_key: 0,
            unread: Tally::new(budget),
            unsorted: Tally::new(budget),
            failed: false,
            outgoing: Total::default(),
            waiting: Vec::new(),
            inbound: VecDeque::new(),
            opened: None,
            certificate: None,
            ended: None,
            on_inbound: None,
            on_opened: None,
            on_certificate: None,
            on_end: None,
            again: false,
        }
    }
}

// The budget's side.
impl Table {
    /// Bytes of memory that the connection holds for bytes that were not read.
    pub(super) fn held(&self) -> usize {
        self.unread.bytes() + self.unsorted.bytes()
    }

    /// The streams whose unread bytes a reset frees.
    pub(super) fn stakes(&self) -> Vec<Stake> {
        let holding = self.streams.iter();
        let holding = holding.filter(|(_, state)| state.unread.memory() > 0);
        holding
            .map(|(key, state)| Stake::new(key.0, state.unread.memory(), state.read_at))
            .collect()
    }

    /// Resets a stream from this side and frees its memory; the connection's task tells the other side.
    pub(super) fn abort(&mut self, key: Key) {
        if let Some(state) = self.streams.get_mut(&key) {
            self.unread.free(state.unread.memory());
            state.abort();
            self.enqueue(key);
        }
    }

    /// Ends the connection, because it holds too many unread bytes.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }
}

// The connection's side.
impl Table {
    /// Whether the connection has to end for the bytes that it holds.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Notes the memory of bytes that SCTP and the decoders hold.
    pub(super) fn hold_unsorted(&mut self, bytes: usize) {
        self.unsorted.set(bytes);
    }

    pub(super) fn insert(&mut self) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        let outgoing = Outgoing::new(self.outgoing.clone());
        self.streams.insert(key, State::new(outgoing));
        key
    }

    /// Adds an inbound stream, which waits for the swarm; `None` without room.
    pub(super) fn insert_inbound(&mut self) -> Option<Key> {
        if self.inbound.len() >= INBOUND_MAX {
            return None;
        }
        let key = self.insert();
        self.inbound.push_back(key);
        wake(&mut self.on_inbound);
        Some(key)
    }

    pub(super) fn insert_outbound(&mut self) -> Key {
        let key = self.insert();
        self.wanted = false;
        self.opened = Some(key);
        wake(&mut self.on_opened);
        key
    }

    /// Bytes of memory that unread bytes take.
    #[cfg(test)]
    pub(super) fn unread(&self) -> usize {
        self.unread.bytes()
    }

    /// Whether the unread bytes of all streams take as much memory as they may.
    pub(super) fn is_full(&self) -> bool {
        self.unread.bytes() >= UNREAD_ALL_BYTES_MAX
    }

    /// Whether one more message of the stream may be read.
    pub(super) fn room(&self, key: Key) -> Room {
        match self.streams.get(&key) {
            Some(state) if state.dropped || state.reading != Reading::Open => Room::Free,
            Some(state) if state.unread.memory() >= UNREAD_BYTES_MAX => Room::StreamFull,
            Some(_) if self.is_full() => Room::AllFull,
            _ => Room::Free,
        }
    }

    pub(super) fn receive(&mut self, key: Key, payload: &[u8]) {
        let Some(state) = self.streams.get_mut(&key) else {
            return;
        };
        if payload.is_empty() || state.dropped || state.reading != Reading::Open {
            return;
        }
        self.unread.free(state.unread.memory());
        state.unread.push(payload);
        self.unread.add(state.unread.memory());
        state.wake_reader();
    }

    /// Resets a stream that the other side gave up, or whose channel has ended.
    pub(super) fn reset(&mut self, key: Key) {
        let Some(state) = self.streams.get_mut(&key) else {
            return;
        };
        if state.reading == Reading::Open {
            state.reading = Reading::Reset;
            self.unread.free(std::mem::take(&mut state.unread).memory());
            state.wake_reader();
        }
        if state.writing != Writing::Finished {
            state.stop_writing();
        }
    }

    pub(super) fn enqueue(&mut self, key: Key) {
        if let Some(state) = self.streams.get_mut(&key)
            && !std::mem::replace(&mut state.queued, true)
        {
            self.queue.push_back(key);
        }
    }

    pub(super) fn dequeue(&mut self) -> Option<Key> {
        let key = self.queue.pop_front()?;
        if let Some(state) = self.streams.get_mut(&key) {
            state.queued = false;
        }
        Some(key)
    }

    pub(super) fn identified(&mut self, certificate: Multihash<64>) {
        self.certificate = Some(certificate);
        wake(&mut self.on_certificate);
    }

    /// Ends all streams, because the connection has ended.
    pub(super) fn end(&mut self, reason: io::ErrorKind) {
        self.ended.get_or_insert(reason);
        for state in self.streams.values_mut() {
            state.wake_reader();
            state.wake_writer();
        }
        for waker in [
            &mut self.on_inbound,
            &mut self.on_opened,
            &mut self.on_certificate,
            &mut self.on_end,
        ] {
            wake(waker);
        }
    }
}

// The users' side.
impl Table {
    fn check(&self) -> io::Result<()> {
        match self.ended {
            Some(reason) => Err(reason.into()),
            None => Ok(()),
        }
    }

    pub(super) fn poll_certificate(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Multihash<64>>> {
        self.check()?;
        match self.certificate {
            Some(certificate) => Poll::Ready(Ok(certificate)),
            None => later(&mut self.on_certificate, cx),
        }
    }

    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Key>> {
        match self.inbound.pop_front() {
            Some(key) => Poll::Ready(Ok(key)),
            None => self.check().map_or_else(
                |error| Poll::Ready(Err(error)),
                |()| later(&mut self.on_inbound, cx),
            ),
        }
    }

    pub(super) fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Key>> {
        self.check()?;
        match self.opened.take() {
            Some(key) => Poll::Ready(Ok(key)),
            None => {
                self.wanted = true;
                later(&mut self.on_opened, cx)
            }
        }
    }

    /// Lets the swarm look at the protocols of the connection once more. libp2p's ping begins to read
    /// again after an answer, but asks its stream only when it is polled the next time, and nothing
    /// else would wake it for an end that is there already.
    pub(super) fn wake_swarm(&mut self) {
        self.again = true;
        wake(&mut self.on_end);
    }

    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::ErrorKind> {
        if std::mem::take(&mut self.again) {
            cx.waker().wake_by_ref();
        }
        match self.ended {
            Some(reason) => Poll::Ready(reason),
            None => later(&mut self.on_end, cx),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        key: Key,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let ended = self.check();
        let Some(state) = self.streams.get_mut(&key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if !state.unread.is_empty() {
            self.unread.free(state.unread.memory());
            let length = state.unread.read(buf);
            state.read_at = Instant::now();
            self.unread.add(state.unread.memory());
            // There may be room again for messages that SCTP holds.
            let only_end_left = state.unread.is_empty() && state.reading != Reading::Open;
            self.enqueue(key);
            if only_end_left {
                self.wake_swarm();
            }
            return Poll::Ready(Ok(length));
        }
        match state.reading {
            Reading::Finished => Poll::Ready(Ok(0)),
            Reading::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Reading::Open => {
                ended?;
                later(&mut state.reader, cx)
            }
        }
    }

    pub(super) fn poll_write(
        &mut self,
        key: Key,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let Some(state) = self.streams.get_mut(&key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if state.writing != Writing::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = state.outgoing.push(buf);
        if length == 0 && !buf.is_empty() {
            if self.outgoing.is_full() && !self.waiting.contains(&key) {
                self.waiting.push(key);
            }
            return later(&mut state.writer, cx);
        }
        self.enqueue(key);
        Poll::Ready(Ok(length))
    }

    /// Wakes the users whose streams wait for room, once other streams have sent.
    pub(super) fn wake_waiting(&mut self) {
        if self.waiting.is_empty() || self.outgoing.is_full() {
            return;
        }
        for key in std::mem::take(&mut self.waiting) {
            if let Some(state) = self.streams.get_mut(&key) {
                state.wake_writer();
            }
        }
    }

    /// Sends the end of a stream, behind all bytes that were written.
    pub(super) fn poll_finish(&mut self, key: Key, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let Some(state) = self.streams.get_mut(&key) else {
            return Poll::Ready(Ok(()));
        };
        match state.writing {
            Writing::Finished => return Poll::Ready(Ok(())),
            Writing::Resetting | Writing::Stopped => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            Writing::Open | Writing::Finishing => state.writing = Writing::Finishing,
        }
        state.writer = Some(cx.waker().clone());
        self.enqueue(key);
        Poll::Pending
    }

    pub(super) fn drop_stream(&mut self, key: Key) {
        let Some(state) = self.streams.get_mut(&key) else {
            return;
        };
        state.dropped = true;
        self.unread.free(std::mem::take(&mut state.unread).memory());
        self.enqueue(key);
    }
}

fn later<T>(waker: &mut Option<Waker>, cx: &mut Context<'_>) -> Poll<T> {
    *waker = Some(cx.waker().clone());
    Poll::Pending
}
