//! Reads messages of channels for the users of their streams, as far as there is room.
//!
//! ```text
//!  SCTP holds messages ─ room ─▶ unread bytes of a stream ─▶ its user
//!      │                └─ none: readable again when its user has read (stream full),
//!      │                         or parked until users of other streams have (all full)
//!      └─ too many small chunks: the stream with the most unread messages is reset
//! ```

use sctp_proto::{Association, PayloadProtocolIdentifier as Kind};

use super::{
    channels::{Channel, Channels},
    end::End,
    frame::{Decoder, Flag, Frame},
    messages::{Message, next_message},
    state::{Reading, Room, Writing},
    streams::Table,
};

/// Chunks that SCTP may hold for users who do not read, about 500 bytes each beside their content. Its
/// window counts content alone, so that a sender of single bytes would take a hundred times the window;
/// chunks of 64 bytes on average fill the window first.
pub(super) const CHUNKS_HELD_MAX: usize = 8192;
/// Bytes that SCTP holds for users who do not read: the window of the connection.
pub(super) const WINDOW_BYTES: u32 = 512 << 10;
/// Bytes that SCTP takes for a chunk beside its content.
const CHUNK_OVERHEAD_BYTES: usize = 500;
/// Bytes of the largest chunk: a datagram's.
const CHUNK_BYTES_MAX: usize = 2048;
/// Bytes that the beginnings of messages may take in all channels. Ordinary senders cut none.
const PARTIAL_BYTES_MAX: usize = 1 << 20;

impl Channels {
    /// Bytes of memory that SCTP and the decoders take, at most: SCTP tells its chunks but not their
    /// sizes.
    pub(super) fn unsorted_memory(&self) -> usize {
        let content = self.chunks_held * CHUNK_BYTES_MAX;
        let content = content.min(WINDOW_BYTES as usize);
        self.partial + self.chunks_held * CHUNK_OVERHEAD_BYTES + content
    }

    /// Phase "read": takes a message from each channel whose user has room. Only one message, because
    /// it may be the last before the other side closed the channel, and that has to be known before the
    /// channel's number is read again.
    pub(super) fn read(&mut self, table: &mut Table, association: &mut Association) -> bool {
        let mut busy = false;
        for number in std::mem::take(&mut self.readable) {
            busy |= self.read_one(number, table, association);
        }
        while !table.is_full()
            && let Some(number) = self.parked.pop_front()
        {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.parked = false;
            }
            busy |= self.read_one(number, table, association);
        }
        busy
    }

    fn read_one(&mut self, number: u16, table: &mut Table, association: &mut Association) -> bool {
        self.visit();
        if let Some(channel) = self.channels.get_mut(&number) {
            match table.room(channel.key) {
                Room::Free => {}
                // The channel becomes readable again when its user has read.
                Room::StreamFull => return false,
                Room::AllFull => {
                    if !std::mem::replace(&mut channel.parked, true) {
                        self.parked.push_back(number);
                    }
                    return false;
                }
            }
        }
        let Some(message) = self.next_message(number, association) else {
            return false;
        };
        self.readable.insert(number);
        if message.kind == Kind::Dcep {
            self.on_opened(number, &message.content, table, association);
        } else {
            self.on_message(number, &message.content, table);
        }
        true
    }

    fn on_message(&mut self, number: u16, message: &[u8], table: &mut Table) {
        // Messages without a channel were sent before the other side knew that the channel is closed.
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        if channel.malformed {
            return;
        }
        self.partial -= channel.decoder.memory();
        channel.decoder.push(message);
        let valid = loop {
            match channel.decoder.next() {
                Ok(Some(frame)) => on_frame(channel, &frame, table),
                Ok(None) => break true,
                Err(error) => {
                    tracing::debug!(%error, "a stream is reset");
                    break false;
                }
            }
        };
        channel.decoder.shrink();
        if !valid || self.partial + channel.decoder.memory() > PARTIAL_BYTES_MAX {
            channel.malformed = true;
            channel.decoder = Decoder::default();
            table.abort(channel.key);
        }
        self.partial += channel.decoder.memory();
    }

    /// Phase "shed": too many small chunks wait for users who do not read. The window cannot hold such
    /// a sender back, so that the stream with the most unread messages is reset.
    pub(super) fn shed(
        &mut self,
        table: &mut Table,
        association: &mut Association,
        busy: bool,
    ) -> Result<(), End> {
        if self.chunks_held <= CHUNKS_HELD_MAX {
            return Ok(());
        }
        let unread = self.channels.iter();
        let unread = unread.filter(|(_, channel)| table.room(channel.key) != Room::Free);
        match unread.max_by_key(|(_, channel)| channel.waiting) {
            Some((&number, channel)) => {
                tracing::debug!("a stream is reset: too many small messages are unread");
                table.abort(channel.key);
                self.discard(number, association);
                Ok(())
            }
            None if busy => Ok(()),
            // Only unfinished messages take the room, and no user can read those.
            None => Err(End::InvalidData),
        }
    }

    /// Drops the messages of a channel that SCTP holds, and ignores the ones that are still to come.
    pub(super) fn discard(&mut self, number: u16, association: &mut Association) {
        while let Some(message) = self.next_message(number, association) {
            drop(message);
        }
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.malformed = true;
            self.partial -= channel.decoder.memory();
            channel.decoder = Decoder::default();
        }
        self.readable.insert(number);
    }

    fn next_message(&mut self, number: u16, association: &mut Association) -> Option<Message> {
        let message = next_message(association, number)?;
        self.chunks_held = self.chunks_held.saturating_sub(message.chunks);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.waiting = channel.waiting.saturating_sub(1);
        }
        Some(message)
    }
}

fn on_frame(channel: &mut Channel, frame: &Frame, table: &mut Table) {
    table.receive(channel.key, &frame.payload);
    let Some(flag) = frame.flag else {
        return;
    };
    let Some(state) = table.streams.get_mut(&channel.key) else {
        return;
    };
    match flag {
        Flag::Fin => {
            if state.reading == Reading::Open {
                state.reading = Reading::Finished;
                state.wake_reader();
            }
            channel.acknowledge = true;
        }
        // The side that closed the channel waits for this acknowledgement.
        Flag::FinAck => {}
        Flag::StopSending => {
            if state.writing != Writing::Finished {
                state.stop_writing();
            }
        }
        Flag::Reset => table.reset(channel.key),
    }
    table.wake_swarm();
    table.enqueue(channel.key);
}
