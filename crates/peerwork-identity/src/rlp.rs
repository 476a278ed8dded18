//! The part of RLP that signed answers need: one flat list of byte strings.
//!
//! Decoding is strict: every value has exactly one encoding, and nothing may follow the list.

const STRING: u8 = 0x80;
const LIST: u8 = 0xc0;

/// The longest payload whose length fits in the first byte.
const SHORT_MAX: usize = 55;

/// Encodes a list of byte strings.
pub(crate) fn encode_list(items: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        match item {
            [byte] if *byte < STRING => body.push(*byte),
            _ => {
                push_header(&mut body, STRING, item.len());
                body.extend_from_slice(item);
            }
        }
    }
    let mut list = Vec::with_capacity(body.len() + 9);
    push_header(&mut list, LIST, body.len());
    list.append(&mut body);
    list
}

/// The items of an encoded list of exactly `N` byte strings, or none when the bytes are anything else.
pub(crate) fn decode_list<const N: usize>(bytes: &[u8]) -> Option<[&[u8]; N]> {
    let (mut body, rest) = take(bytes, LIST)?;
    let mut items = [&[][..]; N];
    for item in &mut items {
        (*item, body) = take_string(body)?;
    }
    (body.is_empty() && rest.is_empty()).then_some(items)
}

/// The shortest big-endian form of a number; zero is the empty string.
pub(crate) fn number(value: u64) -> Vec<u8> {
    trim(&value.to_be_bytes()).to_vec()
}

/// The bytes without leading zeros.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn push_header(out: &mut Vec<u8>, base: u8, length: usize) {
    if length <= SHORT_MAX {
        out.push(base + length as u8);
        return;
    }
    let length = number(length as u64);
    out.push(base + SHORT_MAX as u8 + length.len() as u8);
    out.extend_from_slice(&length);
}

fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes.first()? {
        0..STRING => Some(bytes.split_at(1)),
        STRING..LIST => {
            let (string, rest) = take(bytes, STRING)?;
            // A byte below 0x80 stands for itself.
            let canonical = !matches!(string, [0..STRING]);
            canonical.then_some((string, rest))
        }
        _ => None,
    }
}

/// Splits off the payload of a string or list whose first byte is counted from `base`.
fn take(bytes: &[u8], base: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let code = usize::from(first.checked_sub(base)?);
    if code <= SHORT_MAX {
        return rest.split_at_checked(code);
    }
    let (digits, rest) = rest.split_at_checked(code - SHORT_MAX)?;
    if digits.len() > 8 || digits.first() == Some(&0) {
        return None;
    }
    let length = digits
        .iter()
        .fold(0_u64, |sum, digit| (sum << 8) | u64::from(*digit));
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length > SHORT_MAX)?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_lists_have_their_known_bytes() {
        assert_eq!(encode_list(&[]), [0xc0]);
        assert_eq!(encode_list(&[b"cat", b"dog"]), b"\xc8\x83cat\x83dog");
        assert_eq!(
            encode_list(&[&[], &[0], &[0x7f], &[0x80]]),
            b"\xc5\x80\x00\x7f\x81\x80"
        );
        assert_eq!(encode_list(&[&[7; 56]])[..4], [0xf8, 58, 0xb8, 56]);
    }

    #[test]
    fn second_encodings_of_a_value_are_refused() {
        for bytes in [
            b"\xc2\x81\x05".as_slice(),              // a small byte with a header
            b"\xf8\x01\x05",                         // a short list with a long header
            b"\xc3\xb8\x01\x85",                     // a short string with a long header
            b"\xf9\x00\x01\x05",                     // a length with a leading zero
            b"\xc1\x05\x00",                         // a byte after the list
            b"\xc2\x05\x05",                         // an item too many
            b"\xc0",                                 // an item too few
            b"\xc1\xc0",                             // a nested list
            b"\xc5\x85",                             // shorter than it says
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", // longer than memory
            b"",
            b"\x05",
        ] {
            assert_eq!(decode_list::<1>(bytes), None, "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn lists_round_trip(items in any::<[Vec<u8>; 3]>(), long in 50..70_usize) {
            let long = vec![9; long];
            let list = encode_list(&[&items[0], &items[1], &long, &items[2]]);
            let decoded = decode_list::<4>(&list).unwrap();
            prop_assert_eq!(decoded, [items[0].as_slice(), &items[1], &long, &items[2]]);
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(items) = decode_list::<2>(&bytes) {
                prop_assert_eq!(encode_list(&items), bytes);
            }
        }
    }
}
