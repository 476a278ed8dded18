//! ETags of the answers, and their comparison with those of a request (RFC 9110 section 8.8.3).

use axum::http::{HeaderMap, header};
use cid::Cid;

use super::car::{CarRequest, Duplicates};

/// The version of the pages of directories: another one after each change of them.
const LISTING_VERSION: &str = "1";

/// The ETag of a file, or of a directory that is shown by its index.html.
pub(super) fn of_file(cid: &Cid) -> String {
    format!("\"{cid}\"")
}

/// The ETag of a block in the form of that name.
pub(super) fn of_format(cid: &Cid, name: &str) -> String {
    format!("\"{cid}.{name}\"")
}

/// The ETag of a page of a directory listing.
pub(super) fn of_listing(cid: &Cid, page: u32) -> String {
    match page {
        1 => format!("\"DirIndex-{LISTING_VERSION}_CID-{cid}\""),
        page => format!("\"DirIndex-{LISTING_VERSION}.{page}_CID-{cid}\""),
    }
}

/// The ETag of a CAR. It is weak: another version of this program may choose other blocks.
pub(super) fn of_car(request: &CarRequest) -> String {
    let mut text = request.names.join("/");
    if let Some(bytes) = request.bytes {
        text.push_str(&format!("\n{}:{:?}", bytes.from, bytes.to));
    }
    if request.duplicates == Duplicates::Sent {
        text.push_str("\ndups");
    }
    let (root, scope) = (request.root, request.scope.word());
    format!("W/\"{root}.car.{scope}.{:016x}\"", hash(text.as_bytes()))
}

/// FNV-1a: an ETag needs no more than a hash that is the same in each run.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether the client has the answer already: `If-None-Match` names the ETag, compared weakly.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut sent = sent.filter_map(|value| value.to_str().ok());
    sent.any(|text| text.trim() == "*" || tags(text).any(|tag| opaque(tag) == opaque(etag)))
}

/// Whether both are the same strong ETag.
pub(super) fn is_strong_match(sent: &str, etag: &str) -> bool {
    sent.trim() == etag && !etag.starts_with("W/")
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The ETags of a list; commas within quotes do not part them.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    });
    parts.map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::{
        super::car::{EntityBytes, Scope},
        *,
    };

    const CID: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    #[test]
    fn if_none_match_is_compared_weakly() {
        let known = |text: &str, etag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
            is_known(&headers, etag)
        };
        for text in [
            "\"a\"",
            "W/\"a\"",
            "*",
            "\"x\", \"y,z\", W/\"a\"",
            " \"a\" ",
        ] {
            assert!(known(text, "\"a\""), "{text}");
            assert!(known(text, "W/\"a\""), "{text}");
        }
        for text in ["\"b\"", "a", "\"a,\"", "\"x,\"a\"\"", ""] {
            assert!(!known(text, "\"a\""), "{text}");
        }
    }

    #[test]
    fn different_cars_have_different_etags() {
        let request = |names: &[&str], scope, bytes, duplicates| CarRequest {
            root: CID.parse().unwrap(),
            names: names.iter().map(ToString::to_string).collect(),
            scope,
            bytes,
            duplicates,
        };
        let some = Some(EntityBytes { from: 0, to: None });
        let mut etags: Vec<String> = [
            request(&[], Scope::All, None, Duplicates::Skipped),
            request(&["a"], Scope::All, None, Duplicates::Skipped),
            request(&["b"], Scope::All, None, Duplicates::Skipped),
            request(&[], Scope::Entity, None, Duplicates::Skipped),
            request(&[], Scope::Entity, some, Duplicates::Skipped),
            request(&[], Scope::All, None, Duplicates::Sent),
        ]
        .iter()
        .map(of_car)
        .collect();
        assert!(etags[0].starts_with(&format!("W/\"{CID}.car.all.")));
        etags.sort();
        etags.dedup();
        assert_eq!(etags.len(), 6);
    }
}
