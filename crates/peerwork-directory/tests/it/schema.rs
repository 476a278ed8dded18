//! The directory's messages agree with `proto/peer/directory.proto`.

use peerwork_directory::protocol::{
    Accepted, Advertisement, Chunk, Goodbye, Heartbeat, Offer, Refused, RefusedReason, RelayHeld,
    Request, Response, Service, SnapshotRequest, request, response,
};
use peerwork_schema::Schema;

fn text() -> String {
    "text".to_owned()
}

fn advertisement() -> Advertisement {
    Advertisement {
        node: vec![1],
        network: text(),
        sequence: 3,
        issued_at_ms: 4,
        expires_in_ms: 5,
        name: text(),
        version: text(),
        roles: vec![text()],
        relays: vec![relay()],
        addresses: vec![vec![10]],
        services: vec![Service { port: 1 }],
        requires_key: true,
        started_at_ms: 13,
        uptime_ms: 14,
        app_origin: text(),
        model_hash: text(),
        mac: text(),
        mem_info: text(),
        cpu_info: text(),
        gpu_info: text(),
        average_power: 0.5,
        relay_proxy_port: 22,
        offers: vec![offer()],
    }
}

fn relay() -> RelayHeld {
    RelayHeld {
        node: vec![1],
        address: text(),
    }
}

fn offer() -> Offer {
    Offer {
        kind: text(),
        version: 2,
        body: vec![3],
    }
}

#[test]
fn announcements_agree_with_their_schema() {
    let schema = Schema::load("directory.proto");
    schema.check("Advertisement", &advertisement());
    schema.check("RelayHeld", &relay());
    schema.check("Service", &Service { port: 1 });
    schema.check("Offer", &offer());
    let heartbeat = Heartbeat {
        node: vec![1],
        network: text(),
        sequence: 3,
        beat: 4,
        issued_at_ms: 5,
        uptime_ms: 6,
        mem_info: Some(text()),
    };
    schema.check("Heartbeat", &heartbeat);
    let goodbye = Goodbye {
        node: vec![1],
        network: text(),
        sequence: 3,
        issued_at_ms: 4,
    };
    schema.check("Goodbye", &goodbye);
}

#[test]
fn requests_and_responses_agree_with_their_schema() {
    let schema = Schema::load("directory.proto");
    let snapshot = SnapshotRequest {
        network: text(),
        relays_only: true,
        offering: text(),
    };
    for kind in [
        request::Kind::Push(vec![1]),
        request::Kind::Snapshot(snapshot.clone()),
        request::Kind::Lookup(vec![3]),
    ] {
        schema.check("Request", &Request::from(kind));
    }
    let refused = Refused {
        reason: RefusedReason::Stale.into(),
        newest: vec![2],
    };
    let chunk = Chunk {
        envelopes: vec![vec![1]],
        last: true,
    };
    for kind in [
        response::Kind::Accepted(Accepted {}),
        response::Kind::Refused(refused.clone()),
        response::Kind::Chunk(chunk.clone()),
    ] {
        schema.check("Response", &Response::from(kind));
    }
    schema.check("SnapshotRequest", &snapshot);
    schema.check("Accepted", &Accepted {});
    schema.check("Refused", &refused);
    schema.check("Chunk", &chunk);
    schema.check_enum::<RefusedReason>("RefusedReason");
}
