//! Node ids and addresses: an accepted text reads back as itself.
#![cfg_attr(fuzzing, no_main)]

use peerwork_identity::{NodeAddress, NodeId};

peerwork_fuzz::target!(|data: &[u8]| {
    if let Ok(node) = NodeId::from_bytes(data) {
        assert_eq!(NodeId::from_bytes(&node.to_bytes()), Ok(node));
        assert_eq!(node.to_string().parse(), Ok(node));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(node) = text.parse::<NodeId>() {
        assert_eq!(node.to_string().parse(), Ok(node));
    }
    if let Ok(address) = text.parse::<NodeAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address.clone()));
        assert_eq!(
            NodeAddress::from_multiaddr(&address.to_multiaddr()),
            Ok(address)
        );
    }
});
