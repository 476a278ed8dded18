//! The state of one stream: its directions, and the bytes that wait in them.

use std::task::Waker;

use tokio::time::Instant;

use super::{outgoing::Outgoing, unread::Unread};

/// A stream's number in the table; SCTP's own numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);

/// The direction from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    Finished,
    Reset,
}

/// Whether a message may be read for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// The stream's user has to read first.
    StreamFull,
    /// Users of other streams have to read first.
    AllFull,
}

/// The direction to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Open,
    /// The end is to be sent after the bytes that wait.
    Finishing,
    /// The end was sent.
    Finished,
    /// The stream was reset here, and the other side has to be told.
    Resetting,
    /// The other side takes no more, or was told that the stream is reset.
    Stopped,
}

/// One stream.
#[derive(Debug)]
pub(super) struct State {
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// Whether the user has dropped the stream.
    pub(super) dropped: bool,
    pub(super) outgoing: Outgoing,
    pub(super) unread: Unread,
    /// The user's last read.
    pub(super) read_at: Instant,
    /// Whether the stream waits in the table's queue.
    pub(super) queued: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl State {
    pub(super) fn new(outgoing: Outgoing) -> Self {
        Self {
            reading: Reading::Open,
            writing: Writing::Open,
            dropped: false,
            outgoing,
            unread: Unread::default(),
            read_at: Instant::now(),
            queued: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn wake_reader(&mut self) {
        wake(&mut self.reader);
    }

    pub(super) fn wake_writer(&mut self) {
        wake(&mut self.writer);
    }

    /// Resets both directions, and forgets their bytes. The other side is told by the stream's next
    /// message.
    pub(super) fn abort(&mut self) {
        self.reading = Reading::Reset;
        self.unread = Unread::default();
        self.wake_reader();
        if self.writing != Writing::Stopped {
            self.stop_writing();
            self.writing = Writing::Resetting;
        }
    }

    /// Takes no more bytes from the user, and forgets those that wait.
    pub(super) fn stop_writing(&mut self) {
        self.writing = Writing::Stopped;
        self.outgoing.clear();
        self.wake_writer();
    }
}

/// Wakes the task that waits, if there is one.
pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
