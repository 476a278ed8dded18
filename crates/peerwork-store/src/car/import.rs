//! Importing: the blocks of a CAR file of version 1, or of the one that a file of version 2 wraps.

use std::io::{self, Read};

use bytes::Bytes;
use cid::Cid;

use super::{
    error::CarError,
    header::{self, Header},
};
use crate::{BLOCK_BYTES_MAX, Block, Sink};

/// The longest header, of some 25,000 roots.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// The longest CID: version, codec and hash in numbers of up to nine bytes, and a digest of 64 bytes, or the
/// data of an identity CID.
const CID_BYTES_MAX: u64 = 256;
/// The fixed header of version 2 behind its first item.
const SECOND_HEADER: usize = 40;

/// The amounts that were imported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// The roots that the file names; nothing proves that their DAGs are complete.
    pub roots: Vec<Cid>,
    /// Blocks, those counted that the file holds twice.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
}

/// Puts every block of a CAR file into a sink. Each is checked against its CID. `on` hears how many more
/// bytes of the file were read. Blocks the thread.
///
/// # Errors
/// [`CarError`] names the byte at which the file is wrong; the blocks before it stay in the sink.
pub fn import(
    reader: impl Read,
    sink: &mut dyn Sink,
    on: &mut dyn FnMut(u64),
) -> Result<Imported, CarError> {
    let mut reader = Counted {
        reader,
        offset: 0,
        end: None,
    };
    let roots = start(&mut reader)?;
    let mut imported = Imported {
        roots,
        ..Imported::default()
    };
    let mut told = 0;
    loop {
        on(reader.offset - told);
        told = reader.offset;
        let Some((offset, section)) = section(&mut reader)? else {
            return Ok(imported);
        };
        let block = block(offset, section)?;
        imported.blocks += 1;
        imported.bytes += block.data().len() as u64;
        // An identity CID carries its block wherever it is.
        if Block::of_identity(block.cid()).is_none() {
            sink.put(block)?;
        }
    }
}

/// Reads the headers up to the first block, and gives the roots.
fn start<R: Read>(reader: &mut Counted<R>) -> Result<Vec<Cid>, CarError> {
    let first = header(reader)?;
    if first.version == 1 {
        return Ok(first.roots);
    }
    if first.version != 2 {
        return Err(malformed(0, "the version is neither 1 nor 2"));
    }
    let mut fixed = [0; SECOND_HEADER];
    reader.exact(&mut fixed, "its header of version 2")?;
    let number = |at: usize| {
        (fixed[at..at + 8].iter().rev()).fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let (data, size) = (number(16), number(24));
    let Some(padding) = data.checked_sub(reader.offset) else {
        return Err(malformed(
            reader.offset,
            "the data begins inside the header",
        ));
    };
    let Some(end) = data.checked_add(size).filter(|_| size > 0) else {
        return Err(malformed(
            reader.offset,
            "the data has no length, or ends nowhere",
        ));
    };
    reader.skip(padding)?;
    reader.end = Some(end);
    let inner = header(reader)?;
    match inner.version {
        1 => Ok(inner.roots),
        _ => Err(malformed(data, "the data is no CAR file of version 1")),
    }
}

fn header<R: Read>(reader: &mut Counted<R>) -> Result<Header, CarError> {
    let offset = reader.offset;
    let Some(length) = reader.varint()? else {
        return Err(CarError::Truncated {
            offset,
            what: "it is empty",
        });
    };
    if length == 0 || length > HEADER_BYTES_MAX {
        return Err(malformed(
            offset,
            "the header has no bytes, or more than 1 MiB",
        ));
    }
    let mut bytes = vec![0; length as usize];
    reader.exact(&mut bytes, "its header is not complete")?;
    header::decode(&bytes).map_err(|reason| malformed(offset, reason))
}

/// The next section, a CID and data, with its offset; `None` at the end of the file.
fn section<R: Read>(reader: &mut Counted<R>) -> Result<Option<(u64, Vec<u8>)>, CarError> {
    let offset = reader.offset;
    let Some(length) = reader.varint()? else {
        return match reader.end {
            Some(end) if offset < end => {
                let what = "it ends before the data of version 2 does";
                Err(CarError::Truncated { offset, what })
            }
            _ => Ok(None),
        };
    };
    if length == 0 {
        return Err(malformed(offset, "a block has no CID: its length is 0"));
    }
    if length > BLOCK_BYTES_MAX as u64 + CID_BYTES_MAX {
        return Err(malformed(offset, "a block is larger than 2 MiB"));
    }
    let mut bytes = vec![0; length as usize];
    reader.exact(&mut bytes, "a block is not complete")?;
    Ok(Some((offset, bytes)))
}

fn block(offset: u64, section: Vec<u8>) -> Result<Block, CarError> {
    let mut rest = &section[..];
    let cid = Cid::read_bytes(&mut rest).map_err(|_| {
        malformed(
            offset,
            "a block begins with no valid CID, or has a digest of more than 64 bytes",
        )
    })?;
    let start = section.len() - rest.len();
    Block::verify(cid, Bytes::from(section).slice(start..))
        .map_err(|source| CarError::Block { offset, source })
}

fn malformed(offset: u64, reason: &'static str) -> CarError {
    CarError::Malformed { offset, reason }
}

/// A reader that knows its place, and ends where the data of version 2 ends.
struct Counted<R> {
    reader: R,
    offset: u64,
    end: Option<u64>,
}

impl<R: Read> Counted<R> {
    /// A length; `None` at the end.
    fn varint(&mut self) -> Result<Option<u64>, CarError> {
        let start = self.offset;
        let mut bytes = Vec::with_capacity(10);
        while bytes.len() < 10 {
            let mut byte = [0];
            if self.read(&mut byte)? == 0 {
                let what = "a length is not complete";
                return match bytes.is_empty() {
                    true => Ok(None),
                    false => Err(CarError::Truncated {
                        offset: self.offset,
                        what,
                    }),
                };
            }
            bytes.push(byte[0]);
            if byte[0] < 0x80 {
                break;
            }
        }
        (crate::dag::varint(&bytes, &mut 0).map(Some))
            .map_err(|_| malformed(start, "a length has more than 64 bits"))
    }

    fn exact(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), CarError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => {
                    return Err(CarError::Truncated {
                        offset: self.offset,
                        what,
                    });
                }
                count => filled += count,
            }
        }
        Ok(())
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), CarError> {
        let mut buffer = [0; 8192];
        while bytes > 0 {
            let part = bytes.min(buffer.len() as u64) as usize;
            self.exact(&mut buffer[..part], "it ends before its data begins")?;
            bytes -= part as u64;
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, CarError> {
        let rest = self.end.map_or(u64::MAX, |end| end - self.offset);
        let length = rest.min(bytes.len() as u64) as usize;
        loop {
            match self.reader.read(&mut bytes[..length]) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(CarError::Io {
                        offset: self.offset,
                        source,
                    });
                }
            }
        }
    }
}
