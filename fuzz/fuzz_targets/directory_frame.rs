//! Requests and responses of the directory's protocol, as another node sends them.
#![cfg_attr(fuzzing, no_main)]

use peerwork_directory::{
    announcement::Announcement,
    protocol::{Request, Response, request, response},
};
use prost::Message;

peerwork_fuzz::target!(|bytes: &[u8]| {
    if let Ok(Request {
        kind: Some(request::Kind::Push(envelope)),
    }) = Request::decode(bytes)
    {
        let _ = Announcement::open(&envelope, "fuzz");
    }
    if let Ok(Response {
        kind: Some(response::Kind::Chunk(chunk)),
    }) = Response::decode(bytes)
    {
        for envelope in chunk.envelopes {
            let _ = Announcement::open(&envelope, "fuzz");
        }
    }
});
