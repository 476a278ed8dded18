//! The protobuf wire format: fields of a message as slices of its bytes, and varints.
//!
//! dag-pb and UnixFS are read and written by this module, because a block's data stays where it is: a
//! protobuf library copies every `bytes` field.

/// Bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("a field is cut off")]
    Truncated,
    /// A number is longer than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// A field has a wire type that messages of this kind do not have.
    #[error("a field has the wire type {0}")]
    Type(u8),
    /// A field has the number 0.
    #[error("a field has the number 0")]
    Number,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A varint, or a number of 4 or 8 bytes.
    Number(u64),
    /// A byte string, text, or message.
    Bytes(&'a [u8]),
}

/// Reads a varint at `at` and moves `at` behind it.
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Result<u64, WireError> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at).ok_or(WireError::Truncated)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return Err(WireError::Varint);
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(WireError::Varint)
}

/// Reads the field at `at` and moves `at` behind it; `None` at the end of the message.
pub(crate) fn field<'a>(
    bytes: &'a [u8],
    at: &mut usize,
) -> Result<Option<(u64, Value<'a>)>, WireError> {
    if *at >= bytes.len() {
        return Ok(None);
    }
    let key = varint(bytes, at)?;
    let number = key >> 3;
    if number == 0 {
        return Err(WireError::Number);
    }
    let value = match (key & 7) as u8 {
        0 => Value::Number(varint(bytes, at)?),
        1 => Value::Number(fixed(take(bytes, at, 8)?)),
        2 => {
            let length = varint(bytes, at)?;
            let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
            Value::Bytes(take(bytes, at, length)?)
        }
        5 => Value::Number(fixed(take(bytes, at, 4)?)),
        other => return Err(WireError::Type(other)),
    };
    Ok(Some((number, value)))
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, length: usize) -> Result<&'a [u8], WireError> {
    let end = at.checked_add(length).ok_or(WireError::Truncated)?;
    let taken = bytes.get(*at..end).ok_or(WireError::Truncated)?;
    *at = end;
    Ok(taken)
}

fn fixed(bytes: &[u8]) -> u64 {
    (bytes.iter().rev()).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The length of a varint.
pub(crate) fn varint_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a field that is a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3);
    put_varint(out, number);
}

/// Appends a field that is a byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the key and the length of a field that is a byte string or message.
pub(crate) fn put_head(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(field << 3 | 2);
    put_varint(out, length as u64);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_varint_has_at_most_64_bits() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            assert_eq!(bytes.len(), varint_len(number));
            let mut at = 0;
            assert_eq!(varint(&bytes, &mut at), Ok(number));
            assert_eq!(at, bytes.len());
        }
        let mut beyond = vec![0xff; 9];
        beyond.push(2);
        assert_eq!(varint(&beyond, &mut 0), Err(WireError::Varint));
        assert_eq!(varint(&[0xff; 11], &mut 0), Err(WireError::Varint));
        assert_eq!(varint(&[0x80], &mut 0), Err(WireError::Truncated));
    }

    #[test]
    fn a_field_that_is_cut_off_is_refused() {
        assert_eq!(field(&[0x0a, 2, 1], &mut 0), Err(WireError::Truncated));
        let huge = [
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert_eq!(field(&huge, &mut 0), Err(WireError::Truncated));
        assert_eq!(field(&[0x0b], &mut 0), Err(WireError::Type(3)));
        assert_eq!(field(&[0x02, 0], &mut 0), Err(WireError::Number));
        let number = field(&[0x0d, 1, 0, 0, 1], &mut 0).unwrap();
        assert_eq!(number, Some((1, Value::Number(0x0100_0001))));
    }
}
