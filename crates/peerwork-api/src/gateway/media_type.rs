//! The media type of a file: by its name, and by its first bytes where the name tells none.

/// The bytes at the begin of a file that tell its type.
pub(super) const SNIFFED_BYTES: usize = 512;
/// The type of files that neither name nor content tells.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// The type that a file name tells by its extension.
pub(super) fn by_name(name: &str) -> Option<String> {
    let guess = mime_guess::from_path(name).first_raw()?;
    Some(with_charset(guess))
}

/// The type that the first bytes of a file tell; [`UNKNOWN`] when they tell none.
pub(super) fn by_content(first: &[u8]) -> String {
    let first = &first[..first.len().min(SNIFFED_BYTES)];
    if let Some(text) = text(first) {
        let begin = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let begin = begin.get(..5).unwrap_or_default().to_ascii_lowercase();
        let vector = begin == "<svg " || (begin == "<?xml" && text.contains("<svg"));
        let html = infer::text::is_html(first);
        return with_charset(match (vector, html) {
            (true, _) => "image/svg+xml",
            (_, true) => "text/html",
            _ => "text/plain",
        });
    }
    let known = infer::get(first).map(|known| known.mime_type());
    known.map_or_else(|| UNKNOWN.to_owned(), with_charset)
}

/// The bytes as text, when they are UTF-8 without control characters; a letter may be cut off at the end.
fn text(first: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let control = |letter: char| {
        letter.is_control() && !matches!(letter, '\t' | '\n' | '\r' | '\x0c' | '\x1b')
    };
    (!text.is_empty() && !text.contains(control)).then_some(text)
}

/// Texts on this gateway are UTF-8: a browser must not guess another encoding.
fn with_charset(media_type: &str) -> String {
    let text = media_type.starts_with("text/") || media_type == "application/javascript";
    match text {
        true => format!("{media_type}; charset=utf-8"),
        false => media_type.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_tell_types() {
        let by_name = |name| by_name(name).unwrap_or_default();
        assert_eq!(by_name("a.HTML"), "text/html; charset=utf-8");
        assert_eq!(by_name("a.b.png"), "image/png");
        assert_eq!(by_name("a.svg"), "image/svg+xml");
        assert_eq!(by_name("a.json"), "application/json");
        assert_eq!(by_name("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(by_name("a.wasm"), "application/wasm");
        for unknown in ["", "a", "a.", ".png", "a.unknownext"] {
            assert_eq!(by_name(unknown), "", "{unknown}");
        }
    }

    #[test]
    fn contents_tell_types() {
        assert_eq!(by_content(b"hello"), "text/plain; charset=utf-8");
        assert_eq!(by_content("zażółć".as_bytes()), "text/plain; charset=utf-8");
        let cut = "ł".repeat(SNIFFED_BYTES);
        assert_eq!(
            by_content(&cut.as_bytes()[..SNIFFED_BYTES - 1]),
            "text/plain; charset=utf-8"
        );
        assert_eq!(
            by_content(b"<!DOCTYPE html><p>"),
            "text/html; charset=utf-8"
        );
        assert_eq!(
            by_content(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "image/svg+xml"
        );
        assert_eq!(
            by_content(b"<?xml version='1.0'?>\n<svg/>"),
            "image/svg+xml"
        );
        assert_eq!(by_content(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png");
        assert_eq!(by_content(b"%PDF-1.7\n\x80"), "application/pdf");
        assert_eq!(by_content(b"\x00\x01\x02"), UNKNOWN);
        assert_eq!(by_content(b""), UNKNOWN);
    }
}
