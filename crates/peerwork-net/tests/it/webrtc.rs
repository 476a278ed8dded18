//! Listening on WebRTC-direct addresses. The tests of the crate `peerwork` dial them with js-libp2p, an
//! independent implementation.

use multiaddr::Multiaddr;
use peerwork_net::{Config, webrtc};

use crate::node::config;

const ANY_PORT: &str = "/ip4/127.0.0.1/udp/0/webrtc-direct";

fn listening(on: &str) -> Config {
    let mut config = config();
    config.listen.push(on.parse::<Multiaddr>().unwrap());
    config
}

#[cfg(not(feature = "webrtc"))]
#[tokio::test]
async fn a_build_without_webrtc_says_what_to_do() {
    let mut registry = prometheus_client::registry::Registry::default();
    let error = peerwork_net::Network::start(listening(ANY_PORT), &mut registry).await;
    let error = error.unwrap_err().to_string();
    assert!(webrtc::is_direct(&ANY_PORT.parse().unwrap()));
    assert!(
        error.contains(ANY_PORT) && error.contains("feature `webrtc`"),
        "{error}"
    );
}

#[cfg(feature = "webrtc")]
mod built_in {
    use std::{net::SocketAddr, time::Duration};

    use multiaddr::Protocol;
    use peerwork_net::{Network, webrtc::Certificate};
    use peerwork_testkit::{eventually, own_loopback};
    use prometheus_client::registry::Registry;
    use tokio::net::UdpSocket;

    use super::*;
    use crate::{hostile::connect_in_the_end, node::start};

    fn hashed(network: &Network) -> Multiaddr {
        let listen = network.listen_addresses();
        let listen = listen.borrow();
        let direct = listen.iter().find(|address| webrtc::is_direct(address));
        direct.unwrap().clone()
    }

    fn port(address: &Multiaddr) -> SocketAddr {
        let udp = address.iter().find_map(|part| match part {
            Protocol::Udp(port) => Some(port),
            _ => None,
        });
        ([127, 0, 0, 1], udp.unwrap()).into()
    }

    #[tokio::test]
    async fn the_address_has_the_hash_of_the_certificate_also_after_a_restart() {
        let certificate = Certificate::generate().unwrap();
        let own_port = format!("/ip4/{}/udp/0/webrtc-direct", own_loopback());
        let mut settings = listening(&own_port);
        settings.certificate = Some(certificate.clone());
        let first = start(settings).await;
        let address = hashed(&first);
        assert!(
            address
                .iter()
                .any(|part| matches!(part, Protocol::Certhash(_)))
        );
        first.stop().await;
        let mut again = address.clone();
        again.pop();
        let mut settings = listening(&again.to_string());
        settings.certificate = Some(certificate);
        assert_eq!(hashed(&start(settings).await), address);
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_of_the_start() {
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let settings = listening(&format!("/ip4/127.0.0.1/udp/{port}/webrtc-direct"));
        let error = Network::start(settings, &mut Registry::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("in use"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn forged_handshakes_do_not_keep_others_out() {
        let mut settings = listening(ANY_PORT);
        settings.limits.handshake_timeout = Duration::from_millis(500);
        let node = start(settings).await;
        let at = port(&hashed(&node));
        // The first record of a handshake, unencrypted, without a meaningful message.
        let mut hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1];
        hello.resize(113, 7);
        for _ in 0..600 {
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for datagram in [&hello[..], &[0; 20], &[23; 40], &[255; 1400], &[]] {
                stranger.send_to(datagram, at).await.unwrap();
            }
        }
        let other = start(config()).await;
        connect_in_the_end(&other, &node).await;
        eventually("the other node", || (node.peers().len() == 1).then_some(())).await;
    }
}
