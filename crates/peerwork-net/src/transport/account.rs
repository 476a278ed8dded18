//! Counts the bytes that the streams of one yamux connection hold, and bounds them.
//!
//! ```text
//!  socket ─▶ Account::received ─▶ unread, by stream ─▶ Account::read ─▶ user
//!               └─ over a bound: streams that hold most for longest are reset
//!  user ─▶ Account::poll_room ─▶ unsent ─▶ Account::sent ─▶ socket
//!               └─ no room: the writer waits until the socket has taken bytes
//! ```
//! yamux promises 256 KiB to every stream and cannot take that back, so that the bytes that arrive are
//! counted, not the promise. Writers wait only for their own socket, and every connection may always
//! hold a little.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    budget::{Budget, Holder, SHED_PART, Stake, reset},
    end::End,
    frames::{DATA, Event, FIN, HEADER_BYTES, RST, Scanner, number},
};

/// Bytes that a frame takes beside its content: the buffer's own header, its place in two queues.
const FRAME_BYTES: usize = 64;
/// Unsent bytes that a connection may hold when all connections together hold as many as they may.
const UNSENT_BYTES_ALWAYS: usize = 64 << 10;

/// A stream that can be reset from outside, which frees the bytes that it holds.
pub(super) trait Victim: Send + Sync {
    fn reset(&self);
}

/// The memory of one connection.
pub(super) struct Account {
    budget: Budget,
    number: u64,
    state: Mutex<State>,
    /// Whether the connection has to end.
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    inbound: Scanner,
    outbound: Scanner,
    streams: HashMap<u32, Held>,
    /// Streams that their users dropped, and whose bytes the muxer still holds.
    dropped: Vec<u32>,
    /// Streams whose users dropped them without an end, until the muxer has sent its last frame of them.
    abandoned: HashSet<u32>,
    /// Memory of the streams' unread bytes.
    unread: usize,
    /// The part of `unread` that streams in [`State::dropped`] hold.
    dying: usize,
    /// Bytes of the frame that is being received.
    incoming: usize,
    unsent: usize,
    writers: Vec<Waker>,
    /// The task that waits for the socket.
    reader: Option<Waker>,
    closed: bool,
    /// The reason of the connection's end, where the muxer's error does not tell it.
    end: Option<End>,
}

/// The unread bytes of one stream.
struct Held {
    frames: VecDeque<u32>,
    /// Bytes of the first frame that were read.
    read: usize,
    memory: usize,
    read_at: Instant,
    victim: Option<Weak<dyn Victim>>,
    dropped: bool,
    /// Whether the other node has ended its direction, and all its data has arrived.
    finished: bool,
    /// Whether this side has ended its direction, or the other node has reset the stream.
    ended: bool,
}

impl Held {
    fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            read: 0,
            memory: 0,
            read_at: Instant::now(),
            victim: None,
            dropped: false,
            finished: false,
            ended: false,
        }
    }
}

impl State {
    fn held(&self) -> usize {
        self.unread + self.incoming
    }

    /// Marks a stream as dropped; its bytes count until the muxer has dropped it too.
    fn drop_stream(&mut self, stream: u32) {
        if let Some(held) = self.streams.get_mut(&stream)
            && !std::mem::replace(&mut held.dropped, true)
        {
            self.dying += held.memory;
            self.dropped.push(stream);
            if !held.ended {
                self.abandoned.insert(stream);
            }
        }
    }

    fn push(&mut self, stream: u32, bytes: usize) -> usize {
        let Some(held) = self.streams.get_mut(&stream).filter(|_| bytes > 0) else {
            // The muxer ignores frames of streams that have ended.
            return 0;
        };
        let memory = bytes + FRAME_BYTES;
        held.frames
            .push_back(u32::try_from(bytes).unwrap_or(u32::MAX));
        held.memory += memory;
        self.unread += memory;
        if held.dropped {
            self.dying += memory;
        }
        memory
    }
}

impl Account {
    /// Opens the account of a connection.
    pub(super) fn open(budget: &Budget) -> Arc<Self> {
        let account = Arc::new(Self {
            budget: budget.clone(),
            number: budget.number(),
            state: Mutex::default(),
            failed: AtomicBool::new(false),
        });
        let weak: Weak<Self> = Arc::downgrade(&account);
        budget.register(account.number, weak);
        account
    }

    /// Counts bytes that came from the socket.
    pub(super) fn received(&self, bytes: &[u8]) {
        let over = {
            let state = &mut *self.state.lock();
            let mut inbound = std::mem::take(&mut state.inbound);
            inbound.scan(bytes, |event| match event {
                Event::Opened { stream } => {
                    state.streams.entry(stream).or_insert_with(Held::new);
                }
                Event::Began { bytes } => {
                    state.incoming = bytes;
                    self.budget.add_unread(bytes);
                }
                Event::Ended { stream, bytes } => {
                    self.budget.free_unread(state.incoming);
                    state.incoming = 0;
                    self.budget.add_unread(state.push(stream, bytes));
                }
                Event::Finished { stream } => {
                    if let Some(held) = state.streams.get_mut(&stream) {
                        held.finished = true;
                    }
                }
                Event::Reset { stream } => {
                    state.abandoned.remove(&stream);
                    if let Some(held) = state.streams.get_mut(&stream) {
                        held.ended = true;
                    }
                }
                Event::WentAway { code } if code > 0 => {
                    state.end.get_or_insert(End::ByOther(code));
                }
                Event::WentAway { .. } => {}
            });
            state.inbound = inbound;
            let bound = self.budget.bounds().unread_per_connection;
            state.dying > bound || state.held() - state.dying > bound
        };
        if over {
            self.shed_own();
        }
        self.budget.shed_if_over();
    }

    /// Phase "shed" of one connection.
    fn shed_own(&self) {
        let bound = self.budget.bounds().unread_per_connection;
        let (live, dying) = {
            let state = self.state.lock();
            (state.held().saturating_sub(state.dying), state.dying)
        };
        let over = live.saturating_sub(bound - bound / SHED_PART);
        let stakes = self.stakes().into_iter();
        let stakes = stakes.map(|stake| (stake, self as &dyn Holder));
        let freed = reset(stakes.collect(), over);
        if dying > bound || (over > 0 && freed == 0) {
            self.fail();
        }
    }

    /// Notes that the connection's task waits for the socket.
    pub(super) fn park(&self, cx: &Context<'_>) {
        let reader = &mut self.state.lock().reader;
        match reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => *reader = Some(cx.waker().clone()),
        }
    }

    /// The reason for which the connection ends, where the muxer's error does not tell it.
    pub(super) fn end(&self) -> Option<End> {
        self.state.lock().end.clone()
    }

    /// Whether the connection is to end.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Registers the user of a stream, by which the stream can be reset.
    pub(super) fn attach(&self, stream: u32, victim: Weak<dyn Victim>) {
        let mut state = self.state.lock();
        let held = state.streams.entry(stream).or_insert_with(Held::new);
        held.victim = Some(victim);
        held.read_at = Instant::now();
    }

    /// Whether the other node has ended its direction of a stream. Without that, the end of the bytes is
    /// a reset or the loss of the connection.
    pub(super) fn is_finished(&self, stream: u32) -> bool {
        let state = self.state.lock();
        state.streams.get(&stream).is_some_and(|held| held.finished)
    }

    /// Notes that the user ended its direction of a stream.
    pub(super) fn ended(&self, stream: u32) {
        if let Some(held) = self.state.lock().streams.get_mut(&stream) {
            held.ended = true;
        }
    }

    /// Notes that the user dropped a stream, before the muxer learns of that.
    pub(super) fn detach(&self, stream: u32) {
        self.state.lock().drop_stream(stream);
    }

    /// Notes that the muxer has no work left; it has also dropped the streams that users dropped.
    pub(super) fn settle(&self) {
        let state = &mut *self.state.lock();
        if state.dropped.is_empty() {
            return;
        }
        let gone = state.dropped.drain(..);
        let gone = gone.filter_map(|stream| state.streams.remove(&stream));
        let freed: usize = gone.map(|held| held.memory).sum();
        state.unread -= freed;
        state.dying = 0;
        self.budget.free_unread(freed);
    }

    /// Counts bytes that the user read from a stream.
    pub(super) fn read(&self, stream: u32, bytes: usize) {
        let state = &mut *self.state.lock();
        let Some(held) = state.streams.get_mut(&stream) else {
            return;
        };
        held.read_at = Instant::now();
        held.read += bytes;
        let mut freed = 0;
        while let Some(first) = held.frames.front().map(|first| *first as usize)
            && held.read >= first
        {
            held.read -= first;
            held.frames.pop_front();
            freed += first + FRAME_BYTES;
        }
        held.memory -= freed;
        state.unread -= freed;
        if held.dropped {
            state.dying -= freed;
        }
        self.budget.free_unread(freed);
    }

    /// Waits until the connection may hold more unsent bytes.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.closed || self.has_room(&state) {
            return Poll::Ready(());
        }
        if !state
            .writers
            .iter()
            .any(|writer| writer.will_wake(cx.waker()))
        {
            state.writers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn has_room(&self, state: &State) -> bool {
        let bounds = self.budget.bounds();
        let all = self.budget.unsent();
        state.unsent < UNSENT_BYTES_ALWAYS
            || (state.unsent < bounds.unsent_per_connection && all < bounds.unsent)
    }

    /// Counts bytes that the user wrote to a stream.
    pub(super) fn written(&self, bytes: usize) {
        let mut state = self.state.lock();
        if !state.closed {
            state.unsent += bytes;
            self.budget.add_unsent(bytes);
        }
    }

    /// The header that has to be sent in place of the first of these bytes, and of how many of them. The
    /// muxer ends a stream that its user dropped after the other node had ended its direction; the other
    /// node must learn that the stream was reset.
    pub(super) fn replaced(&self, bytes: &[u8]) -> Option<([u8; HEADER_BYTES], usize)> {
        let state = self.state.lock();
        if state.abandoned.is_empty() {
            return None;
        }
        let (mut header, own) = state.outbound.header_with(bytes)?;
        let ends = header[1] == DATA && number(&header, 8) == 0 && header[3] & FIN != 0;
        if !ends || !state.abandoned.contains(&number(&header, 4)) {
            return None;
        }
        header[3] = (header[3] & !FIN) | RST;
        Some((header, own))
    }

    /// Counts bytes that the socket took.
    pub(super) fn sent(&self, bytes: &[u8]) {
        let state = &mut *self.state.lock();
        let (end, abandoned) = (&mut state.end, &mut state.abandoned);
        let data = state.outbound.scan(bytes, |event| match event {
            Event::Reset { stream } => {
                abandoned.remove(&stream);
            }
            Event::WentAway { code } if code > 0 => {
                end.get_or_insert(End::ByThis(code));
            }
            _ => {}
        });
        let data = data.min(state.unsent);
        state.unsent -= data;
        self.budget.free_unsent(data);
        if data > 0 && !state.writers.is_empty() && self.has_room(state) {
            state.writers.drain(..).for_each(Waker::wake);
        }
    }

    /// Closes the account of a connection that has ended: its unsent bytes are gone, and unread bytes
    /// stay with their users.
    pub(super) fn close(&self) {
        let state = &mut *self.state.lock();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        self.budget.free_unsent(state.unsent);
        self.budget.free_unread(state.incoming);
        (state.unsent, state.incoming) = (0, 0);
        state.writers.drain(..).for_each(Waker::wake);
    }
}

impl Holder for Account {
    fn stakes(&self) -> Vec<Stake> {
        let state = self.state.lock();
        let live = state.streams.iter();
        let live = live.filter(|(_, held)| held.memory > 0 && !held.dropped);
        live.map(|(stream, held)| Stake::new((*stream).into(), held.memory, held.read_at))
            .collect()
    }

    fn held(&self) -> usize {
        self.state.lock().held()
    }

    fn dying(&self) -> usize {
        self.state.lock().dying
    }

    fn reset(&self, stream: u64) {
        // Numbers of yamux have 32 bits; the stake came from such a number.
        let Ok(stream) = u32::try_from(stream) else {
            return;
        };
        let victim = {
            let mut state = self.state.lock();
            state.drop_stream(stream);
            let held = state.streams.get(&stream);
            held.and_then(|held| held.victim.clone())
        };
        tracing::debug!(stream, "a stream is reset: too many bytes are unread");
        if let Some(victim) = victim.and_then(|victim| victim.upgrade()) {
            victim.reset();
        }
    }

    fn fail(&self) {
        tracing::debug!("a connection ends: too many of its bytes are unread");
        self.failed.store(true, Relaxed);
        let mut state = self.state.lock();
        state.end.get_or_insert(End::Unread);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close();
        self.budget.free_unread(self.state.get_mut().unread);
        self.budget.forget(self.number);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
