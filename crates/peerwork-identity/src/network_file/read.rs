//! This module parses the bytes of a network file into a [`NetworkFile`].

use serde_json::{Map, Value};

use super::{
    contents::{ENTRIES_MAX, FILE_BYTES_MAX, NAME_BYTES_MAX, NetworkFile, SECRETS_MAX},
    problem::{Problem, Problems},
};
use crate::{NetworkSecret, NodeAddress};

pub(super) fn too_large() -> Problem {
    Problem::new(
        "",
        "",
        format!("the file has more than {FILE_BYTES_MAX} bytes"),
    )
}

pub(super) fn parse(contents: &[u8]) -> Result<NetworkFile, Problems> {
    if contents.len() > FILE_BYTES_MAX {
        return Err(too_large().into());
    }
    let value: Value = serde_json::from_slice(contents)
        .map_err(|error| Problem::new("", "", format!("the file is not JSON: {error}")))?;
    let Value::Object(fields) = value else {
        return Err(Problem::new("", "", "the file must hold a JSON object").into());
    };
    let mut reader = Reader {
        fields,
        problems: Vec::new(),
    };
    let file = NetworkFile {
        name: reader.name(),
        network_id: reader.network_id(),
        bootnodes: reader.addresses("bootnodes"),
        relaynodes: reader.addresses("relaynodes"),
        secrets: reader.secrets(),
    };
    Problems::none_or(reader.problems, file)
}

struct Reader {
    fields: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Reader {
    fn name(&mut self) -> String {
        match self.take("name") {
            None => String::new(),
            Some(Value::String(name)) if name.len() <= NAME_BYTES_MAX => name,
            Some(Value::String(name)) => {
                self.report(
                    "name",
                    &name,
                    format!("a name has at most {NAME_BYTES_MAX} bytes"),
                );
                String::new()
            }
            Some(other) => {
                self.report("name", &other.to_string(), "expected text");
                String::new()
            }
        }
    }

    fn network_id(&mut self) -> i64 {
        let Some(value) = self.take("NetworkId") else {
            return 0;
        };
        value.as_i64().unwrap_or_else(|| {
            self.report(
                "NetworkId",
                &value.to_string(),
                "expected a whole number of 64 bits",
            );
            0
        })
    }

    fn addresses(&mut self, key: &str) -> Vec<NodeAddress> {
        let entries = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                self.report(key, &other.to_string(), "expected a list of addresses");
                return Vec::new();
            }
        };
        if entries.len() > ENTRIES_MAX {
            let reason = format!(
                "the list has {} entries where at most {ENTRIES_MAX} are allowed",
                entries.len()
            );
            self.report(key, "", reason);
            return Vec::new();
        }
        let mut addresses = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match address(entry) {
                Ok(address) => addresses.push(address),
                Err((value, reason)) => self.report(&format!("{key}[{index}]"), &value, reason),
            }
        }
        addresses
    }

    /// Reads the secrets. The problems do not repeat what the file holds, because messages go into logs.
    fn secrets(&mut self) -> Vec<NetworkSecret> {
        const KEY: &str = "secrets";
        let entries = match self.take(KEY) {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.report(KEY, "", "expected a list of secrets");
                return Vec::new();
            }
        };
        if entries.len() > SECRETS_MAX {
            let reason = format!(
                "the list has {} entries where at most {SECRETS_MAX} are allowed",
                entries.len()
            );
            self.report(KEY, "", reason);
            return Vec::new();
        }
        let mut secrets = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match entry.as_str().unwrap_or_default().parse() {
                Ok(secret) => secrets.push(secret),
                Err(reason) => self.report(&format!("{KEY}[{index}]"), "", reason),
            }
        }
        secrets
    }

    /// Takes the value of a field, whose name may have any case; `null` counts as missing.
    fn take(&mut self, key: &str) -> Option<Value> {
        let is_field = |name: &&String| name.eq_ignore_ascii_case(key);
        let names: Vec<String> = self.fields.keys().filter(is_field).cloned().collect();
        if names.len() > 1 {
            self.report(key, &names.join(", "), "the field is given more than once");
        }
        let value = self.fields.get(names.first()?)?;
        (!value.is_null()).then(|| value.clone())
    }

    fn report(&mut self, key: &str, value: &str, reason: impl std::fmt::Display) {
        self.problems.push(Problem::new(key, value, reason));
    }
}

/// Parses an entry as an address; the error holds the shortened entry and the reason why it is not
/// an address.
fn address(entry: &Value) -> Result<NodeAddress, (String, String)> {
    let Value::String(text) = entry else {
        return Err((
            entry.to_string(),
            "expected an address in quotes".to_owned(),
        ));
    };
    text.parse()
        .map_err(|error: crate::ParseNodeAddressError| (text.clone(), error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ADDRESS: &str =
        "/ip4/127.0.0.1/tcp/50001/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn parse_json(value: &Value) -> Result<NetworkFile, Problems> {
        parse(value.to_string().as_bytes())
    }

    fn reasons(value: &Value) -> String {
        parse_json(value).unwrap_err().to_string()
    }

    #[test]
    fn field_names_are_read_in_any_case_and_unknown_fields_are_ignored() {
        let file = parse_json(&json!({
            "Name": "n", "networkid": 7, "BOOTNODES": [ADDRESS], "relayNodes": [], "tele_version": "x",
        }))
        .unwrap();
        assert_eq!(
            (file.name.as_str(), file.network_id, file.bootnodes.len()),
            ("n", 7, 1)
        );
    }

    #[test]
    fn null_and_missing_fields_are_empty() {
        let null = json!({"name": null, "NetworkId": null, "bootnodes": null, "relaynodes": null});
        assert_eq!(parse_json(&null).unwrap(), NetworkFile::default());
        assert_eq!(parse(b"{}").unwrap(), NetworkFile::default());
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_places() {
        let problems = parse_json(&json!({
            "name": 7,
            "NetworkId": 1.5,
            "bootnodes": [ADDRESS, "/p2p/16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi", 3],
            "relaynodes": "x",
        }))
        .unwrap_err();
        let keys: Vec<&str> = problems
            .as_slice()
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "name",
                "NetworkId",
                "bootnodes[1]",
                "bootnodes[2]",
                "relaynodes"
            ]
        );
        assert!(problems.to_string().contains("transport address"));
    }

    #[test]
    fn mistakes_in_secrets_are_named_without_the_secret() {
        let secret = NetworkSecret::generate().to_text().to_string();
        let cut = &secret[..50];
        let problems = reasons(&json!({"secrets": [cut, 7]}));
        assert!(problems.contains("secrets[0]: the network secret is incomplete"));
        assert!(problems.contains("secrets[1]: not a network secret"));
        assert!(!problems.contains(&cut[8..]));
        assert!(reasons(&json!({ "secrets": secret })).contains("expected a list"));
        let two = json!({"secrets": [secret, secret]});
        assert_eq!(parse_json(&two).unwrap().secrets.len(), SECRETS_MAX);
        let three = json!({"secrets": [secret, secret, secret]});
        assert!(reasons(&three).contains("3 entries where at most 2"));
    }

    #[test]
    fn one_field_in_two_cases_is_a_mistake() {
        assert!(reasons(&json!({"NetworkId": 1, "networkid": 2})).contains("more than once"));
    }

    #[test]
    fn texts_that_are_not_a_json_object_are_refused() {
        for contents in [b"".as_slice(), b"[]", b"{", b"\xff", b"{} {}"] {
            assert_eq!(parse(contents).unwrap_err().as_slice().len(), 1);
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn limits_hold_at_one_more() {
        assert!(parse_json(&json!({"bootnodes": vec![ADDRESS; ENTRIES_MAX]})).is_ok());
        assert!(
            reasons(&json!({"bootnodes": vec![ADDRESS; ENTRIES_MAX + 1]})).contains("1025 entries")
        );
        assert!(parse_json(&json!({"name": "n".repeat(NAME_BYTES_MAX)})).is_ok());
        assert!(reasons(&json!({"name": "n".repeat(NAME_BYTES_MAX + 1)})).contains("256 bytes"));
        let mut contents = b"{}".to_vec();
        contents.resize(FILE_BYTES_MAX, b' ');
        assert!(parse(&contents).is_ok());
        contents.push(b' ');
        assert!(parse(&contents).is_err());
    }

    #[test]
    fn network_ids_are_the_whole_numbers_of_64_bits() {
        for id in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(
                parse_json(&json!({"NetworkId": id})).unwrap().network_id,
                id
            );
        }
        assert!(parse_json(&json!({"NetworkId": i64::MAX as u64 + 1})).is_err());
        assert!(parse_json(&json!({"NetworkId": "7"})).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,200}") {
            let _ = parse(text.as_bytes());
        }
    }
}
