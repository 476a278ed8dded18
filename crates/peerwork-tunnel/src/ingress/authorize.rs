//! Checks the caller's key for the relay, and selects the key that is passed on to the edge.

use std::sync::Arc;

use http::{
    HeaderMap,
    header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION},
};
use peerwork_identity::NodeId;

use super::{
    headers::{EDGE_KEY, RELAY_KEY},
    login::{By, Credentials},
};
use crate::{
    keys::{Denied, KeyStore, KeyText},
    problem::{Failure, Problem},
    wire::KEY_BYTES_MAX,
};

/// The keys of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Authorized {
    /// The id of the relay's key that authorized the request.
    pub(crate) relay_key: Option<String>,
    /// The key to send to the edge.
    pub(crate) edge_key: Option<Arc<str>>,
    /// The kind of credentials, when the browser sent a key of the request by itself.
    pub(crate) by: Option<By>,
}

/// The app that a request is for, with the keys that open the way to it.
pub(crate) struct Door<'a> {
    /// The relay's keys; `None` when the relay asks for none.
    pub(crate) keys: Option<&'a KeyStore>,
    pub(crate) node: NodeId,
    pub(crate) port: u16,
    /// The keys that browsers send by themselves. They count only at an app's own port; elsewhere there
    /// are none.
    pub(crate) browser: Credentials,
}

/// Checks the relay's key, where the relay demands one, and removes the keys from the headers that are
/// not meant for the app.
///
/// `edge_requires_key` is called only when its answer matters.
pub(crate) fn authorize(
    headers: &mut HeaderMap,
    door: Door<'_>,
    edge_requires_key: impl FnOnce() -> bool,
) -> Result<Authorized, Problem> {
    let mut authorized = Authorized::default();
    if let Some(keys) = door.keys {
        let (id, from) = door.check(headers, keys)?;
        authorized.relay_key = Some(id);
        authorized.by = from.by();
        if matches!(from, From::Bearer | From::Basic) {
            // Neither edge nor app may see the relay's key.
            headers.remove(AUTHORIZATION);
        }
    }
    headers.remove(RELAY_KEY);
    if let Some(value) = headers.remove(EDGE_KEY) {
        let text = value
            .to_str()
            .ok()
            .filter(|text| text.len() <= KEY_BYTES_MAX);
        let detail = "Peerwork-Edge-Key does not hold a key";
        let text = text.ok_or(Problem::new(Failure::EdgeKeyInvalid, detail))?;
        authorized.edge_key = Some(text.into());
        return Ok(authorized);
    }
    let Door { browser, .. } = door;
    if let Some(key) = browser.login.and_then(|login| login.edge) {
        authorized.edge_key = Some(key);
        authorized.by = Some(By::Cookie);
        return Ok(authorized);
    }
    let sent = bearer(headers).map(|text| (text.to_owned(), None));
    let basic = || Some((browser.basic?, Some(By::Basic)));
    let sent = sent.or_else(|| headers.contains_key(AUTHORIZATION).then(basic)?);
    let meant = sent.filter(|(text, _)| KeyText::is_meant(text) && edge_requires_key());
    let Some((key, by)) = meant.filter(|(text, _)| text.len() <= KEY_BYTES_MAX) else {
        return Ok(authorized);
    };
    authorized.edge_key = Some(key.into());
    authorized.by = authorized.by.or(by);
    headers.remove(AUTHORIZATION);
    Ok(authorized)
}

/// The place in a request where the relay's key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Header,
    Bearer,
    Basic,
    Login,
}

impl From {
    fn by(self) -> Option<By> {
        match self {
            Self::Header | Self::Bearer => None,
            Self::Basic => Some(By::Basic),
            Self::Login => Some(By::Cookie),
        }
    }
}

impl Door<'_> {
    /// Verifies the relay's key for the port of the node, and gives the key's id. A key that the client
    /// itself wrote into a header comes before the login of a browser.
    fn check(&self, headers: &HeaderMap, keys: &KeyStore) -> Result<(String, From), Problem> {
        let invalid = |detail: String| Problem::new(Failure::KeyInvalid, detail);
        for name in [RELAY_KEY, AUTHORIZATION] {
            if headers.get_all(&name).iter().count() > 1 {
                return Err(invalid(format!("{name} was sent more than once")));
            }
        }
        let (text, from) = if let Some(value) = headers.get(RELAY_KEY) {
            (value.to_str().unwrap_or_default().trim(), From::Header)
        } else if let Some(text) = &self.browser.basic {
            (text.as_str(), From::Basic)
        } else if let Some(text) = bearer(headers).filter(|text| self.is_for_relay(text)) {
            (text, From::Bearer)
        } else if let Some(id) = self
            .browser
            .login
            .as_ref()
            .and_then(|login| login.relay.clone())
        {
            return Ok((id, From::Login));
        } else if headers.contains_key(AUTHORIZATION) {
            return Err(invalid("the scheme is not Bearer".into()));
        } else {
            return Err(missing(headers));
        };
        let key: KeyText = text.parse().map_err(|error| invalid(format!("{error}")))?;
        match keys.verify(&key, self.node, self.port) {
            Ok(()) => Ok((key.id(), from)),
            Err(error @ Denied::Unknown) => Err(invalid(error.to_string())),
            Err(error @ Denied::Elsewhere) => {
                Err(Problem::new(Failure::KeyElsewhere, error.to_string()))
            }
        }
    }

    /// Whether a bearer token is meant for the relay. With a login it may be the app's own.
    fn is_for_relay(&self, token: &str) -> bool {
        let has_login = self
            .browser
            .login
            .as_ref()
            .is_some_and(|login| login.relay.is_some());
        KeyText::is_meant(token) || !has_login
    }
}

fn missing(headers: &HeaderMap) -> Problem {
    let detail = if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        "browsers send no key with a CORS preflight; this relay answers only the preflights of \
         origins that its operator named (--access-control-allow-origins)"
    } else {
        "send a key of this relay as Authorization: Bearer, or as Peerwork-Key where Authorization is \
         the app's"
    };
    Problem::new(Failure::KeyMissing, detail)
}

/// The token of `Authorization: Bearer`; the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;
    use peerwork_identity::{KeyType, Keypair};

    use super::*;
    use crate::{ingress::login::Keys, keys::NewKey};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn door(keys: Option<&KeyStore>, (node, port): (NodeId, u16)) -> Door<'_> {
        Door {
            keys,
            node,
            port,
            browser: Credentials::default(),
        }
    }

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[test]
    fn a_relay_with_keys_refuses_calls_without_a_valid_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(&folder.path().join("keys.json")).unwrap();
        let node = node();
        let port = Some(80);
        let new = NewKey {
            port,
            ..NewKey::default()
        };
        let crate::keys::Created { id, secret } = keys.create(new).unwrap();
        let ask = |value: &str, port| {
            let mut headers = headers(&[("authorization", value)]);
            let result = authorize(&mut headers, door(Some(&keys), (node, port)), || true);
            assert!(result.is_err() || headers.is_empty());
            let allowed = result.map_err(|problem| problem.failure)?;
            assert_eq!(allowed.edge_key, None);
            Ok(allowed.relay_key)
        };
        assert_eq!(ask(&format!("Bearer {secret}"), 80), Ok(Some(id.clone())));
        assert_eq!(ask(&format!("bearer {secret}"), 80), Ok(Some(id)));
        assert_eq!(
            ask(&format!("Bearer {secret}"), 81),
            Err(Failure::KeyElsewhere)
        );
        for wrong in [
            "",
            "Bearer",
            "Bearer x",
            &format!("Basic {secret}"),
            &format!("Bearer {}", KeyText::random()),
        ] {
            assert_eq!(ask(wrong, 80), Err(Failure::KeyInvalid), "{wrong:?}");
        }
        let none = authorize(&mut HeaderMap::new(), door(Some(&keys), (node, 80)), || {
            true
        });
        assert_eq!(none.unwrap_err().failure, Failure::KeyMissing);
    }

    #[test]
    fn a_key_in_a_header_comes_before_the_login_and_a_login_leaves_authorization_to_the_app() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(&folder.path().join("keys.json")).unwrap();
        let [first, second] = [(); 2].map(|()| keys.create(NewKey::default()).unwrap());
        let bearer = |secret: &str| format!("Bearer {secret}");
        let run = |pairs: &[(&'static str, &str)], basic: Option<&str>| {
            let mut headers = headers(pairs);
            let mut door = door(Some(&keys), (node(), 80));
            door.browser.basic = basic.map(str::to_owned);
            door.browser.login = Some(Keys {
                relay: Some("of-the-login".into()),
                edge: None,
            });
            let authorized = authorize(&mut headers, door, || false)?;
            let left = headers.get(AUTHORIZATION).cloned();
            assert!(headers.len() <= 1, "{headers:?}");
            Ok::<_, Problem>((authorized.relay_key.unwrap(), authorized.by, left))
        };
        let id = |key: &crate::keys::Created| key.id.clone();
        let sent = [
            ("peerwork-key", first.secret.as_str()),
            ("authorization", &bearer(&second.secret)),
        ];
        let (key, by, left) = run(&sent, None).unwrap();
        assert_eq!((key, by, left.is_some()), (id(&first), None, true));
        let (key, by, left) = run(&sent[1..], None).unwrap();
        assert_eq!((key, by, left.is_some()), (id(&second), None, false));
        let basic = [("authorization", "Basic x")];
        let (key, by, left) = run(&basic, Some(&second.secret)).unwrap();
        assert_eq!(
            (key, by, left.is_some()),
            (id(&second), Some(By::Basic), false)
        );
        for own in ["Bearer of-the-app", "Basic x", "Digest x"] {
            let (key, by, left) = run(&[("authorization", own)], None).unwrap();
            assert_eq!((key.as_str(), by), ("of-the-login", Some(By::Cookie)));
            assert_eq!(left.unwrap(), own);
        }
        let wrong = run(&[("peerwork-key", "x"), sent[1]], None).unwrap_err();
        assert_eq!(wrong.failure, Failure::KeyInvalid);
    }

    #[test]
    fn the_edges_key_is_sent_to_the_edge_and_other_keys_to_the_app() {
        let key = KeyText::random().to_string();
        let bearer = format!("Bearer {key}");
        let run = |headers: &mut HeaderMap, requires| {
            let authorized = authorize(headers, door(None, (node(), 80)), || requires).unwrap();
            assert_eq!(authorized.relay_key, None);
            authorized.edge_key
        };
        let mut both = headers(&[("peerwork-edge-key", &key), ("authorization", "Bearer app")]);
        assert_eq!(run(&mut both, true).as_deref(), Some(key.as_str()));
        assert_eq!(both.len(), 1);
        let mut meant = headers(&[("authorization", &bearer)]);
        assert_eq!(run(&mut meant, true).as_deref(), Some(key.as_str()));
        assert!(meant.is_empty());
        let mut open = headers(&[("authorization", &bearer)]);
        assert_eq!(run(&mut open, false), None);
        assert_eq!(open.len(), 1);
        let mut app = headers(&[("authorization", "Bearer app")]);
        assert_eq!(run(&mut app, true), None);
        assert_eq!(app.len(), 1);
    }
}
