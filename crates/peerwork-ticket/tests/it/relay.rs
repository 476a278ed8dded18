//! A relay of a network with a secret that redeems tokens, and joiners.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use peerwork_identity::{Keypair, NetworkFile, NetworkSecret, NodeAddress};
use peerwork_net::{Config, Network, Served, config::Membership};
use peerwork_testkit::node::{self, connect, key, soon};
use peerwork_ticket::{Issuer, RedeemError, Redeemer, Refusal, Terms, Token, UsedTokens, redeem};

pub const NETWORK_ID: i64 = 7;

pub struct Relay {
    pub network: Network,
    pub keypair: Keypair,
    pub file: Arc<Mutex<NetworkFile>>,
    served: Served,
}

/// A key, the network file and the folder of used tokens, which outlive a relay.
pub struct Home {
    pub keypair: Keypair,
    pub file: NetworkFile,
    pub folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let entry = NodeAddress {
            node: key().node_id(),
            transport: "/ip4/192.0.2.1/tcp/4001".parse().unwrap(),
        };
        Self {
            keypair: key(),
            file: NetworkFile {
                name: "MyNetwork".to_owned(),
                network_id: NETWORK_ID,
                bootnodes: vec![entry.clone()],
                relaynodes: vec![entry],
                secrets: vec![NetworkSecret::generate()],
            },
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("used-tokens.json")
    }

    /// The settings of the relay's network.
    pub fn config(&self) -> Config {
        let mut config = node::relay_config();
        config.keypair = self.keypair.clone();
        config.membership = Membership {
            secrets: self.file.secrets.clone(),
            entries: true,
            guest: false,
        };
        config
    }

    pub async fn start(&self) -> Relay {
        let used = UsedTokens::open(&self.path()).unwrap();
        Relay::serve(self, node::start(self.config()).await, Some(used))
    }
}

impl Relay {
    pub fn serve(home: &Home, network: Network, used: Option<UsedTokens>) -> Self {
        let file = Arc::new(Mutex::new(home.file.clone()));
        let shared = Arc::clone(&file);
        let redeemer = Redeemer::new(&home.keypair, used, move || shared.lock().clone());
        let served = peerwork_ticket::serve(&network, redeemer).unwrap();
        let keypair = home.keypair.clone();
        Self {
            network,
            keypair,
            file,
            served,
        }
    }

    pub fn token(&self, terms: Terms) -> Token {
        self.token_at(terms, SystemTime::now())
    }

    /// A token that is made at another time.
    pub fn token_at(&self, terms: Terms, now: SystemTime) -> Token {
        let issuer = Issuer::of_relay(&self.keypair, NETWORK_ID);
        issuer.issue(terms, now).unwrap()
    }

    pub async fn stop(self) {
        self.served.stop(soon()).await.unwrap();
        self.network.stop().await;
    }
}

/// A joiner that knows no secret and is connected to the relay.
pub async fn guest(relay: &Relay) -> Network {
    guest_with(key(), relay).await
}

pub async fn guest_with(keypair: Keypair, relay: &Relay) -> Network {
    let mut config = node::config_of(keypair);
    config.allow_private = true;
    config.membership.guest = true;
    let guest = node::start(config).await;
    connect(&guest, &relay.network).await;
    guest
}

/// The refusal of a token.
pub async fn refused(guest: &Network, token: &Token) -> Refusal {
    match redeem(guest, token, soon()).await {
        Err(RedeemError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}
