//! The protocols of a connection without its socket: takes datagrams and the time, gives datagrams.
//!
//! ```text
//!  datagrams ⇄ DTLS ⇄ SCTP ⇄ data channels (channels.rs) ⇄ Table ⇄ users
//! ```

use std::{net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use dimpl::{Dtls, DtlsCertificate, Output};
use sctp_proto::{
    Association, AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    ServerConfig, TransportConfig,
};

use super::{channels::Channels, end::End, reading::WINDOW_BYTES, shared::Handle, state::Key};
use crate::webrtc;

/// Bytes of a datagram that every path on the internet carries, as QUIC assumes.
const DATAGRAM_BYTES_MAX: usize = 1200;
/// Bytes of a datagram that DTLS and SCTP add to the payload: 48 and 12 + 16 at most.
const OVERHEAD_BYTES: usize = 80;
/// Bytes of a message of SCTP; streams have smaller ones.
const MESSAGE_BYTES_MAX: u32 = 64 << 10;
/// Messages of SCTP that are sent again this often before the connection counts as lost; with pauses
/// that double up to a minute, that is some minutes.
const RETRANSMISSIONS_MAX: usize = 8;
/// SCTP runs inside DTLS and knows no addresses.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// Bytes of the buffer for decrypted records.
const PLAIN_BYTES_MAX: usize = 4096;

/// The protocols of a connection.
pub(super) struct Connection {
    dtls: Dtls,
    dtls_timeout: Option<Instant>,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    channels: Channels,
    shared: Handle,
    plain: Vec<u8>,
    /// Datagrams to send.
    pub(super) outgoing: Vec<Vec<u8>>,
    /// Whether a record came in that only the other side can have sent.
    pub(super) authentic: bool,
    /// Whether the other side answered this side's part of the DTLS handshake: a sender with a forged
    /// address cannot.
    pub(super) proven: bool,
}

/// The settings of DTLS that all connections share. Diallers prove that they receive at their address
/// before the handshake costs more than an answer.
pub(super) fn dtls_config() -> Result<dimpl::Config, dimpl::Error> {
    dimpl::Config::builder()
        .mtu(DATAGRAM_BYTES_MAX)
        .use_server_cookie(true)
        .require_client_certificate(true)
        .build()
}

fn endpoint() -> Endpoint {
    let mut config = EndpointConfig::new();
    let payload = u32::try_from(DATAGRAM_BYTES_MAX - OVERHEAD_BYTES);
    config.max_payload_size(payload.expect("a datagram is small"));
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(WINDOW_BYTES)
        .with_max_receive_message_size(MESSAGE_BYTES_MAX)
        .with_max_data_retransmits(Some(RETRANSMISSIONS_MAX));
    let mut server = ServerConfig::new();
    server.transport = Arc::new(transport);
    Endpoint::new(Arc::new(config), Some(Arc::new(server)))
}

impl Connection {
    pub(super) fn new(
        config: Arc<dimpl::Config>,
        certificate: DtlsCertificate,
        shared: Handle,
        now: Instant,
    ) -> Self {
        let mut dtls = Dtls::new_auto(config, certificate, now);
        dtls.set_active(false);
        Self {
            dtls,
            dtls_timeout: None,
            endpoint: endpoint(),
            association: None,
            channels: Channels::new(Handle::clone(&shared)),
            shared,
            plain: vec![0; PLAIN_BYTES_MAX],
            outgoing: Vec::new(),
            authentic: false,
            proven: false,
        }
    }

    /// The side that dials, for tests.
    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    pub(super) fn dialling(certificate: DtlsCertificate, shared: Handle, now: Instant) -> Self {
        let config = Arc::new(dtls_config().unwrap());
        let mut connection = Self::new(config, certificate, shared, now);
        connection.dtls.set_active(true);
        connection.dtls.handle_timeout(now).unwrap();
        let mut client = sctp_proto::ClientConfig::new();
        // DTLS loses the first message of SCTP, which is sent before it is connected.
        let transport = TransportConfig::default().with_rto_initial_ms(100);
        client.transport = Arc::new(transport);
        let association = connection.endpoint.connect(client, NOWHERE).unwrap();
        connection.association = Some(association);
        connection
    }

    /// SCTP's side of the connection, for tests that send messages of their own.
    #[cfg(test)]
    pub(super) fn association(&mut self) -> &mut Association {
        let association = self.association.as_mut();
        &mut association.expect("the connection has begun").1
    }

    #[cfg(test)]
    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The stream of the handshake.
    pub(super) fn handshake(&self) -> Key {
        self.channels.handshake()
    }

    /// Takes a datagram.
    pub(super) fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<(), End> {
        self.dtls.handle_timeout(now).map_err(lost)?;
        self.dtls.handle_packet(datagram).map_err(lost)
    }

    /// Runs the protocols until none has work left; gives the time of the next timer.
    pub(super) fn turn(&mut self, now: Instant) -> Result<Option<Instant>, End> {
        if self.dtls_timeout.is_some_and(|at| at <= now) {
            self.dtls.handle_timeout(now).map_err(lost)?;
        }
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        loop {
            let mut busy = self.poll_dtls(now)?;
            busy |= self.poll_association(now)?;
            busy |= self.transmit(now)?;
            if !busy {
                break;
            }
        }
        let association = self.association.as_ref();
        let timeouts = [
            self.dtls_timeout,
            association.and_then(|(_, association)| association.poll_timeout()),
            self.channels.timeout(),
        ];
        Ok(timeouts.into_iter().flatten().min())
    }

    /// Whether all bytes that users wrote have arrived.
    pub(super) fn is_idle(&mut self) -> bool {
        match &mut self.association {
            Some((_, association)) => self.channels.is_idle(association),
            None => true,
        }
    }

    /// Closes DTLS, which sends an alert to the other side.
    pub(super) fn close(&mut self, now: Instant) {
        let closed = self.dtls.close();
        // An error means that the other side is gone already.
        let _ = closed.map_err(lost).and_then(|()| self.poll_dtls(now));
    }

    fn poll_dtls(&mut self, now: Instant) -> Result<bool, End> {
        let mut busy = false;
        loop {
            match self.dtls.poll_output(&mut self.plain) {
                Output::Packet(packet) => self.outgoing.push(packet.to_vec()),
                Output::BufferTooSmall { needed } => self.plain.resize(needed, 0),
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    return Ok(busy);
                }
                Output::PeerCert(certificate) => {
                    let hash = webrtc::hash(certificate);
                    self.shared.lock().identified(hash);
                    self.proven = true;
                }
                Output::ApplicationData(data) => {
                    self.authentic = true;
                    let data = Bytes::copy_from_slice(data);
                    self.on_sctp(data, now);
                }
                Output::CloseNotify => return Err(End::ConnectionAborted),
                // SRTP's keys are for media.
                _ => {}
            }
            busy = true;
        }
    }

    fn on_sctp(&mut self, data: Bytes, now: Instant) {
        match self.endpoint.handle(now, NOWHERE, None, None, data) {
            // A dialler has one association; a second is an old attempt that arrives late.
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association.get_or_insert((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn poll_association(&mut self, now: Instant) -> Result<bool, End> {
        let Some((handle, association)) = &mut self.association else {
            return Ok(false);
        };
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
        let mut busy = false;
        while let Some(event) = association.poll() {
            busy = true;
            match event {
                Event::Connected => self.channels.on_connected(association)?,
                Event::Stream(event) => self.channels.on_event(&event, association),
                Event::DatagramReceived => self.channels.on_chunk(),
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => {
                    return Err(End::ConnectionReset);
                }
                _ => {}
            }
        }
        Ok(self.channels.exchange(association, now)? || busy)
    }

    /// Moves packets from SCTP to DTLS, one at a time because DTLS holds few.
    fn transmit(&mut self, now: Instant) -> Result<bool, End> {
        let mut busy = false;
        while let Some(transmit) = self.next_transmit(now) {
            let Payload::RawEncode(packets) = transmit else {
                continue;
            };
            for packet in packets {
                self.dtls.send_application_data(&packet).map_err(lost)?;
                self.poll_dtls(now)?;
                busy = true;
            }
        }
        Ok(busy)
    }

    fn next_transmit(&mut self, now: Instant) -> Option<Payload> {
        let of_endpoint = self.endpoint.poll_transmit();
        let transmit = of_endpoint.or_else(|| {
            let (_, association) = self.association.as_mut()?;
            association.poll_transmit(now)
        });
        transmit.map(|transmit| transmit.payload)
    }
}

/// Converts an error of DTLS, which is always final.
fn lost(error: dimpl::Error) -> End {
    tracing::debug!(%error, "DTLS failed");
    End::ConnectionAborted
}
