//! `Token` is the right to join once or for a limited time, which one relay checks; `Issuer` makes
//! tokens.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use peerwork_identity::{Keypair, NetworkSecret, NodeId, network_secret::MAC_BYTES};

use crate::{
    bounds::{LIFETIME_DEFAULT, LIFETIME_MAX},
    error::{IssueError, Refusal},
    wire,
};

/// How far the clock of the machine that made a token may be ahead of the relay's.
const CLOCK_SLACK: Duration = Duration::from_secs(24 * 3600);

/// The bytes of a token's id.
pub(crate) const ID_BYTES: usize = 16;

/// The label of a token's MAC.
const MAC_LABEL: &str = "peerwork join token 1";

/// The label of the relay's own key for tokens.
const KEY_LABEL: &str = "peerwork join token key 1";

/// The random id of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub(crate) [u8; ID_BYTES]);

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A right to join, which the holder shows to one relay. `Debug` does not print the MAC, without which
/// a token is of no use.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The id.
    pub id: TokenId,
    /// The only relay that redeems the token.
    pub relay: NodeId,
    /// The end of the token's validity, in seconds since 1970, by the clock of the relay.
    pub expires: u64,
    /// Whether only one node may redeem the token.
    pub once: bool,
    /// HMAC-SHA256 over the other fields and the network's id.
    pub(crate) mac: [u8; MAC_BYTES],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("relay", &self.relay)
            .field("expires", &self.expires)
            .field("once", &self.once)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// The end of the token's validity by the clock of the relay. The joiner's clock may be wrong, so
    /// the joiner shows this time to people and does not judge by it.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        let after = Duration::from_secs(self.expires);
        UNIX_EPOCH.checked_add(after).unwrap_or(UNIX_EPOCH)
    }

    /// The token that `proto/peer/README.md` documents.
    #[cfg(test)]
    pub(crate) fn documented(key: &NetworkSecret, relay: NodeId) -> Self {
        let mut token = Self {
            id: TokenId([2; ID_BYTES]),
            relay,
            expires: 1_700_000_000,
            once: true,
            mac: [0; MAC_BYTES],
        };
        token.mac = token.mac_with(key, 1000);
        token
    }

    fn mac_with(&self, key: &NetworkSecret, network_id: i64) -> [u8; MAC_BYTES] {
        self.with_parts(network_id, |parts| key.mac(MAC_LABEL, parts))
    }

    fn is_of(&self, key: &NetworkSecret, network_id: i64) -> bool {
        self.with_parts(network_id, |parts| key.verify(MAC_LABEL, parts, &self.mac))
    }

    fn with_parts<T>(&self, network_id: i64, call: impl FnOnce(&[&[u8]]) -> T) -> T {
        call(&[
            network_id.to_string().as_bytes(),
            &self.id.0,
            &self.relay.to_bytes(),
            &self.expires.to_be_bytes(),
            &[u8::from(self.once)],
        ])
    }
}

/// The limits of a token's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Whether only one node may redeem the token.
    pub once: bool,
    /// How long the token is valid, a second to [`LIFETIME_MAX`].
    pub lifetime: Duration,
}

impl Terms {
    /// One use within [`LIFETIME_DEFAULT`].
    #[must_use]
    pub fn once() -> Self {
        Self {
            once: true,
            lifetime: LIFETIME_DEFAULT,
        }
    }
}

/// Makes tokens that one relay redeems.
#[derive(Debug, Clone)]
pub struct Issuer {
    relay: NodeId,
    network_id: i64,
    key: NetworkSecret,
}

impl Issuer {
    /// Makes tokens that this relay itself redeems, with a key of its own.
    #[must_use]
    pub fn of_relay(keypair: &Keypair, network_id: i64) -> Self {
        Self {
            relay: keypair.node_id(),
            network_id,
            key: own_key(keypair),
        }
    }

    /// Makes tokens at any member of a network with a secret, for one of its relays.
    #[must_use]
    pub fn of_member(secret: NetworkSecret, relay: NodeId, network_id: i64) -> Self {
        Self {
            relay,
            network_id,
            key: secret,
        }
    }

    /// Makes a token that is valid from `now` on.
    ///
    /// # Errors
    /// [`IssueError`] when the lifetime is out of bounds, or the clock is before 1970.
    pub fn issue(&self, terms: Terms, now: SystemTime) -> Result<Token, IssueError> {
        if !(Duration::from_secs(1)..=LIFETIME_MAX).contains(&terms.lifetime) {
            return Err(IssueError::Lifetime);
        }
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_err(|_| IssueError::Clock)?;
        let mut token = Token {
            id: TokenId(rand::random()),
            relay: self.relay,
            expires: (now + terms.lifetime).as_secs(),
            once: terms.once,
            mac: [0; MAC_BYTES],
        };
        token.mac = token.mac_with(&self.key, self.network_id);
        Ok(token)
    }
}

fn own_key(keypair: &Keypair) -> NetworkSecret {
    keypair.derive_secret(KEY_LABEL)
}

/// The relay's own key for tokens, with which it checks them.
#[derive(Debug, Clone)]
pub(crate) struct MacKeys {
    relay: NodeId,
    own: NetworkSecret,
}

impl MacKeys {
    /// The key of the relay that has this key pair.
    #[must_use]
    pub(crate) fn of(keypair: &Keypair) -> Self {
        Self {
            relay: keypair.node_id(),
            own: own_key(keypair),
        }
    }

    /// Checks a token by the relay's clock, without regard to the tokens that were used.
    ///
    /// # Errors
    /// The reason why the token is not valid. A token whose MAC is wrong learns nothing of its other
    /// mistakes, except that it names another relay.
    pub(crate) fn check(
        &self,
        token: &Token,
        network_id: i64,
        secrets: &[NetworkSecret],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        if token.relay != self.relay {
            return Err(Refusal::OtherRelay);
        }
        // All keys are tried, so that the time of the answer does not tell which one fits.
        let keys = std::iter::once(&self.own).chain(secrets);
        let known = keys.fold(false, |known, key| known | token.is_of(key, network_id));
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let latest = now + LIFETIME_MAX + CLOCK_SLACK;
        match Duration::from_secs(token.expires) {
            _ if !known => Err(Refusal::Unknown),
            expires if expires <= now => Err(Refusal::Expired),
            expires if expires > latest => Err(Refusal::Unknown),
            _ => Ok(()),
        }
    }
}

impl From<&Token> for wire::Token {
    fn from(token: &Token) -> Self {
        let Token {
            id,
            relay,
            expires,
            once,
            mac,
        } = token;
        Self {
            id: id.0.to_vec(),
            relay: relay.to_bytes(),
            expires: *expires,
            once: *once,
            mac: mac.to_vec(),
        }
    }
}

impl TryFrom<&wire::Token> for Token {
    type Error = String;

    fn try_from(message: &wire::Token) -> Result<Self, String> {
        let wire::Token {
            id,
            relay,
            expires,
            once,
            mac,
        } = message;
        Ok(Self {
            id: TokenId(exact(id, "the id of its token")?),
            relay: NodeId::from_bytes(relay).map_err(|error| format!("its relay: {error}"))?,
            expires: *expires,
            once: *once,
            mac: exact(mac, "the MAC of its token")?,
        })
    }
}

fn exact<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], String> {
    let exact = <[u8; N]>::try_from(bytes);
    exact.map_err(|_| format!("{what} has {} bytes and not {N}", bytes.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use peerwork_identity::KeyType;

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;
    const HOUR: Duration = Duration::from_secs(3600);
    const NETWORK: i64 = 7;

    fn now() -> SystemTime {
        NOW + Duration::from_secs(1_700_000_000)
    }

    fn terms(lifetime: Duration) -> Terms {
        Terms {
            once: false,
            lifetime,
        }
    }

    #[test]
    fn a_token_is_valid_until_its_expiry_by_the_clock_of_the_relay() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let token = Issuer::of_relay(&key, NETWORK).issue(terms(HOUR), now());
        let (token, keys) = (token.unwrap(), MacKeys::of(&key));
        let check = |at| keys.check(&token, NETWORK, &[], at);
        assert_eq!(check(now()), Ok(()));
        assert_eq!(check(now() + HOUR - Duration::from_secs(1)), Ok(()));
        assert_eq!(check(now() + HOUR), Err(Refusal::Expired));
        assert_eq!(token.expires_at(), now() + HOUR);
    }

    #[test]
    fn lifetimes_are_allowed_at_their_limits_and_not_beyond() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let issuer = Issuer::of_relay(&key, NETWORK);
        for lifetime in [Duration::from_secs(1), LIFETIME_MAX] {
            let token = issuer.issue(terms(lifetime), now()).unwrap();
            assert_eq!(MacKeys::of(&key).check(&token, NETWORK, &[], now()), Ok(()));
        }
        for lifetime in [Duration::ZERO, LIFETIME_MAX + Duration::from_secs(1)] {
            let token = issuer.issue(terms(lifetime), now());
            assert_eq!(token, Err(IssueError::Lifetime));
        }
        let before = NOW.checked_sub(HOUR).unwrap();
        assert_eq!(issuer.issue(terms(HOUR), before), Err(IssueError::Clock));
    }

    #[test]
    fn the_clock_of_a_member_may_be_a_day_ahead_and_no_more() {
        let (key, secret) = (
            Keypair::generate(KeyType::Secp256k1),
            NetworkSecret::generate(),
        );
        let issuer = Issuer::of_member(secret.clone(), key.node_id(), NETWORK);
        for (ahead, valid) in [
            (CLOCK_SLACK, Ok(())),
            (CLOCK_SLACK + Duration::from_secs(1), Err(Refusal::Unknown)),
        ] {
            let token = issuer.issue(terms(LIFETIME_MAX), now() + ahead).unwrap();
            let checked =
                MacKeys::of(&key).check(&token, NETWORK, std::slice::from_ref(&secret), now());
            assert_eq!(checked, valid);
        }
    }

    #[test]
    fn a_token_of_a_member_is_valid_as_long_as_its_secret_is() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let [old, new] = [(); 2].map(|()| NetworkSecret::generate());
        let issuer = Issuer::of_member(old.clone(), key.node_id(), NETWORK);
        let token = issuer.issue(terms(HOUR), now()).unwrap();
        let keys = MacKeys::of(&key);
        let check = |secrets: &[NetworkSecret]| keys.check(&token, NETWORK, secrets, now());
        assert_eq!(check(std::slice::from_ref(&old)), Ok(()));
        assert_eq!(check(&[new.clone(), old]), Ok(()));
        assert_eq!(check(&[new]), Err(Refusal::Unknown));
        assert_eq!(check(&[]), Err(Refusal::Unknown));
    }

    #[test]
    fn a_changed_field_makes_a_token_unknown() {
        let key = Keypair::generate(KeyType::Secp256k1);
        let token = Issuer::of_relay(&key, NETWORK).issue(terms(HOUR), now());
        let token = token.unwrap();
        let keys = MacKeys::of(&key);
        let refusal = |change: fn(&mut Token)| {
            let mut changed = token.clone();
            change(&mut changed);
            keys.check(&changed, NETWORK, &[], now()).unwrap_err()
        };
        assert_eq!(refusal(|t| t.id.0[0] ^= 1), Refusal::Unknown);
        assert_eq!(refusal(|t| t.expires += 1), Refusal::Unknown);
        assert_eq!(refusal(|t| t.once = true), Refusal::Unknown);
        assert_eq!(refusal(|t| t.mac[31] ^= 1), Refusal::Unknown);
        let other_network = keys.check(&token, NETWORK + 1, &[], now());
        assert_eq!(other_network, Err(Refusal::Unknown));
        let other = Keypair::generate(KeyType::Secp256k1);
        let elsewhere = MacKeys::of(&other).check(&token, NETWORK, &[], now());
        assert_eq!(elsewhere, Err(Refusal::OtherRelay));
    }
}
