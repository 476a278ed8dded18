//! Messages between a channel and SCTP: the next message that came in, and the next that goes out.

use sctp_proto::{Association, PayloadProtocolIdentifier as Kind};

use super::{
    frame::{self, Flag, PAYLOAD_BYTES_MAX},
    state::{State, Writing},
};

/// A message that came in.
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) content: Vec<u8>,
    /// Number of SCTP chunks that the message was received in.
    pub(super) chunks: usize,
}

/// The work that is left for a channel.
pub(super) enum Next {
    /// The channel has no work until its user or the other side does something.
    Wait,
    /// The channel has more work, to be done after that of other channels.
    Again,
    /// The channel has more work once the other side has taken the bytes under way.
    Full,
    /// The channel has ended.
    Gone,
}

/// Sends the messages of one channel.
pub(super) struct Outlet<'a> {
    pub(super) association: &'a mut Association,
    pub(super) number: u16,
    pub(super) room: &'a mut usize,
}

impl Outlet<'_> {
    pub(super) fn send(&mut self, message: &[u8]) -> bool {
        *self.room = self.room.saturating_sub(message.len());
        let stream = self.association.stream(self.number);
        let sent = stream.and_then(|mut stream| stream.write_with_ppi(message, Kind::Binary));
        sent.is_ok()
    }

    /// Sends the next message that waits: an acknowledgement, a payload or the end.
    pub(super) fn send_next(&mut self, acknowledge: &mut bool, state: &mut State) -> Next {
        if std::mem::take(acknowledge) && !self.send(&frame::flag(Flag::FinAck)) {
            return Next::Gone;
        }
        if state.writing == Writing::Resetting {
            state.writing = Writing::Stopped;
            if !self.send(&frame::flag(Flag::Reset)) {
                return Next::Gone;
            }
        }
        if !state.outgoing.is_empty() {
            if *self.room == 0 {
                return Next::Full;
            }
            let payload = state.outgoing.take(PAYLOAD_BYTES_MAX);
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

/// Takes the next whole message of a channel from SCTP.
pub(super) fn next_message(association: &mut Association, number: u16) -> Option<Message> {
    let mut stream = association.stream(number).ok()?;
    let chunks = stream.read().ok()??;
    let mut content = vec![0; chunks.len()];
    let length = chunks.read(&mut content).ok()?;
    content.truncate(length);
    // SCTP carries an empty message as one byte, which is no content.
    if matches!(chunks.ppi, Kind::StringEmpty | Kind::BinaryEmpty) {
        content.clear();
    }
    Some(Message {
        kind: chunks.ppi,
        content,
        chunks: chunks.chunks.len(),
    })
}

/// Closes a channel at SCTP, after the messages that are under way.
pub(super) fn close(association: &mut Association, number: u16) {
    // The channel may be closed already.
    let _ = association
        .stream(number)
        .and_then(|mut stream| stream.close());
}
