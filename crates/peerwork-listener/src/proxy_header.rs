//! This module decodes the PROXY protocol header (versions 1 and 2 of the specification at
//! haproxy.org), in which a proxy names its client before the first byte of HTTP.

use std::{io, net::SocketAddr};

use ppp::{
    HeaderResult, v1,
    v2::{self, Command},
};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The signature of version 2.
const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its line end included.
const V1_BYTES_MAX: usize = 107;
/// The longest accepted body of version 2: addresses and a few further fields.
const V2_BYTES_MAX: usize = 1024;
/// The type of the TLV field that describes TLS between client and proxy (section 2.2.6 of the
/// specification).
const V2_TYPE_SSL: u8 = 0x20;
/// The bit in the first byte of that field that is set when the client used TLS.
const V2_CLIENT_SSL: u8 = 1;

/// The statement of a proxy about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxied {
    pub(crate) client: SocketAddr,
    /// Whether the client used TLS to the proxy.
    pub(crate) tls: bool,
}

fn malformed(reason: impl ToString) -> io::Error {
    let reason = reason.to_string();
    let message = format!("the PROXY protocol's header is malformed: {reason}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads exactly one header. `None` when the header names no client, because the proxy itself is
/// the client, as in its health checks.
///
/// # Errors
/// An I/O error when the bytes are no PROXY header, or when the stream ends within the header.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Proxied>> {
    let header = bytes(stream).await?;
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(of_v1(&header)),
        HeaderResult::V2(Ok(header)) => Ok(of_v2(&header)),
        HeaderResult::V1(Err(error)) => Err(malformed(error)),
        HeaderResult::V2(Err(error)) => Err(malformed(error)),
    }
}

/// Reads the bytes of a header. Version 2 states its length; version 1 ends at the line end.
async fn bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await?;
        header.extend(rest);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if length > V2_BYTES_MAX {
            return Err(malformed(format_args!("{length} bytes")));
        }
        let start = header.len();
        header.resize(start + length, 0);
        stream.read_exact(&mut header[start..]).await?;
        return Ok(header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(malformed("it begins with no known signature"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= V1_BYTES_MAX {
            return Err(malformed("its line does not end"));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn of_v1(header: &v1::Header<'_>) -> Option<Proxied> {
    let client = match header.addresses {
        v1::Addresses::Tcp4(a) => (a.source_address, a.source_port).into(),
        v1::Addresses::Tcp6(a) => (a.source_address, a.source_port).into(),
        v1::Addresses::Unknown => return None,
    };
    let tls = false;
    Some(Proxied { client, tls })
}

fn of_v2(header: &v2::Header<'_>) -> Option<Proxied> {
    // A LOCAL header may carry addresses, which must be ignored (section 2.2).
    let proxied = header.command == Command::Proxy;
    let client = match header.addresses {
        v2::Addresses::IPv4(a) if proxied => (a.source_address, a.source_port).into(),
        v2::Addresses::IPv6(a) if proxied => (a.source_address, a.source_port).into(),
        _ => return None,
    };
    let ssl = header.tlvs().flatten().find(|tlv| tlv.kind == V2_TYPE_SSL);
    let bits = ssl.and_then(|tlv| tlv.value.first().copied());
    let tls = bits.is_some_and(|bits| bits & V2_CLIENT_SSL != 0);
    Some(Proxied { client, tls })
}

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
