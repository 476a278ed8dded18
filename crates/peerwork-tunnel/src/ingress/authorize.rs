//! Checks the caller's key for the relay, and selects the key that is passed on to the edge.

use std::sync::Arc;

use http::{
    HeaderMap,
    header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION},
};
use peerwork_identity::NodeId;

use super::headers::{EDGE_KEY, RELAY_KEY};
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
}

/// Checks the relay's key, where the relay demands one, and removes the keys from the headers that are
/// not meant for the app.
///
/// `edge_requires_key` is called only when its answer matters.
pub(crate) fn authorize(
    headers: &mut HeaderMap,
    keys: Option<&KeyStore>,
    (node, port): (NodeId, u16),
    edge_requires_key: impl FnOnce() -> bool,
) -> Result<Authorized, Problem> {
    let mut authorized = Authorized::default();
    if let Some(keys) = keys {
        authorized.relay_key = Some(check(headers, keys, node, port)?);
        // Neither edge nor app may see the relay's key.
        if headers.remove(RELAY_KEY).is_none() {
            headers.remove(AUTHORIZATION);
        }
    }
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
    let meant = bearer(headers).filter(|text| KeyText::is_meant(text) && edge_requires_key());
    let Some(key) = meant.filter(|text| text.len() <= KEY_BYTES_MAX) else {
        return Ok(authorized);
    };
    authorized.edge_key = Some(key.into());
    headers.remove(AUTHORIZATION);
    Ok(authorized)
}

/// Verifies the bearer key for the port of the node, and gives the key's id.
fn check(headers: &HeaderMap, keys: &KeyStore, node: NodeId, port: u16) -> Result<String, Problem> {
    let invalid = |detail: String| Problem::new(Failure::KeyInvalid, detail);
    for name in [RELAY_KEY, AUTHORIZATION] {
        if headers.get_all(&name).iter().count() > 1 {
            return Err(invalid(format!("{name} was sent more than once")));
        }
    }
    let own = headers.get(RELAY_KEY);
    if own.is_none() && !headers.contains_key(AUTHORIZATION) {
        let detail = if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            "browsers send no key with a CORS preflight; this relay answers only the preflights of \
             origins that its operator named (--access-control-allow-origins)"
        } else {
            "send a key of this relay as Authorization: Bearer, or as Peerwork-Key where Authorization is \
             the app's"
        };
        return Err(Problem::new(Failure::KeyMissing, detail));
    }
    let text = match own {
        Some(value) => value.to_str().unwrap_or_default().trim(),
        None => bearer(headers).ok_or_else(|| invalid("the scheme is not Bearer".into()))?,
    };
    let key: KeyText = text.parse().map_err(|error| invalid(format!("{error}")))?;
    match keys.verify(&key, node, port) {
        Ok(()) => Ok(key.id()),
        Err(error @ Denied::Unknown) => Err(invalid(error.to_string())),
        Err(error @ Denied::Elsewhere) => {
            Err(Problem::new(Failure::KeyElsewhere, error.to_string()))
        }
    }
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
    use crate::keys::NewKey;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
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
            let result = authorize(&mut headers, Some(&keys), (node, port), || true);
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
        let none = authorize(&mut HeaderMap::new(), Some(&keys), (node, 80), || true);
        assert_eq!(none.unwrap_err().failure, Failure::KeyMissing);
    }

    #[test]
    fn the_edges_key_is_sent_to_the_edge_and_other_keys_to_the_app() {
        let key = KeyText::random().to_string();
        let bearer = format!("Bearer {key}");
        let run = |headers: &mut HeaderMap, requires| {
            let authorized = authorize(headers, None, (node(), 80), || requires).unwrap();
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
