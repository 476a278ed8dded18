//! Sets the headers of an answer.

use hyper::{HeaderMap, header::HeaderValue};

pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
