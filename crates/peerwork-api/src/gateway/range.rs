//! `Ranges` are the parts of a file that a request asks for (RFC 9110 section 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};

use super::etag;

/// The most ranges of one request; a request for more gets the whole file, as a server may decide.
pub(super) const RANGES_MAX: usize = 16;

/// The parts of a file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ranges {
    /// The whole file: no range was asked for, or none that counts.
    Whole,
    /// Parts of the file, at least one, each with at least one byte.
    Parts(Vec<Range<u64>>),
    /// None of the ranges is within the file.
    Unsatisfiable,
}

impl Ranges {
    /// Reads the ranges of a request for a file of `size` bytes that has this ETag.
    pub(super) fn of(headers: &HeaderMap, size: u64, etag: &str) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(range) = text(header::RANGE) else {
            return Self::Whole;
        };
        // A date never matches: the files have none.
        if headers.contains_key(header::IF_RANGE)
            && !text(header::IF_RANGE).is_some_and(|sent| etag::is_strong_match(sent, etag))
        {
            return Self::Whole;
        }
        Self::parse(range, size).unwrap_or(Self::Whole)
    }

    /// `None` for a header that is malformed, has another unit, or asks for too much.
    fn parse(text: &str, size: u64) -> Option<Self> {
        let (unit, specs) = text.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let mut parts = Vec::new();
        let specs = specs
            .split(',')
            .map(str::trim)
            .filter(|spec| !spec.is_empty());
        for (index, spec) in specs.enumerate() {
            if index == RANGES_MAX {
                return None;
            }
            parts.extend(within(spec, size)?);
        }
        let sum = parts
            .iter()
            .map(|part: &Range<u64>| part.end - part.start)
            .sum::<u64>();
        match parts.is_empty() {
            // Some clients send a range with every request: an empty file is whole.
            true if size == 0 => None,
            true => Some(Self::Unsatisfiable),
            // Overlapping ranges would make an answer of any size.
            false if sum > size => None,
            false => Some(Self::Parts(parts)),
        }
    }
}

/// The bytes of one range: `None` when it is malformed, `Some(None)` when it is not within the file.
#[allow(clippy::option_option)]
fn within(spec: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number beyond 64 bits is beyond every file.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first.trim(), last.trim()) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some((range.start < range.end).then_some(range))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(range: &str, size: u64) -> Ranges {
        Ranges::parse(range, size).unwrap_or(Ranges::Whole)
    }

    fn parts(parts: &[Range<u64>]) -> Ranges {
        Ranges::Parts(parts.to_vec())
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        assert_eq!(of("bytes=6-16", 31), parts(&[6..17]));
        assert_eq!(of("bytes=-3", 31), parts(&[28..31]));
        assert_eq!(of("bytes=30-", 31), parts(&[30..31]));
        assert_eq!(of("bytes=0-99999999999999999999", 31), parts(&[0..31]));
        assert_eq!(of("BYTES = 6-16 , 0-4", 31), parts(&[6..17, 0..5]));
        assert_eq!(of("bytes=6-16,40-", 31), parts(&[6..17]));
        assert_eq!(of("bytes=-99", 31), parts(&[0..31]));
        for none in ["bytes=31-", "bytes=-0", "bytes=99-100"] {
            assert_eq!(of(none, 31), Ranges::Unsatisfiable, "{none}");
        }
        for ignored in [
            "bytes",
            "bytes=a-b",
            "bytes=5-4",
            "items=0-1",
            "bytes=1",
            "bytes=+1-2",
            "bytes=0-30,0-30",
        ] {
            assert_eq!(of(ignored, 31), Ranges::Whole, "{ignored}");
        }
        assert_eq!(of("bytes=0-", 0), Ranges::Whole);
    }

    #[test]
    fn a_request_has_a_bounded_number_of_ranges() {
        let many = |n: usize| format!("bytes={}", "0-0,".repeat(n));
        assert!(
            matches!(of(&many(RANGES_MAX), 31), Ranges::Parts(parts) if parts.len() == RANGES_MAX)
        );
        assert_eq!(of(&many(RANGES_MAX + 1), 31), Ranges::Whole);
    }

    #[test]
    fn a_range_counts_only_when_if_range_names_the_same_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(Ranges::of(&headers, 9, "\"a\""), parts(&[0..2]));
        for (if_range, counts) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            ("Sat, 28 Nov 2026 10:00:00 GMT", false),
        ] {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(if_range));
            let whole = Ranges::of(&headers, 9, "\"a\"") == Ranges::Whole;
            assert_eq!(whole, !counts, "{if_range}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_parts_within_the_file(text in "bytes=[0-9,\\- ]{0,60}", size in 0_u64..100) {
            if let Ranges::Parts(parts) = of(&text, size) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= size));
            }
        }
    }
}
