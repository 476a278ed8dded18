//! WebSocket over HTTP/2 (RFC 8441): the client's `CONNECT` becomes the handshake of RFC 6455 at the app.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, Request, Version,
    header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY},
};
use hyper::ext::Protocol;
use sha1::{Digest as _, Sha1};

use crate::problem::{Failure, Problem};

/// The protocol's name in `:protocol` and in `Upgrade`.
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// The text that a server hashes with the key (RFC 6455 section 1.3).
const ACCEPT_TEXT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The length of a key before base64.
const KEY_BYTES: usize = 16;

/// Whether a request asks for a WebSocket over HTTP/2.
pub(crate) fn is_requested<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT
        && request.version() == Version::HTTP_2
        && protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// A handshake with an app.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The value of `Sec-WebSocket-Accept` by which the app shows that it speaks WebSocket.
    accept: HeaderValue,
}

impl Handshake {
    /// Begins a handshake: adds a key to the headers for the app. Over HTTP/2 a client sends none.
    pub(crate) fn begin(headers: &mut HeaderMap) -> Self {
        let key = STANDARD.encode(rand::random::<[u8; KEY_BYTES]>());
        let accept = header(accept(key.as_bytes()));
        headers.insert(SEC_WEBSOCKET_KEY, header(key));
        Self { accept }
    }

    /// Ends the handshake: checks the app's answer and takes out the headers that HTTP/2 does not have.
    ///
    /// # Errors
    /// 502 when the answer is not one to this handshake.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) -> Result<(), Problem> {
        if headers.remove(SEC_WEBSOCKET_ACCEPT).as_ref() == Some(&self.accept) {
            return Ok(());
        }
        let detail = "the app's Sec-WebSocket-Accept does not fit the key that it got";
        Err(Problem::new(Failure::AppBroken, detail))
    }

    /// The failure of an answer that claims success without switching protocols.
    pub(crate) fn not_switched() -> Problem {
        let detail = "the app answered a WebSocket handshake as if it were a plain request";
        Problem::new(Failure::AppBroken, detail)
    }
}

fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(ACCEPT_TEXT);
    STANDARD.encode(hash.finalize())
}

fn header(base64: String) -> HeaderValue {
    HeaderValue::try_from(base64).expect("invariant: base64 is visible ASCII")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_specification() {
        // RFC 6455 section 1.3.
        let accept = accept(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn an_answer_to_another_handshake_is_refused() {
        let mut headers = HeaderMap::new();
        let handshake = Handshake::begin(&mut headers);
        let key = headers.remove(SEC_WEBSOCKET_KEY).unwrap();
        assert!(handshake.finish(&mut headers).is_err());
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("x"));
        assert!(handshake.finish(&mut headers).is_err());
        headers.insert(SEC_WEBSOCKET_ACCEPT, header(accept(key.as_bytes())));
        handshake.finish(&mut headers).unwrap();
        assert!(headers.is_empty());
    }
}
