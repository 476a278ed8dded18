//! Gives arbitrary bytes to the decoders of the store's files.

use super::{
    format::{HEADER_BYTES, Head, Header},
    pin_record,
    scan::Scan,
};

/// Reads bytes as a segment. Panics when a record is not the bytes from which it was read.
pub fn segment(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        let written = header.encode();
        assert_eq!(
            written[..24],
            bytes[..24],
            "a header is written as it was read"
        );
    }
    let mut scan = Scan::new(bytes, 0);
    let mut end = HEADER_BYTES as u64;
    while let Some(record) = scan.next().expect("memory can be read") {
        assert!(record.offset >= end, "records do not overlap");
        end = record.end();
        let from = usize::try_from(record.offset).expect("an offset in memory");
        let to = usize::try_from(end).expect("an offset in memory");
        let head = Head::new(&record.key, &record.data, record.leaf).encode();
        let written = [&head, record.key.as_bytes(), &record.data].concat();
        assert_eq!(
            written,
            bytes[from..to],
            "a record is written as it was read"
        );
    }
}

/// Reads bytes as a log of pins. Panics when a record is not the bytes from which it was read.
pub fn pins_log(bytes: &[u8]) {
    if let Some((record, length)) = pin_record::PinRecord::decode(bytes) {
        let again = record.encode();
        assert_eq!(
            pin_record::PinRecord::decode(&again).map(|(record, _length)| record),
            Some(record)
        );
        assert!(length <= bytes.len());
    }
    if let Ok(replayed) = pin_record::replay(bytes) {
        assert!(replayed.whole <= bytes.len() as u64 && replayed.damaged <= replayed.whole);
        assert!(replayed.pins.len() as u64 <= replayed.records);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::format::Key;

    proptest! {
        #[test]
        fn strange_bytes_are_decoded_without_a_panic(
            junk in prop::collection::vec(any::<u8>(), 0..3000),
            at in 0..3000_usize,
            data in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            segment(&junk);
            pins_log(&junk);
            // Records of which a byte was changed, between whole ones.
            let block = crate::Block::new(cid::Version::V1, crate::RAW, data.into()).expect("small");
            let key = Key::of(block.cid());
            let head = Head::new(&key, block.data(), true).encode();
            let record = [&head[..], key.as_bytes(), block.data()].concat();
            let header = Header { number: 1, created_at: 2 }.encode();
            let mut bytes = [&header[..], &record, &record, &junk, &record].concat();
            segment(&bytes);
            let length = bytes.len();
            bytes[at % length] ^= 1;
            segment(&bytes);
        }
    }
}
