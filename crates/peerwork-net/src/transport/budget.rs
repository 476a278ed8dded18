//! Bounds the memory of bytes that streams hold: bytes that were received and not read, and bytes that
//! were written and not sent.
//!
//! ```text
//!  socket ─▶ Account::received ─▶ unread, by stream ─▶ Account::read ─▶ user
//!               └─ over a bound: streams that hold most for longest are reset
//!  user ─▶ Account::poll_room ─▶ unsent ─▶ Account::sent ─▶ socket
//!               └─ no room: the writer waits until the socket has taken bytes
//! ```
//! yamux promises 256 KiB to every stream and cannot take that back, so that a remote node may make
//! this side hold bytes that are never read. Streams are reset then, so that no stream has to wait for
//! another. Writers wait only for their own socket, and every connection may always hold a
//! little.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::frames::{Event, Scanner};

/// Bytes that a frame takes beside its content: the buffer's own header, its place in two queues.
const FRAME_BYTES: usize = 64;
/// Unsent bytes that a connection may hold when all connections together hold as many as they may.
const UNSENT_BYTES_ALWAYS: usize = 64 << 10;
/// A shed goes on until this part of a bound is free, so that it is not needed for each frame.
const SHED_PART: usize = 8;

/// The bounds of bytes that streams hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Unread bytes of all connections.
    pub(super) unread: usize,
    /// Unread bytes of one connection.
    pub(super) unread_per_connection: usize,
    /// Unsent bytes of all connections, beside a little for each.
    pub(super) unsent: usize,
    /// Unsent bytes of one connection.
    pub(super) unsent_per_connection: usize,
}

/// The memory of all connections. Clones count together.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    bounds: Bounds,
    unread: AtomicUsize,
    unsent: AtomicUsize,
    next: AtomicU64,
    accounts: Mutex<HashMap<u64, Weak<Account>>>,
}

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
        }
    }
}

/// A stream that may be reset, and its weight: its memory times the time for which it was not read.
struct Candidate {
    worth: u128,
    memory: usize,
    stream: u32,
    account: Arc<Account>,
}

impl Budget {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            bounds,
            unread: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            accounts: Mutex::default(),
        }))
    }

    /// Opens the account of one connection.
    pub(super) fn account(&self) -> Arc<Account> {
        let account = Arc::new(Account {
            budget: self.clone(),
            number: self.0.next.fetch_add(1, Relaxed),
            state: Mutex::default(),
            failed: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&account);
        self.0.accounts.lock().insert(account.number, weak);
        account
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    /// Memory of the unread bytes of all connections.
    #[cfg(test)]
    pub(super) fn unread(&self) -> usize {
        self.0.unread.load(Relaxed)
    }

    /// Unsent bytes of all connections.
    #[cfg(test)]
    pub(super) fn unsent(&self) -> usize {
        self.0.unsent.load(Relaxed)
    }

    /// Phase "shed" of all connections: resets the streams that are worth most; where that does not
    /// free enough, ends the connections that hold most.
    fn shed(&self) {
        let bound = self.0.bounds.unread;
        let accounts: Vec<_> = self.0.accounts.lock().values().cloned().collect();
        let accounts: Vec<_> = accounts.iter().filter_map(Weak::upgrade).collect();
        let candidates = accounts.iter().flat_map(Account::candidates).collect();
        let over = self
            .0
            .unread
            .load(Relaxed)
            .saturating_sub(bound - bound / SHED_PART);
        // Streams that were dropped before and whose bytes are about to be given back.
        let dying: usize = accounts.iter().map(|a| a.state.lock().dying).sum();
        let freed = reset(candidates, over.saturating_sub(dying));
        if freed > 0 || self.0.unread.load(Relaxed) <= bound + bound / SHED_PART {
            return;
        }
        if let Some(largest) = accounts.iter().max_by_key(|a| a.state.lock().held()) {
            largest.fail();
        }
    }
}

/// Resets the candidates that are worth most, until `over` bytes are free; gives how many are.
fn reset(mut candidates: Vec<Candidate>, over: usize) -> usize {
    candidates.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.worth));
    let mut freed = 0;
    for candidate in candidates {
        if freed >= over {
            break;
        }
        freed += candidate.memory;
        candidate.account.reset(candidate.stream);
    }
    freed
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
    /// Counts bytes that came from the socket.
    pub(super) fn received(&self, bytes: &[u8]) {
        let all = &self.budget.0.unread;
        let over = {
            let state = &mut *self.state.lock();
            let mut inbound = std::mem::take(&mut state.inbound);
            inbound.scan(bytes, |event| match event {
                Event::Opened { stream } => {
                    state.streams.entry(stream).or_insert_with(Held::new);
                }
                Event::Began { bytes } => {
                    state.incoming = bytes;
                    all.fetch_add(bytes, Relaxed);
                }
                Event::Ended { stream, bytes } => {
                    all.fetch_sub(state.incoming, Relaxed);
                    state.incoming = 0;
                    all.fetch_add(state.push(stream, bytes), Relaxed);
                }
            });
            state.inbound = inbound;
            let bound = self.budget.0.bounds.unread_per_connection;
            state.dying > bound || state.held() - state.dying > bound
        };
        if over {
            self.shed_own();
        }
        if all.load(Relaxed) > self.budget.0.bounds.unread {
            self.budget.shed();
        }
    }

    /// Phase "shed" of one connection.
    fn shed_own(&self) {
        let bound = self.budget.0.bounds.unread_per_connection;
        let accounts = self.budget.0.accounts.lock();
        let this = accounts.get(&self.number).and_then(Weak::upgrade);
        drop(accounts);
        let (live, dying) = {
            let state = self.state.lock();
            (state.held().saturating_sub(state.dying), state.dying)
        };
        let over = live.saturating_sub(bound - bound / SHED_PART);
        let candidates = this.iter().flat_map(Self::candidates).collect();
        let freed = reset(candidates, over);
        if dying > bound || (over > 0 && freed == 0) {
            self.fail();
        }
    }

    fn candidates(this: &Arc<Self>) -> impl Iterator<Item = Candidate> + use<> {
        let now = Instant::now();
        let state = this.state.lock();
        let live = state
            .streams
            .iter()
            .filter(|(_, held)| held.memory > 0 && !held.dropped);
        let candidates: Vec<_> = live
            .map(|(stream, held)| {
                let unread_for = now - held.read_at + Duration::from_millis(1);
                Candidate {
                    worth: unread_for.as_millis() * held.memory as u128,
                    memory: held.memory,
                    stream: *stream,
                    account: Arc::clone(this),
                }
            })
            .collect();
        candidates.into_iter()
    }

    fn reset(&self, stream: u32) {
        let victim = {
            let mut state = self.state.lock();
            state.drop_stream(stream);
            state
                .streams
                .get(&stream)
                .and_then(|held| held.victim.clone())
        };
        tracing::debug!(stream, "a stream is reset: too many bytes are unread");
        if let Some(victim) = victim.and_then(|victim| victim.upgrade()) {
            victim.reset();
        }
    }

    /// Ends the connection.
    fn fail(&self) {
        tracing::debug!("a connection ends: too many of its bytes are unread");
        self.failed.store(true, Relaxed);
        if let Some(reader) = self.state.lock().reader.take() {
            reader.wake();
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

    /// Notes that the user dropped a stream.
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
        self.budget.0.unread.fetch_sub(freed, Relaxed);
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
        self.budget.0.unread.fetch_sub(freed, Relaxed);
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
        let bounds = &self.budget.0.bounds;
        let all = self.budget.0.unsent.load(Relaxed);
        state.unsent < UNSENT_BYTES_ALWAYS
            || (state.unsent < bounds.unsent_per_connection && all < bounds.unsent)
    }

    /// Counts bytes that the user wrote to a stream.
    pub(super) fn written(&self, bytes: usize) {
        let mut state = self.state.lock();
        if !state.closed {
            state.unsent += bytes;
            self.budget.0.unsent.fetch_add(bytes, Relaxed);
        }
    }

    /// Counts bytes that the socket took.
    pub(super) fn sent(&self, bytes: &[u8]) {
        let state = &mut *self.state.lock();
        let data = state.outbound.scan(bytes, |_| {}).min(state.unsent);
        state.unsent -= data;
        self.budget.0.unsent.fetch_sub(data, Relaxed);
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
        self.budget.0.unsent.fetch_sub(state.unsent, Relaxed);
        self.budget.0.unread.fetch_sub(state.incoming, Relaxed);
        (state.unsent, state.incoming) = (0, 0);
        state.writers.drain(..).for_each(Waker::wake);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close();
        self.budget
            .0
            .unread
            .fetch_sub(self.state.get_mut().unread, Relaxed);
        self.budget.0.accounts.lock().remove(&self.number);
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
