//! The names of protocols, checked before a connection proposes them.

use std::fmt;

use libp2p::StreamProtocol;

/// Bytes of a protocol's name.
pub const NAME_BYTES_MAX: usize = 255;

/// The first byte of a stream that was accepted.
pub(super) const ACCEPTED: u8 = 0;
/// The only byte of a stream that found no place.
pub(super) const BUSY: u8 = 1;

/// A protocol's name, whether its streams begin with an answering byte, and whether guests may use it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Protocol {
    pub(crate) name: StreamProtocol,
    pub(crate) answered: bool,
    pub(crate) guests: bool,
}

/// A text is not the name of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "protocol name {0:?} is not a slash and 1 to 254 further characters of visible ASCII, as in /chat/1"
)]
pub struct NameError(String);

impl Protocol {
    /// A protocol of this network, for instance `/peerwork/tunnel/1`: the accepting side answers
    /// with one byte, so that the opener learns of [`OpenError::Busy`](crate::error::OpenError::Busy).
    ///
    /// # Panics
    /// When the name has no valid form; in a constant that is an error of the compiler. For names
    /// from elsewhere there is [`Protocol::try_answered`].
    #[must_use]
    pub const fn answered(name: &'static str) -> Self {
        assert!(
            is_name(name.as_bytes()),
            "the protocol's name has no valid form"
        );
        Self {
            name: StreamProtocol::new(name),
            answered: true,
            guests: false,
        }
    }

    /// A protocol defined elsewhere, for instance `/ipfs/bitswap/1.2.0`: no byte is added, and a
    /// stream without a place is reset.
    ///
    /// # Panics
    /// As [`Protocol::answered`].
    #[must_use]
    pub const fn bare(name: &'static str) -> Self {
        assert!(
            is_name(name.as_bytes()),
            "the protocol's name has no valid form"
        );
        Self {
            name: StreamProtocol::new(name),
            answered: false,
            guests: false,
        }
    }

    /// As [`Protocol::answered`], with a name that is known only while the program runs.
    ///
    /// # Errors
    /// [`NameError`] when the name has no valid form.
    pub fn try_answered(name: impl Into<String>) -> Result<Self, NameError> {
        Ok(Self {
            name: owned(name.into())?,
            answered: true,
            guests: false,
        })
    }

    /// As [`Protocol::bare`], with a name that is known only while the program runs.
    ///
    /// # Errors
    /// As [`Protocol::try_answered`].
    pub fn try_bare(name: impl Into<String>) -> Result<Self, NameError> {
        Ok(Self {
            name: owned(name.into())?,
            answered: false,
            guests: false,
        })
    }

    /// The same protocol, served to guests too: to nodes that have not proven the network's secret. Its
    /// service has to bound and check everything as for strangers.
    #[must_use]
    pub const fn for_guests(mut self) -> Self {
        self.guests = true;
        self
    }

    /// The name as it is negotiated.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref()
    }
}

fn owned(name: String) -> Result<StreamProtocol, NameError> {
    if !is_name(name.as_bytes()) {
        return Err(NameError(shortened(&name)));
    }
    StreamProtocol::try_from_owned(name).map_err(|error| NameError(error.to_string()))
}

/// The first characters of a wrong name, enough to recognise it.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Multistream-select separates names by line ends and takes those that begin with a slash.
const fn is_name(bytes: &[u8]) -> bool {
    if bytes.len() < 2 || bytes.len() > NAME_BYTES_MAX || bytes[0] != b'/' {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_graphic() {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_begins_with_a_slash_and_is_visible_ascii_up_to_the_limit() {
        let longest = format!("/{}", "x".repeat(NAME_BYTES_MAX - 1));
        for name in ["/x", "/chat/1", longest.as_str()] {
            assert_eq!(Protocol::try_answered(name).unwrap().name(), name);
            assert!(!Protocol::try_bare(name).unwrap().answered);
        }
        let too_long = format!("{longest}x");
        for name in ["", "/", "chat", "/two words", "/line\n", "/é", &too_long] {
            let error = Protocol::try_answered(name).unwrap_err();
            assert_eq!(error, NameError(name.chars().take(64).collect()), "{name}");
        }
    }

    #[test]
    fn a_name_from_elsewhere_is_the_same_protocol_as_a_constant() {
        const CHAT: Protocol = Protocol::answered("/chat/1");
        assert_eq!(Protocol::try_answered(String::from("/chat/1")), Ok(CHAT));
    }
}
