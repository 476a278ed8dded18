//! Tickets and the messages of `/peerwork/join/1`: an accepted ticket is written and reads back as itself.
#![cfg_attr(fuzzing, no_main)]

use peerwork_identity::NetworkFile;
use peerwork_ticket::{Ticket, wire};
use prost::Message;

peerwork_fuzz::target!(|data: &[u8]| {
    let _ = String::from_utf8_lossy(data).parse::<Ticket>();
    if let Ok(message) = wire::Ticket::decode(data)
        && let Ok(ticket) = Ticket::try_from(&message)
        && let Ok(text) = ticket.to_text()
    {
        assert_eq!(text.parse(), Ok(ticket));
    }
    if let Ok(message) = wire::Network::decode(data)
        && let Ok(file) = NetworkFile::try_from(&message)
    {
        assert_eq!(NetworkFile::try_from(&wire::Network::from(&file)), Ok(file));
    }
    let _ = wire::Request::decode(data);
    let _ = wire::Response::decode(data);
});
