//! Finds the frames of yamux in the bytes of a connection, to count the bytes that its streams hold.

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 12;
/// The type of frames that carry data; the length field of other frames has another meaning.
pub(super) const DATA: u8 = 0;
/// The type of frames that give credit; they open streams too.
const WINDOW_UPDATE: u8 = 1;
/// The type of the frame that announces the connection's end; its length field is a code, and 0 is an
/// end without an error.
pub(super) const GO_AWAY: u8 = 3;
/// The flag that opens a stream.
pub(super) const SYN: u8 = 1;
/// The flag that acknowledges a stream.
pub(super) const ACK: u8 = 2;
/// The flag that ends one direction of a stream.
pub(super) const FIN: u8 = 4;
/// The flag that resets a stream.
pub(super) const RST: u8 = 8;

/// Reads the number at this place of a header.
pub(super) fn number(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let bytes = [0, 1, 2, 3].map(|n| header[at + n]);
    u32::from_be_bytes(bytes)
}

/// An event in the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A stream was opened.
    Opened { stream: u32 },
    /// A data frame has begun; the muxer makes a buffer for all of it.
    Began { bytes: usize },
    /// A data frame is complete.
    Ended { stream: u32, bytes: usize },
    /// The sender has ended its direction of a stream, and all its data is there.
    Finished { stream: u32 },
    /// The sender has reset a stream.
    Reset { stream: u32 },
    /// The sender ends the connection.
    WentAway { code: u32 },
}

/// Scans one direction of a connection, however its bytes are cut.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Bytes of the body that are still to come.
    body: usize,
}

impl Scanner {
    /// Takes the next bytes; gives how many of them are data.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut on: impl FnMut(Event)) -> usize {
        let mut data = 0;
        while !bytes.is_empty() {
            if self.body > 0 {
                let length = self.body.min(bytes.len());
                bytes = &bytes[length..];
                self.body -= length;
                data += length;
            } else {
                let length = (HEADER_BYTES - self.filled).min(bytes.len());
                let (part, rest) = bytes.split_at(length);
                self.header[self.filled..self.filled + length].copy_from_slice(part);
                self.filled += length;
                bytes = rest;
                if self.filled < HEADER_BYTES {
                    break;
                }
                self.begin(&mut on);
            }
            if self.body == 0 && self.filled == HEADER_BYTES {
                self.end(&mut on);
            }
        }
        data
    }

    fn begin(&mut self, on: &mut impl FnMut(Event)) {
        let opens = self.header[3] & SYN != 0;
        if opens && matches!(self.header[1], DATA | WINDOW_UPDATE) {
            on(Event::Opened {
                stream: self.number(4),
            });
        }
        if self.header[1] == DATA {
            self.body = self.number(8) as usize;
            on(Event::Began { bytes: self.body });
        }
        if self.header[1] == GO_AWAY {
            on(Event::WentAway {
                code: self.number(8),
            });
        }
    }

    fn end(&mut self, on: &mut impl FnMut(Event)) {
        self.filled = 0;
        if self.header[1] == DATA {
            on(Event::Ended {
                stream: self.number(4),
                bytes: self.number(8) as usize,
            });
        }
        if matches!(self.header[1], DATA | WINDOW_UPDATE) {
            let (stream, flags) = (self.number(4), self.header[3]);
            if flags & RST != 0 {
                on(Event::Reset { stream });
            } else if flags & FIN != 0 {
                on(Event::Finished { stream });
            }
        }
    }

    /// The whole header of the frame whose header begins with the next bytes, or began before them, if
    /// they complete it; and how many of them belong to it.
    pub(super) fn header_with(&self, next: &[u8]) -> Option<([u8; HEADER_BYTES], usize)> {
        let missing = HEADER_BYTES - self.filled;
        if self.body > 0 || next.len() < missing {
            return None;
        }
        let mut header = self.header;
        header[self.filled..].copy_from_slice(&next[..missing]);
        Some((header, missing))
    }

    fn number(&self, at: usize) -> u32 {
        number(&self.header, at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: u32) -> Vec<u8> {
        let mut frame = vec![0, kind, 0, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(length.to_be_bytes());
        if kind == DATA {
            frame.resize(HEADER_BYTES + length as usize, 7);
        }
        frame
    }

    fn scan(bytes: &[u8], cut: usize) -> (Vec<Event>, usize) {
        let (mut scanner, mut events, mut data) = (Scanner::default(), Vec::new(), 0);
        for part in bytes.chunks(cut) {
            data += scanner.scan(part, |event| events.push(event));
        }
        (events, data)
    }

    #[test]
    fn streams_open_with_data_and_with_credit_and_other_frames_have_no_body() {
        let mut bytes = frame(WINDOW_UPDATE, SYN, 1, 1 << 20);
        bytes.extend(frame(2, SYN, 0, 77));
        bytes.extend(frame(DATA, SYN, 3, 5));
        bytes.extend(frame(DATA, 0, 1, 0));
        bytes.extend(frame(3, 0, 0, 9));
        bytes.extend(frame(DATA, FIN, 3, 0));
        bytes.extend(frame(WINDOW_UPDATE, FIN, 1, 8));
        bytes.extend(frame(WINDOW_UPDATE, FIN | RST, 1, 8));
        let (stream, bytes_3) = (3, 5);
        let expected = [
            Event::Opened { stream: 1 },
            Event::Opened { stream },
            Event::Began { bytes: bytes_3 },
            Event::Ended {
                stream,
                bytes: bytes_3,
            },
            Event::Began { bytes: 0 },
            Event::Ended {
                stream: 1,
                bytes: 0,
            },
            Event::WentAway { code: 9 },
            Event::Began { bytes: 0 },
            Event::Ended { stream, bytes: 0 },
            Event::Finished { stream },
            Event::Finished { stream: 1 },
            Event::Reset { stream: 1 },
        ];
        assert_eq!(scan(&bytes, 1000), (expected.to_vec(), 5));
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_cut(
            frames in proptest::collection::vec((0..4_u8, 0..16_u8, 0..9_u32, 0..200_u32), 1..20),
            cut in 1..50_usize,
        ) {
            let frames = frames.into_iter().map(|(kind, flags, stream, length)| frame(kind, flags, stream, length));
            let bytes: Vec<u8> = frames.flatten().collect();
            prop_assert_eq!(scan(&bytes, cut), scan(&bytes, bytes.len()));
        }

        #[test]
        fn a_header_is_known_before_its_last_bytes_are_scanned(cut in 0..HEADER_BYTES, length in 0..9_u32) {
            let bytes = frame(DATA, FIN, 5, length);
            let mut scanner = Scanner::default();
            scanner.scan(&bytes[..cut], |_| {});
            let header: [u8; HEADER_BYTES] = std::array::from_fn(|n| bytes[n]);
            prop_assert_eq!(scanner.header_with(&bytes[cut..]), Some((header, HEADER_BYTES - cut)));
            prop_assert_eq!(scanner.header_with(&bytes[cut..HEADER_BYTES - 1]), None);
        }

        #[test]
        fn any_bytes_are_scanned_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            scan(&bytes, 7);
        }
    }
}
