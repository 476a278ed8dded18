//! Reads and answers the STUN binding requests of diallers, whose user name carries the ICE password.
//!
//! A dialler of WebRTC-direct exchanges no session descriptions with the listener. Its requests are
//! checked and answered from their own content, so that they need no state: a request from a forged
//! address costs an answer, which is no longer than the request.

use std::net::SocketAddr;

use is::{DefaultSha1HmacProvider, Sha1HmacProvider as _, stun::StunMessage};

use super::username;

/// An answer's bytes: header, address, integrity and fingerprint have less than half.
const ANSWER_BYTES_MAX: usize = 256;

/// A binding request of a dialler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The name that the dialler gave this side; one for each connection.
    pub(super) name: String,
    /// The datagram that answers the request.
    pub(super) answer: Vec<u8>,
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, parts)
}

/// Reads a datagram that begins like STUN; `None` for all that is no dialler's request.
pub(super) fn read(datagram: &[u8], from: SocketAddr) -> Option<Greeting> {
    let request = StunMessage::parse(datagram).ok()?;
    if !request.is_binding_request() {
        return None;
    }
    // This side's name comes first, and is its password too; both names have at most 513 bytes.
    let (name, dialler) = request.split_username()?;
    if !username::is_well_formed(name, dialler) || !request.verify(name.as_bytes(), hmac) {
        return None;
    }
    let answer = StunMessage::binding_reply(request.trans_id(), from);
    let mut bytes = vec![0; ANSWER_BYTES_MAX];
    let length = answer
        .to_bytes(Some(name.as_bytes()), &mut bytes, hmac)
        .ok()?;
    bytes.truncate(length);
    Some(Greeting {
        name: name.to_owned(),
        answer: bytes,
    })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use is::stun::TransId;
    use proptest::prelude::*;

    use super::*;

    /// A password of a dialler of version 2 has at least 22 characters.
    const V2: &str = "libp2p+webrtc+v2/+/3456789012345678901z";

    pub(crate) fn request(name: &str, password: &str) -> Vec<u8> {
        request_of(name, "dialler", password)
    }

    fn request_of(name: &str, dialler: &str, password: &str) -> Vec<u8> {
        let username = format!("{name}:{dialler}");
        let request = StunMessage::binding_request(&username, TransId::new(), true, 7, 1, false);
        let mut bytes = vec![0; 1024];
        let length = request
            .to_bytes(Some(password.as_bytes()), &mut bytes, hmac)
            .unwrap();
        bytes.truncate(length);
        bytes
    }

    pub(crate) fn is_signed(message: &StunMessage<'_>, password: &str) -> bool {
        message.verify(password.as_bytes(), hmac)
    }

    #[test]
    fn a_dialler_of_either_version_is_answered_with_its_own_address() {
        let from: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        for name in ["libp2p+webrtc+v1/abcdef", V2] {
            let request = request(name, name);
            let greeting = read(&request, from).unwrap();
            assert_eq!(greeting.name, name);
            assert!(greeting.answer.len() <= request.len());
            let answer = StunMessage::parse(&greeting.answer).unwrap();
            assert_eq!(answer.mapped_address(), Some(from));
            assert!(is_signed(&answer, name));
        }
    }

    #[test]
    fn others_are_not_answered() {
        let from: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let name = "libp2p+webrtc+v1/abcdef";
        assert_eq!(read(&request(name, "another password"), from), None);
        assert_eq!(read(&request("somebody", "somebody"), from), None);
        let greeting = read(&request(name, name), from).unwrap();
        assert_eq!(read(&greeting.answer, from), None, "an answer");
    }

    #[test]
    fn a_name_that_is_not_well_formed_is_not_answered() {
        let from: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        for (name, dialler) in [
            ("libp2p+webrtc+v3/3456789012345678901234", "dialler"),
            ("libp2p+webrtc+v2/too+short", "dialler"),
            ("libp2p+webrtc+v1/a=b", "dialler"),
            (V2, "\r\na=b"),
        ] {
            assert_eq!(read(&request_of(name, dialler, name), from), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, "192.0.2.7:4711".parse().unwrap());
        }
    }
}
