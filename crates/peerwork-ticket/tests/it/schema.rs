//! The messages of tickets agree with `proto/peer/ticket.proto`.

use peerwork_schema::Schema;
use peerwork_ticket::wire::{Kind, Network, Reason, Request, Response, Ticket, Token};

fn token() -> Token {
    Token {
        id: vec![1],
        relay: vec![2],
        expires: 3,
        once: true,
        mac: vec![5],
    }
}

#[test]
fn tickets_requests_and_responses_agree_with_their_schema() {
    let schema = Schema::load("ticket.proto");
    let ticket = Ticket {
        network_id: 1,
        name: "text".to_owned(),
        relays: vec![vec![3]],
        secrets: vec![vec![4]],
        token: Some(token()),
    };
    schema.check("Ticket", &ticket);
    schema.check("Token", &token());
    let request = Request {
        token: Some(token()),
    };
    schema.check("Request", &request);
    let network = Network {
        name: "text".to_owned(),
        network_id: 2,
        bootnodes: vec![vec![3]],
        relaynodes: vec![vec![4]],
        secrets: vec![vec![5]],
    };
    schema.check("Network", &network);
    for kind in [Kind::Network(network), Kind::Refused(Reason::Busy.into())] {
        schema.check("Response", &Response { kind: Some(kind) });
    }
    schema.check_enum::<Reason>("Reason");
}
