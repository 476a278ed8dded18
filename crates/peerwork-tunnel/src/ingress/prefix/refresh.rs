//! Puts the URL of a `Refresh` header under the path prefix. The header is part of the HTML standard
//! ("shared declarative refresh steps"): `5; url=/path`, with optional quotes and blanks.

use std::ops::Range;

use super::{reference, site::Site};

/// Puts the URL under the prefix; `None` for a value that stays as it is.
pub(super) fn under(site: &Site<'_>, value: &[u8]) -> Option<Vec<u8>> {
    let url = url(value)?;
    let put = reference::under(site, &value[url.clone()])?;
    Some([&value[..url.start], &put, &value[url.end..]].concat())
}

/// The place of the URL in a value.
fn url(value: &[u8]) -> Option<Range<usize>> {
    let skip = |from: usize, skipped: fn(&u8) -> bool| {
        let rest = &value[from..];
        from + rest.iter().take_while(|byte| skipped(byte)).count()
    };
    let blanks = |from| skip(from, u8::is_ascii_whitespace);
    let seconds = blanks(0);
    let after = skip(seconds, |byte| byte.is_ascii_digit() || *byte == b'.');
    let mut at = blanks(after);
    let separated = matches!(value.get(at), Some(b';' | b','));
    if after == seconds || (at == after && !separated) {
        return None;
    }
    if separated {
        at = blanks(at + 1);
    }
    let is_named = value[at..]
        .get(..3)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"url"));
    let equals = blanks(at + 3 * usize::from(is_named));
    if is_named && value.get(equals) == Some(&b'=') {
        at = blanks(equals + 1);
    }
    let quote = value.get(at).filter(|byte| matches!(byte, b'"' | b'\''));
    let start = at + usize::from(quote.is_some());
    let rest = &value[start..];
    let closed = quote.and_then(|quote| rest.iter().position(|byte| byte == quote));
    let end = start + closed.unwrap_or(rest.len());
    (start < end).then_some(start..end)
}
