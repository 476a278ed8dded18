//! Data channels over SCTP (RFC 8831, RFC 8832), each a stream of libp2p.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use sctp_proto::{Association, PayloadProtocolIdentifier as Kind, StreamEvent};

use super::{
    end::End,
    frame::{self, Decoder, Flag},
    messages::{Next, Outlet, close},
    shared::Handle,
    state::{Key, Writing},
    streams::Table,
};

/// Streams of one connection at once; a node that opens more loses the connection. Chromium's WebRTC and
/// libdatachannel, which js-libp2p uses in Node.js, have no more than these 1024 channels either. Each
/// idle channel costs a little time for each datagram, because SCTP adds up the unread bytes of all.
pub(super) const STREAMS_MAX: usize = 1024;
/// Bytes that SCTP holds until the other side has them: the most that is under way.
const SENDING_BYTES_MAX: usize = 1 << 20;
/// The time that the other side has to close the channel of a stream that its user dropped.
const LINGER: Duration = Duration::from_secs(10);
/// The channel of the handshake, which both sides open without a message.
const HANDSHAKE: u16 = 0;
/// Messages that open a channel (RFC 8832): open and its answer.
const OPEN: u8 = 3;
const ACK: u8 = 2;
/// A reliable and ordered channel without a name: type, kind, priority, reliability, two lengths.
const PLAIN_CHANNEL: [u8; 12] = [OPEN, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Numbers of channels that this side opens are odd, as those of DTLS servers.
const FIRST_OWN: u16 = 1;

/// The channels of one connection.
pub(super) struct Channels {
    shared: Handle,
    pub(super) channels: HashMap<u16, Channel>,
    numbers: HashMap<Key, u16>,
    handshake: Key,
    /// Channels of SCTP, also those that no stream belongs to.
    open: HashSet<u16>,
    /// Channels that may hold messages which may be read.
    pub(super) readable: BTreeSet<u16>,
    /// Channels that wait until users of other streams have read, in the order in which they began to
    /// wait.
    pub(super) parked: VecDeque<u16>,
    /// Chunks that SCTP holds.
    pub(super) chunks_held: usize,
    /// Bytes of memory that beginnings of messages take.
    pub(super) partial: usize,
    /// Channels whose bytes are under way.
    sending: BTreeSet<u16>,
    lingering: VecDeque<(Instant, Key)>,
    /// Channels that were looked at since the start.
    #[cfg(test)]
    pub(super) visits: usize,
}

pub(super) struct Channel {
    pub(super) key: Key,
    pub(super) decoder: Decoder,
    /// Whether the other side sent an invalid message; all further messages are ignored.
    pub(super) malformed: bool,
    /// Whether the channel waits in [`Channels::parked`].
    pub(super) parked: bool,
    /// Messages that came in and were not read, as far as SCTP has reported them.
    pub(super) waiting: usize,
    /// Whether the end of the other side has to be acknowledged.
    pub(super) acknowledge: bool,
    lingers: bool,
}

impl Channel {
    fn new(key: Key) -> Self {
        Self {
            key,
            decoder: Decoder::default(),
            malformed: false,
            parked: false,
            waiting: 0,
            acknowledge: false,
            lingers: false,
        }
    }
}

impl Channels {
    /// Channels of a connection whose handshake's stream is in `shared`.
    pub(super) fn new(shared: Handle) -> Self {
        let handshake = shared.lock().insert();
        Self {
            shared,
            channels: HashMap::new(),
            numbers: HashMap::new(),
            handshake,
            open: HashSet::new(),
            readable: BTreeSet::new(),
            parked: VecDeque::new(),
            chunks_held: 0,
            partial: 0,
            sending: BTreeSet::new(),
            lingering: VecDeque::new(),
            #[cfg(test)]
            visits: 0,
        }
    }

    /// The handshake's stream.
    pub(super) fn handshake(&self) -> Key {
        self.handshake
    }

    /// When a lingering stream is given up.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Whether nothing waits to be sent or acknowledged.
    pub(super) fn is_idle(&mut self, association: &mut Association) -> bool {
        self.under_way(association) == 0 && self.shared.lock().queue.is_empty()
    }

    pub(super) fn on_connected(&mut self, association: &mut Association) -> Result<(), End> {
        // The channel is open when the other side has sent there already.
        if association.stream(HANDSHAKE).is_err() {
            association
                .open_stream(HANDSHAKE, Kind::Binary)
                .map_err(|_| End::InvalidData)?;
        }
        self.open.insert(HANDSHAKE);
        self.add(HANDSHAKE, self.handshake);
        let shared = Handle::clone(&self.shared);
        shared.lock().enqueue(self.handshake);
        self.readable.insert(HANDSHAKE);
        Ok(())
    }

    pub(super) fn on_event(&mut self, event: &StreamEvent, association: &mut Association) {
        match event {
            StreamEvent::Opened { id } => {
                self.open.insert(*id);
                self.readable.insert(*id);
            }
            StreamEvent::Readable { id } => {
                self.readable.insert(*id);
                if let Some(channel) = self.channels.get_mut(id) {
                    channel.waiting += 1;
                }
            }
            StreamEvent::Finished { id } => {
                if association.stream(*id).is_err() {
                    self.open.remove(id);
                }
                self.on_closed(*id);
            }
            _ => {}
        }
    }

    /// Counts one more chunk that SCTP holds.
    pub(super) fn on_chunk(&mut self) {
        self.chunks_held += 1;
    }

    /// Counts a look at one channel, by which tests measure the work for a datagram.
    pub(super) fn visit(&mut self) {
        #[cfg(test)]
        {
            self.visits += 1;
        }
    }

    fn add(&mut self, number: u16, key: Key) {
        self.channels.insert(number, Channel::new(key));
        self.numbers.insert(key, number);
    }

    /// Handles the end of a channel that the other side closed and whose messages have all been read.
    fn on_closed(&mut self, number: u16) {
        self.readable.remove(&number);
        if let Some(channel) = self.forget(number) {
            let shared = Handle::clone(&self.shared);
            let mut table = shared.lock();
            table.reset(channel.key);
            table.enqueue(channel.key);
        }
    }

    fn forget(&mut self, number: u16) -> Option<Channel> {
        self.sending.remove(&number);
        let channel = self.channels.remove(&number)?;
        self.numbers.remove(&channel.key);
        self.partial -= channel.decoder.memory();
        Some(channel)
    }

    /// Moves bytes between users and SCTP; returns whether there were any.
    pub(super) fn exchange(
        &mut self,
        association: &mut Association,
        now: Instant,
    ) -> Result<bool, End> {
        let shared = Handle::clone(&self.shared);
        let exchanged = self.exchange_with(&mut shared.lock(), association, now);
        shared.shed_if_over();
        exchanged
    }

    fn exchange_with(
        &mut self,
        table: &mut Table,
        association: &mut Association,
        now: Instant,
    ) -> Result<bool, End> {
        if table.has_failed() {
            return Err(End::OutOfMemory);
        }
        let mut busy = self.open(table, association);
        // Writing comes before reading, because it finds the streams whose users have read.
        busy |= self.write(table, association, now);
        busy |= self.read(table, association);
        busy |= self.give_up(table, association, now);
        self.shed(table, association, busy)?;
        table.hold_unsorted(self.unsorted_memory());
        let many = self.open.len() > STREAMS_MAX && association.stream_ids().len() > STREAMS_MAX;
        many.then_some(End::InvalidData).map_or(Ok(busy), Err)
    }

    /// Phase "open": the stream that a user waits for.
    fn open(&mut self, table: &mut Table, association: &mut Association) -> bool {
        if !table.wanted || self.channels.len() >= STREAMS_MAX || association.is_handshaking() {
            return false;
        }
        let free = |number: &u16| !self.channels.contains_key(number);
        for number in (FIRST_OWN..u16::MAX).step_by(2).filter(free) {
            // A number is free again when both sides have closed the channel before.
            let Ok(mut stream) = association.open_stream(number, Kind::Binary) else {
                continue;
            };
            if stream.write_with_ppi(&PLAIN_CHANNEL, Kind::Dcep).is_err() {
                return false;
            }
            self.open.insert(number);
            self.add(number, table.insert_outbound());
            return true;
        }
        false
    }

    pub(super) fn on_opened(
        &mut self,
        number: u16,
        message: &[u8],
        table: &mut Table,
        association: &mut Association,
    ) {
        if message.first() != Some(&OPEN) || self.channels.contains_key(&number) {
            return;
        }
        let answered = association
            .stream(number)
            .and_then(|mut stream| stream.write_with_ppi(&[ACK], Kind::Dcep));
        match table.insert_inbound() {
            Some(key) if answered.is_ok() => self.add(number, key),
            // The swarm has not taken earlier streams yet, so that further channels are closed.
            _ => close(association, number),
        }
    }

    fn under_way(&mut self, association: &mut Association) -> usize {
        #[cfg(test)]
        {
            self.visits += self.sending.len();
        }
        let mut sum = 0;
        self.sending.retain(|number| {
            let stream = association.stream(*number).ok();
            let bytes = stream.and_then(|stream| stream.buffered_amount().ok());
            sum += bytes.unwrap_or(0);
            bytes.is_some_and(|bytes| bytes > 0)
        });
        sum
    }

    /// Phase "write": sends the bytes and ends of streams, a message of each in turn.
    fn write(&mut self, table: &mut Table, association: &mut Association, now: Instant) -> bool {
        let mut room = SENDING_BYTES_MAX.saturating_sub(self.under_way(association));
        let mut busy = false;
        let mut full = Vec::new();
        while let Some(key) = table.dequeue() {
            let number = self.numbers.get(&key).copied();
            let Some(number) = number else {
                busy |= forget_user(table, key);
                continue;
            };
            // Bytes that a user has read make room.
            self.readable.insert(number);
            match self.advance(number, &mut room, table, association, now) {
                Next::Wait => {}
                Next::Again => {
                    busy = true;
                    table.enqueue(key);
                }
                Next::Full => full.push(key),
                Next::Gone => {
                    busy = true;
                    self.forget(number);
                    table.reset(key);
                    forget_user(table, key);
                }
            }
        }
        for key in full {
            table.enqueue(key);
        }
        table.wake_waiting();
        busy
    }

    fn advance(
        &mut self,
        number: u16,
        room: &mut usize,
        table: &mut Table,
        association: &mut Association,
        now: Instant,
    ) -> Next {
        self.visit();
        let Some(channel) = self.channels.get_mut(&number) else {
            return Next::Wait;
        };
        let Some(state) = table.streams.get_mut(&channel.key) else {
            return Next::Gone;
        };
        self.sending.insert(number);
        let mut outlet = Outlet {
            association,
            number,
            room,
        };
        match outlet.send_next(&mut channel.acknowledge, state) {
            Next::Wait if state.dropped => {}
            next => return next,
        }
        if matches!(state.writing, Writing::Open | Writing::Finishing) {
            outlet.send(&frame::flag(Flag::Reset));
            state.stop_writing();
        }
        // The other side closes the channel when it has done with the stream. If both sides closed it,
        // SCTP would reset the number twice, the second time perhaps for a later channel.
        if !std::mem::replace(&mut channel.lingers, true) {
            self.lingering.push_back((now + LINGER, channel.key));
        }
        Next::Wait
    }

    /// Phase "give up": closes the channels that the other side has not closed in time.
    fn give_up(&mut self, table: &mut Table, association: &mut Association, now: Instant) -> bool {
        let mut busy = false;
        while self.timeout().is_some_and(|until| until <= now) {
            let key = self.lingering.pop_front().map(|(_, key)| key);
            let number = key.and_then(|key| self.numbers.get(&key).copied());
            if let Some((key, number)) = key.zip(number) {
                busy = true;
                // Closing the channel drops the messages that it holds.
                self.discard(number, association);
                close(association, number);
                self.forget(number);
                forget_user(table, key);
            }
        }
        busy
    }
}

/// Removes a stream without a channel, unless its user still has it.
fn forget_user(table: &mut Table, key: Key) -> bool {
    let dropped = table.streams.get(&key).is_some_and(|state| state.dropped);
    dropped && table.streams.remove(&key).is_some()
}
