//! A small WebSocket client: sends one text and reads texts, each in one frame.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use peerwork_testkit::process::PROCESS_DEADLINE;

/// A connection to `ws://HOST:PORT/PATH`.
pub(super) struct WebSocket(BufReader<TcpStream>);

impl WebSocket {
    pub(super) fn connect(url: &str) -> Self {
        let (host, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PROCESS_DEADLINE)).unwrap();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Self(stream)
    }

    pub(super) fn send(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        // A mask of zeros leaves the bytes as they are.
        let head = [0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        let stream = self.0.get_mut();
        stream.write_all(&head).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads the next text; pings are skipped.
    pub(super) fn receive(&mut self) -> String {
        loop {
            let [kind, length] = self.bytes();
            let length = match length {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                length => u64::from(length),
            };
            let mut text = String::new();
            let mut payload = self.0.by_ref().take(length);
            payload.read_to_string(&mut text).unwrap();
            if kind == 0x81 {
                return text;
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}
