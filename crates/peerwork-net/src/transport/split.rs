//! Splits large data frames of yamux, on their way from the socket to the muxer, into smaller frames.
//!
//! ```text
//!  socket ─▶ [header n MiB][body]  ──Splitter──▶  [header][piece] [header][piece] … ─▶ yamux
//! ```
//! The yamux specification bounds a data frame by the window alone, and js-libp2p sends one frame as
//! large as the window. The yamux library ends a connection whose frame has more than 1 MiB, while it
//! grants larger windows. Smaller frames also reach the reader of the stream earlier.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::AsyncRead;

use super::frames::{ACK, DATA, FIN, HEADER_BYTES, RST, SYN, number};

/// The largest data frame that the muxer sees, in bytes: the window of a stream at its start.
const PIECE_BYTES: u32 = 256 << 10;

/// Splits the frames of one direction of a connection.
///
/// A read of [`Splitter::poll_read`] never crosses the end of a header or of a body, as the reads of
/// yamux do not.
#[derive(Debug)]
pub(super) struct Splitter {
    piece_max: u32,
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that are there.
    filled: usize,
    /// Bytes of the header that the muxer has taken.
    given: usize,
    /// Bytes of the present piece's body that are still to come.
    body: u32,
    /// Bytes of the frame that come after the present piece.
    rest: u32,
    /// The flags of the frame's last piece.
    last: u8,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::with_pieces_of(PIECE_BYTES)
    }
}

impl Splitter {
    fn with_pieces_of(piece_max: u32) -> Self {
        Self {
            piece_max,
            header: [0; HEADER_BYTES],
            filled: 0,
            given: 0,
            body: 0,
            rest: 0,
            last: 0,
        }
    }

    /// Reads the next bytes for the muxer.
    pub(super) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.filled == HEADER_BYTES {
                return Poll::Ready(Ok(self.give_header(buf)));
            }
            if self.body > 0 {
                return self.poll_body(cx, io, buf);
            }
            if self.rest > 0 {
                self.begin_piece();
                continue;
            }
            let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut self.header[self.filled..]))?;
            if read == 0 {
                return Poll::Ready(match self.filled {
                    0 => Ok(0),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
            self.filled += read;
            if self.filled == HEADER_BYTES {
                self.begin_frame();
            }
        }
    }

    fn poll_body<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = buf.len().min(self.body as usize);
        let read = ready!(Pin::new(io).poll_read(cx, &mut buf[..room]))?;
        self.body -= u32::try_from(read).unwrap_or(self.body);
        Poll::Ready(Ok(read))
    }

    /// Gives the muxer as much of the header as it asks for.
    fn give_header(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(HEADER_BYTES - self.given);
        buf[..count].copy_from_slice(&self.header[self.given..self.given + count]);
        self.given += count;
        if self.given == HEADER_BYTES {
            (self.filled, self.given) = (0, 0);
        }
        count
    }

    /// Turns the header of a received frame into the header of its first piece. A stream begins with
    /// the first piece and ends with the last.
    fn begin_frame(&mut self) {
        if self.header[1] != DATA {
            return;
        }
        let length = number(&self.header, 8);
        self.body = length.min(self.piece_max);
        self.rest = length - self.body;
        if self.rest > 0 {
            let flags = self.header[3];
            self.last = flags & (FIN | RST);
            self.set_piece(flags & !(FIN | RST));
        }
    }

    fn begin_piece(&mut self) {
        self.body = self.rest.min(self.piece_max);
        self.rest -= self.body;
        let flags = if self.rest == 0 { self.last } else { 0 };
        self.set_piece(flags & !(SYN | ACK));
        self.filled = HEADER_BYTES;
    }

    fn set_piece(&mut self, flags: u8) {
        self.header[3] = flags;
        self.header[8..].copy_from_slice(&self.body.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::task::noop_waker;
    use proptest::prelude::*;

    use super::*;

    /// Bytes that arrive in parts of one length, each after a read that finds nothing.
    struct Parts {
        bytes: Vec<u8>,
        cut: usize,
        ready: bool,
    }

    impl AsyncRead for Parts {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.ready = !self.ready;
            if !self.ready {
                return Poll::Pending;
            }
            let count = self.cut.min(buf.len()).min(self.bytes.len());
            let rest = self.bytes.split_off(count);
            buf[..count].copy_from_slice(&self.bytes);
            self.bytes = rest;
            Poll::Ready(Ok(count))
        }
    }

    fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        let mut frame = vec![0, kind, 0, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(length.to_be_bytes());
        if kind == DATA {
            frame.extend(body);
        }
        frame
    }

    /// Splits `bytes`, which come in parts of `cut` bytes and are read in parts of `room` bytes.
    fn split(bytes: &[u8], piece: u32, cut: usize, room: usize) -> io::Result<Vec<u8>> {
        let (mut io, mut splitter) = (
            Parts {
                bytes: bytes.to_vec(),
                cut,
                ready: false,
            },
            Splitter::with_pieces_of(piece),
        );
        let waker = noop_waker();
        let cx = &mut Context::from_waker(&waker);
        let (mut all, mut space) = (Vec::new(), vec![0; room]);
        loop {
            let Poll::Ready(read) = splitter.poll_read(cx, &mut io, &mut space) else {
                continue;
            };
            match read? {
                0 => return Ok(all),
                read => all.extend(&space[..read]),
            }
        }
    }

    #[test]
    fn a_frame_larger_than_a_piece_becomes_frames_that_begin_and_end_the_stream_once() {
        let body: Vec<u8> = (0..10).collect();
        let all = SYN | ACK | FIN | RST;
        let mut expected = frame(DATA, SYN | ACK, 7, &body[..4]);
        expected.extend(frame(DATA, 0, 7, &body[4..8]));
        expected.extend(frame(DATA, FIN | RST, 7, &body[8..]));
        let bytes = frame(DATA, all, 7, &body);
        for cut in 1..=bytes.len() {
            for room in 1..=bytes.len() {
                assert_eq!(
                    split(&bytes, 4, cut, room).unwrap(),
                    expected,
                    "{cut} {room}"
                );
            }
        }
    }

    #[test]
    fn a_frame_of_one_piece_stays_as_it_is_and_one_byte_more_makes_two() {
        let whole = frame(DATA, SYN | FIN, 3, &[9; 8]);
        assert_eq!(split(&whole, 8, 100, 100).unwrap(), whole);
        let mut two = frame(DATA, SYN, 3, &[9; 8]);
        two.extend(frame(DATA, FIN, 3, &[9]));
        let larger = frame(DATA, SYN | FIN, 3, &[9; 9]);
        assert_eq!(split(&larger, 8, 100, 100).unwrap(), two);
    }

    #[test]
    fn bytes_that_end_within_a_header_are_an_error() {
        let bytes = frame(DATA, 0, 1, b"x");
        let error = split(&bytes[..5], 8, 100, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// The frames after a split, by a second implementation over the whole bytes.
    fn pieces(kind: u8, flags: u8, stream: u32, body: &[u8], piece: usize) -> Vec<u8> {
        if kind != DATA || body.len() <= piece {
            return frame(kind, flags, stream, body);
        }
        let count = body.len().div_ceil(piece);
        let parts = body.chunks(piece).enumerate();
        let parts = parts.map(|(n, part)| {
            let begins = if n == 0 { SYN | ACK } else { 0 };
            let ends = if n + 1 == count { FIN | RST } else { 0 };
            frame(kind, flags & (begins | ends), stream, part)
        });
        parts.flatten().collect()
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_same_however_the_bytes_are_cut(
            frames in proptest::collection::vec(
                (0..4_u8, 0..16_u8, 0..9_u32, proptest::collection::vec(any::<u8>(), 0..60)),
                1..8,
            ),
            piece in 1..40_u32,
            cut in 1..50_usize,
            room in 1..50_usize,
        ) {
            let whole = frames.iter().map(|(kind, flags, stream, body)| frame(*kind, *flags, *stream, body));
            let bytes: Vec<u8> = whole.flatten().collect();
            let expected = frames.iter().map(|(kind, flags, stream, body)| {
                pieces(*kind, *flags, *stream, body, piece as usize)
            });
            let expected: Vec<u8> = expected.flatten().collect();
            prop_assert_eq!(split(&bytes, piece, cut, room).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_split_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = split(&bytes, 16, 7, 5);
        }
    }
}
