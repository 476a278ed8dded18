//! The header of CAR files: a map in CBOR with the version and the roots.

use cid::Cid;

use crate::dag;

/// A decoded header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u64,
    pub(super) roots: Vec<Cid>,
}

/// The bytes of a header of version 1, with their length in front.
pub(super) fn encode(roots: &[Cid]) -> Vec<u8> {
    let mut map = vec![0xa2, 0x65];
    map.extend(b"roots");
    head(&mut map, 4, roots.len() as u64);
    for root in roots {
        let bytes = root.to_bytes();
        map.extend([0xd8, 42]);
        head(&mut map, 2, bytes.len() as u64 + 1);
        map.push(0);
        map.extend(bytes);
    }
    map.push(0x67);
    map.extend(b"version");
    map.push(1);
    let mut out = Vec::with_capacity(map.len() + 5);
    dag::put_varint(&mut out, map.len() as u64);
    out.extend(map);
    out
}

fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    match number {
        0..24 => out.push(major | number as u8),
        24..0x100 => out.extend([major | 24, number as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend((number as u16).to_be_bytes());
        }
        _ => {
            out.push(major | 26);
            out.extend((number as u32).to_be_bytes());
        }
    }
}

/// Reads a header; an error names the rule that it breaks.
pub(super) fn decode(bytes: &[u8]) -> Result<Header, &'static str> {
    let mut reader = Cbor { bytes };
    let (mut version, mut roots) = (None, Vec::new());
    for _ in 0..reader.of_major(5)? {
        match reader.string(3)? {
            b"version" => version = Some(reader.of_major(0)?),
            b"roots" => {
                for _ in 0..reader.of_major(4)? {
                    roots.push(reader.cid()?);
                }
            }
            _ => return Err("the header has a field that is neither version nor roots"),
        }
    }
    match (reader.bytes.is_empty(), version) {
        (true, Some(version)) => Ok(Header { version, roots }),
        (true, None) => Err("the header has no version"),
        (false, _) => Err("the header has bytes behind its map"),
    }
}

struct Cbor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cbor<'a> {
    /// The number of an item of this major type.
    fn of_major(&mut self, major: u8) -> Result<u64, &'static str> {
        let first = self.take(1)?[0];
        if first >> 5 != major {
            return Err("the header is no map of a version and roots");
        }
        let length = match first & 31 {
            number @ 0..24 => return Ok(u64::from(number)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err("the header has an item of no definite length"),
        };
        let bytes = self.take(length)?;
        Ok((bytes.iter()).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn string(&mut self, major: u8) -> Result<&'a [u8], &'static str> {
        let length = self.of_major(major)?;
        self.take(usize::try_from(length).map_err(|_| CUT)?)
    }

    fn cid(&mut self) -> Result<Cid, &'static str> {
        if self.of_major(6)? != 42 {
            return Err("a root in the header is no CID");
        }
        match self.string(2)? {
            [0, bytes @ ..] => dag::read_cid(bytes).ok_or(
                "a root in the header is no valid CID, or has a digest of more than 64 bytes",
            ),
            _ => Err("a root in the header is no CID"),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(CUT)?;
        self.bytes = rest;
        Ok(taken)
    }
}

const CUT: &str = "the header ends inside an item";
