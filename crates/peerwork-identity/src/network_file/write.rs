//! This module encodes a [`NetworkFile`] as the bytes of a network file.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::contents::NetworkFile;
use crate::{NetworkSecret, NodeAddress};

/// The fields in the order in which the file has them.
#[derive(Serialize)]
struct Wire<'a> {
    name: &'a str,
    #[serde(rename = "NetworkId")]
    network_id: i64,
    bootnodes: &'a [NodeAddress],
    relaynodes: &'a [NodeAddress],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'a str>,
}

/// The characters that Go writes as escapes. In JSON they occur only inside strings.
const GO_ESCAPES: [(char, &str); 5] = [
    ('<', "\\u003c"),
    ('>', "\\u003e"),
    ('&', "\\u0026"),
    ('\u{2028}', "\\u2028"),
    ('\u{2029}', "\\u2029"),
];

pub(super) fn to_json(file: &NetworkFile) -> String {
    let NetworkFile {
        name,
        network_id,
        bootnodes,
        relaynodes,
        secrets,
    } = file;
    let texts: Vec<_> = secrets.iter().map(NetworkSecret::to_text).collect();
    let wire = Wire {
        name,
        network_id: *network_id,
        bootnodes,
        relaynodes,
        secrets: texts.iter().map(|text| text.as_str()).collect(),
    };
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    wire.serialize(&mut serializer)
        .expect("invariant: writing plain values to memory cannot fail");
    let json = String::from_utf8(bytes).expect("invariant: JSON is UTF-8");
    GO_ESCAPES.iter().fold(json, |json, (character, escape)| {
        json.replace(*character, escape)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::network_file::SECRETS_MAX;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    #[test]
    fn the_file_has_fixed_bytes() {
        let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}/p2p/{NODE}");
        let file = NetworkFile {
            name: "MyNetwork".to_owned(),
            network_id: 1000,
            bootnodes: vec![
                address(50001).parse().unwrap(),
                address(51001).parse().unwrap(),
            ],
            relaynodes: vec![],
            secrets: vec![],
        };
        let expected = format!(
            "{{\n    \"name\": \"MyNetwork\",\n    \"NetworkId\": 1000,\n    \"bootnodes\": [\n        \"{}\",\n        \
             \"{}\"\n    ],\n    \"relaynodes\": []\n}}",
            address(50001),
            address(51001)
        );
        assert_eq!(file.to_json(), expected);
    }

    #[test]
    fn characters_that_go_escapes_are_escaped() {
        let file = NetworkFile {
            name: "a<b>&\u{2028}\"".to_owned(),
            ..NetworkFile::default()
        };
        assert!(file.to_json().contains(r#""a\u003cb\u003e\u0026\u2028\"""#));
        assert_eq!(NetworkFile::parse(file.to_json().as_bytes()).unwrap(), file);
    }

    proptest! {
        #[test]
        fn any_file_round_trips(name in "\\PC{0,60}", network_id in any::<i64>(), ports in any::<Vec<u16>>()) {
            let nodes = |host: &str| {
                let address = |port| format!("/{host}/tcp/{port}/p2p/{NODE}").parse().unwrap();
                ports.iter().map(address).collect()
            };
            let secrets = ports.iter().take(SECRETS_MAX).map(|port| NetworkSecret::from_bytes([port.to_be_bytes()[1]; 32]));
            let file = NetworkFile {
                name,
                network_id,
                bootnodes: nodes("ip4/10.0.0.1"),
                relaynodes: nodes("dns/a"),
                secrets: secrets.collect(),
            };
            prop_assert_eq!(NetworkFile::parse(file.to_json().as_bytes()).unwrap(), file);
        }
    }
}
