//! Answers with one block: the bytes that a CID is the hash of.

use axum::{body::Body, http::Response};

use super::{
    call::Call,
    etag,
    file::{Content, File},
    finish::{self, Finish, Kind},
    format::{Codec, Format},
    headers,
    problem::Problem,
};

/// Sends the block at the end of the path as a download.
pub(super) async fn raw(
    call: &Call<'_>,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    finish::mark(slot, Kind::Raw);
    let cid = call.terminus();
    let block = call.within(call.dag.block(&cid)).await?;
    let name = call.query.filename.clone();
    let name = name.unwrap_or_else(|| format!("{cid}.bin"));
    let file = File {
        size: block.len() as u64,
        content: Content::Block(block),
        etag: etag::of_format(&cid, "raw"),
        media_type: Some("application/vnd.ipld.raw".to_owned()),
        disposition: Some(headers::disposition("attachment", Some(&name))),
    };
    file.send(call, slot).await
}

/// Sends the block at the end of the path under the media type of its codec.
pub(super) async fn under_its_type(
    call: &Call<'_>,
    codec: Codec,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    finish::mark(slot, Kind::Raw);
    let cid = call.terminus();
    let block = call.within(call.dag.block(&cid)).await?;
    let file = File {
        size: block.len() as u64,
        content: Content::Block(block),
        etag: match call.wanted.format {
            Format::Content => etag::of_file(&cid),
            format => etag::of_format(&cid, format.name()),
        },
        media_type: Some(codec.media_type.to_owned()),
        disposition: File::disposition(call),
    };
    file.send(call, slot).await
}
