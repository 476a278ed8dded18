//! Data channels over SCTP (RFC 8831, RFC 8832), each a stream of libp2p.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use sctp_proto::{Association, PayloadProtocolIdentifier as Kind, StreamEvent};

use super::{
    connection::End,
    frame::{self, Decoder, Flag, Frame, PAYLOAD_BYTES_MAX},
    streams::{Handle, Key, Reading, State, Table, Writing},
};

/// Streams of one connection at once. A side that opens one too many loses the connection, as with
/// yamux.
const STREAMS_MAX: usize = 4096;
/// Bytes that SCTP holds until the other side has them: the most that is under way.
const SENDING_BYTES_MAX: usize = 1 << 20;
/// How long the other side may take to close the channel of a stream that its user dropped.
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
    channels: HashMap<u16, Channel>,
    numbers: HashMap<Key, u16>,
    handshake: Key,
    /// Channels that may hold messages.
    readable: BTreeSet<u16>,
    /// Channels whose bytes are under way.
    sending: BTreeSet<u16>,
    lingering: VecDeque<(Instant, Key)>,
}

struct Channel {
    key: Key,
    decoder: Decoder,
    /// The other side's end is to be acknowledged.
    acknowledge: bool,
    lingers: bool,
}

impl Channel {
    fn new(key: Key) -> Self {
        Self {
            key,
            decoder: Decoder::default(),
            acknowledge: false,
            lingers: false,
        }
    }
}

/// What is left to do for a channel.
enum Next {
    /// Nothing until its user or the other side does something.
    Wait,
    /// More, once others had their turn.
    Again,
    /// More, once the other side has taken what is under way.
    Full,
    /// The channel is no more.
    Gone,
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
            readable: BTreeSet::new(),
            sending: BTreeSet::new(),
            lingering: VecDeque::new(),
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
        // Somebody who sent there already has opened it.
        if association.stream(HANDSHAKE).is_err() {
            association
                .open_stream(HANDSHAKE, Kind::Binary)
                .map_err(|_| End::InvalidData)?;
        }
        self.add(HANDSHAKE, self.handshake);
        let shared = Handle::clone(&self.shared);
        shared.lock().enqueue(self.handshake);
        self.readable.insert(HANDSHAKE);
        Ok(())
    }

    pub(super) fn on_event(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Opened { id } | StreamEvent::Readable { id } => {
                self.readable.insert(*id);
            }
            StreamEvent::Finished { id } => self.on_closed(*id),
            _ => {}
        }
    }

    fn add(&mut self, number: u16, key: Key) {
        self.channels.insert(number, Channel::new(key));
        self.numbers.insert(key, number);
    }

    /// The other side closed the channel; everything it sent has been read.
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
        Some(channel)
    }

    /// Moves bytes between users and SCTP; whether there was anything to do.
    pub(super) fn exchange(
        &mut self,
        association: &mut Association,
        now: Instant,
    ) -> Result<bool, End> {
        let shared = Handle::clone(&self.shared);
        let mut table = shared.lock();
        let mut busy = self.open(&mut table, association);
        // Before reading: users who have read say so here.
        busy |= self.write(&mut table, association, now);
        busy |= self.read(&mut table, association);
        busy |= self.give_up(&mut table, association, now);
        let many = association.stream_ids().len() > STREAMS_MAX;
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
            self.add(number, table.insert_outbound());
            return true;
        }
        false
    }

    /// Phase "read": a message of each channel whose user has room. Only one, because it may have been
    /// the last before the other side closed the channel, which is to be known before the number is
    /// read from again.
    fn read(&mut self, table: &mut Table, association: &mut Association) -> bool {
        let mut busy = false;
        for number in std::mem::take(&mut self.readable) {
            let key = self.channels.get(&number).map(|channel| channel.key);
            if key.is_some_and(|key| !table.has_room(key)) {
                self.readable.insert(number);
            } else if let Some((kind, message)) = next_message(association, number) {
                busy = true;
                self.readable.insert(number);
                self.on_message(number, kind, &message, table, association);
            }
        }
        busy
    }

    fn on_message(
        &mut self,
        number: u16,
        kind: Kind,
        message: &[u8],
        table: &mut Table,
        association: &mut Association,
    ) {
        if kind == Kind::Dcep {
            self.on_opened(number, message, table, association);
            return;
        }
        // Without a channel they were sent before the other side knew that it is closed.
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        channel.decoder.push(message);
        loop {
            match channel.decoder.next() {
                Ok(Some(frame)) => on_frame(channel, frame, table),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "a stream is reset");
                    table.reset(channel.key);
                    table.enqueue(channel.key);
                    return;
                }
            }
        }
    }

    fn on_opened(
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
            // The swarm is behind: whoever opens more has them closed.
            _ => close(association, number),
        }
    }

    fn under_way(&mut self, association: &mut Association) -> usize {
        let mut sum = 0;
        self.sending.retain(|number| {
            let stream = association.stream(*number).ok();
            let bytes = stream.and_then(|stream| stream.buffered_amount().ok());
            sum += bytes.unwrap_or(0);
            bytes.is_some_and(|bytes| bytes > 0)
        });
        sum
    }

    /// Phase "write": what users wrote, ended or dropped, a message of each in turn.
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
            // A user who has read makes room.
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
        match outlet.send_next(channel, state) {
            Next::Wait if state.dropped => {}
            next => return next,
        }
        if matches!(state.writing, Writing::Open | Writing::Finishing) {
            outlet.send(&frame::flag(Flag::Reset));
            state.stop_writing();
        }
        // The other side closes the channel when it has done with the stream. Were both to close it,
        // SCTP would reset the channel twice, the second time perhaps one that has its number then.
        if !std::mem::replace(&mut channel.lingers, true) {
            self.lingering.push_back((now + LINGER, channel.key));
        }
        Next::Wait
    }

    /// Phase "give up": channels that the other side has not closed in time.
    fn give_up(&mut self, table: &mut Table, association: &mut Association, now: Instant) -> bool {
        let mut busy = false;
        while self.timeout().is_some_and(|until| until <= now) {
            let key = self.lingering.pop_front().map(|(_, key)| key);
            let number = key.and_then(|key| self.numbers.get(&key).copied());
            if let Some((key, number)) = key.zip(number) {
                busy = true;
                close(association, number);
                self.forget(number);
                forget_user(table, key);
            }
        }
        busy
    }
}

/// Where messages of one channel go.
struct Outlet<'a> {
    association: &'a mut Association,
    number: u16,
    room: &'a mut usize,
}

impl Outlet<'_> {
    fn send(&mut self, message: &[u8]) -> bool {
        *self.room = self.room.saturating_sub(message.len());
        let stream = self.association.stream(self.number);
        let sent = stream.and_then(|mut stream| stream.write_with_ppi(message, Kind::Binary));
        sent.is_ok()
    }

    /// The next that waits: an acknowledgement, a payload, the end.
    fn send_next(&mut self, channel: &mut Channel, state: &mut State) -> Next {
        if std::mem::take(&mut channel.acknowledge) && !self.send(&frame::flag(Flag::FinAck)) {
            return Next::Gone;
        }
        if !state.outgoing.is_empty() {
            if *self.room == 0 {
                return Next::Full;
            }
            let length = state.outgoing.len().min(PAYLOAD_BYTES_MAX);
            let payload = state.outgoing.split_to(length).freeze();
            state.wake_writer();
            return match self.send(&frame::data(payload)) {
                true => Next::Again,
                false => Next::Gone,
            };
        }
        if state.writing == Writing::Finishing {
            state.writing = Writing::Finished;
            state.wake_writer();
            if !self.send(&frame::flag(Flag::Fin)) {
                return Next::Gone;
            }
        }
        Next::Wait
    }
}

fn next_message(association: &mut Association, number: u16) -> Option<(Kind, Vec<u8>)> {
    let mut stream = association.stream(number).ok()?;
    let chunks = stream.read().ok()??;
    let mut message = vec![0; chunks.len()];
    let length = chunks.read(&mut message).ok()?;
    message.truncate(length);
    // An empty message has a byte that stands for nothing.
    if matches!(chunks.ppi, Kind::StringEmpty | Kind::BinaryEmpty) {
        message.clear();
    }
    Some((chunks.ppi, message))
}

fn on_frame(channel: &mut Channel, frame: Frame, table: &mut Table) {
    table.receive(channel.key, frame.payload);
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
        // Whoever closes the channel waits for it: the other side.
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

/// Closes a channel at SCTP, behind what is under way.
fn close(association: &mut Association, number: u16) {
    // It may be gone already.
    let _ = association
        .stream(number)
        .and_then(|mut stream| stream.close());
}

/// A stream without a channel stays for as long as its user has it.
fn forget_user(table: &mut Table, key: Key) -> bool {
    let dropped = table.streams.get(&key).is_some_and(|state| state.dropped);
    dropped && table.streams.remove(&key).is_some()
}
