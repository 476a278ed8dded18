//! These functions expose the crate's decoders to fuzz targets; they are not part of the public
//! interface.

use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue};

use crate::{Caller, Proxies, proxy_header};

/// Decodes bytes as a PROXY protocol header.
pub fn proxy_header(mut bytes: &[u8]) {
    let before = bytes.len();
    let read = proxy_header::read(&mut bytes).now_or_never();
    assert!(read.is_some(), "a reader in memory never waits");
    assert!(bytes.len() <= before);
}

/// Finds the client of a request whose `Forwarded` and `X-Forwarded-For` headers are both `value`.
pub fn forwarded(value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let proxies = Proxies::new(vec!["0.0.0.0/1".parse().expect("invariant: a network")]);
    let caller = Caller {
        address: ([127, 0, 0, 1], 1).into(),
        tls: false,
        https: false,
    };
    for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.clone());
        let _ = proxies.client(&caller, &headers);
    }
}
