//! These tests decode PROXY protocol headers, among them arbitrary bytes.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use futures::FutureExt as _;
use proptest::{collection::vec, prelude::*};

use super::*;

/// Decodes `bytes` and counts the bytes left unread. A reader over memory never waits.
fn decode(mut bytes: &[u8]) -> io::Result<(Option<Proxied>, usize)> {
    let proxied = read(&mut bytes).now_or_never().unwrap()?;
    Ok((proxied, bytes.len()))
}

fn client(address: &str) -> Option<Proxied> {
    let client = address.parse().unwrap();
    let tls = false;
    Some(Proxied { client, tls })
}

fn v2(command: u8, client: SocketAddr, fields: &[u8]) -> Vec<u8> {
    let addresses = |source: &[u8], port: u16| {
        let ports = [port.to_be_bytes(), 443u16.to_be_bytes()].concat();
        [source, source, &ports].concat()
    };
    let (family, addresses) = match client.ip() {
        IpAddr::V4(ip) => (0x11, addresses(&ip.octets(), client.port())),
        IpAddr::V6(ip) => (0x21, addresses(&ip.octets(), client.port())),
    };
    let length = u16::try_from(addresses.len() + fields.len()).unwrap();
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([0x20 | command, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header.extend(fields);
    header
}

#[test]
fn both_versions_name_the_client_and_nothing_more_is_read() {
    let v1 = b"PROXY TCP4 192.0.2.5 192.0.2.9 4711 9090\r\nGET /";
    assert_eq!(decode(v1).unwrap(), (client("192.0.2.5:4711"), 5));
    let mut header = v2(1, "192.0.2.5:4711".parse().unwrap(), &[]);
    header.extend(b"GET /");
    assert_eq!(decode(&header).unwrap(), (client("192.0.2.5:4711"), 5));
    let v6 = b"PROXY TCP6 2001:db8::5 2001:db8::9 4711 9090\r\n";
    assert_eq!(decode(v6).unwrap(), (client("[2001:db8::5]:4711"), 0));
}

#[test]
fn a_header_of_the_proxy_itself_names_no_client() {
    assert_eq!(decode(b"PROXY UNKNOWN\r\n").unwrap(), (None, 0));
    let mut local = V2_SIGNATURE.to_vec();
    local.extend([0x20, 0, 0, 0]);
    assert_eq!(decode(&local).unwrap(), (None, 0));
    let with_address = v2(0, "192.0.2.5:4711".parse().unwrap(), &[]);
    assert_eq!(decode(&with_address).unwrap(), (None, 0));
}

#[test]
fn version_2_says_whether_the_client_used_tls() {
    let address = "192.0.2.5:4711".parse().unwrap();
    for (bits, tls) in [(0x01, true), (0x07, true), (0x00, false), (0x02, false)] {
        let fields = [0x04, 0, 1, 0, V2_TYPE_SSL, 0, 5, bits, 0, 0, 0, 0];
        let (proxied, _) = decode(&v2(1, address, &fields)).unwrap();
        assert_eq!(proxied.unwrap().tls, tls, "{bits}");
    }
}

#[test]
fn other_bytes_are_an_error() {
    let mut long = V2_SIGNATURE.to_vec();
    long.extend([0x21, 0x11, 0xff, 0xff]);
    for bytes in [
        b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec(),
        b"PROXY TCP4 a b c d\r\n".to_vec(),
        [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
        long,
    ] {
        let error = decode(&bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
    }
    let early = decode(b"PROXY").unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn the_longest_header_of_each_version_is_read_and_one_byte_more_is_not() {
    let address = "192.0.2.5:4711".parse().unwrap();
    let fields = |bytes: usize| {
        let length = u16::try_from(bytes - 3).unwrap().to_be_bytes();
        [&[0x04, length[0], length[1]], vec![0; bytes - 3].as_slice()].concat()
    };
    assert!(decode(&v2(1, address, &fields(V2_BYTES_MAX - 12))).is_ok());
    assert!(decode(&v2(1, address, &fields(V2_BYTES_MAX - 11))).is_err());
    let ip = ["ffff"; 8].join(":");
    let longest = format!("PROXY UNKNOWN {ip} {ip} 65535 65535\r\n");
    assert_eq!(longest.len(), V1_BYTES_MAX);
    assert!(decode(longest.as_bytes()).is_ok());
    let longer = longest.replace("65535\r", "655350\r");
    let error = decode(longer.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("does not end"), "{error}");
}

proptest! {
    #[test]
    fn every_client_is_read_back(
        ip: IpAddr, port: u16, tls: bool, rest in vec(any::<u8>(), 0..64),
    ) {
        let client = SocketAddr::new(ip, port);
        let field = [V2_TYPE_SSL, 0, 5, u8::from(tls), 0, 0, 0, 0];
        let header = [v2(1, client, &field), rest.clone()].concat();
        let read = Some(Proxied { client, tls });
        prop_assert_eq!(decode(&header).unwrap(), (read, rest.len()));

        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let mut line = format!("PROXY {family} {ip} {ip} {port} 443\r\n").into_bytes();
        line.extend(&rest);
        let read = Some(Proxied { client, tls: false });
        prop_assert_eq!(decode(&line).unwrap(), (read, rest.len()));
    }

    #[test]
    fn arbitrary_bytes_are_an_answer_and_reading_is_bounded(
        start in prop_oneof![
            Just(Vec::new()), Just(b"PROXY ".to_vec()), Just(V2_SIGNATURE.to_vec()),
        ],
        bytes in vec(any::<u8>(), 0..2048),
    ) {
        let bytes = [start, bytes].concat();
        if let Ok((_, rest)) = decode(&bytes) {
            prop_assert!(bytes.len() - rest <= V2_SIGNATURE.len() + 4 + V2_BYTES_MAX);
        }
    }

    #[test]
    fn a_header_that_is_cut_short_or_changed_never_panics(
        ip: IpAddr, port: u16, cut: prop::sample::Index, changed: prop::sample::Index, by: u8,
    ) {
        let mut header = v2(1, SocketAddr::new(ip, port), &[V2_TYPE_SSL, 0, 1, 1]);
        let position = changed.index(header.len());
        header[position] ^= by;
        let _ = decode(&header[..cut.index(header.len())]);
        let _ = decode(&header);
    }
}
