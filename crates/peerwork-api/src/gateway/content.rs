//! Answers for people and programs that take content as it is: files, directories, and blocks of other codecs.

use axum::{body::Body, http::Response};

use super::{
    block,
    call::Call,
    etag,
    file::{Content, File},
    finish::{self, Finish, Kind},
    format::Codec,
    listing, media_type,
    problem::Problem,
    service::{Entity, EntityKind},
};

/// Sends a file as its bytes, a directory as its index.html or as a page.
pub(super) async fn content(
    call: &Call<'_>,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    let cid = call.terminus();
    let entity = call.within(call.dag.entity(&cid)).await?;
    let whole = call.path.escaped(call.path.names.len());
    match (&entity.kind, call.path.slash, slot.as_mut()) {
        (EntityKind::Directory, true, _) => directory(call, slot).await,
        (EntityKind::Directory, false, Some(finish)) => {
            Ok(call.redirect(format!("{whole}/"), finish))
        }
        (_, true, Some(finish)) => Ok(call.redirect(whole, finish)),
        (EntityKind::Block(code), ..) => {
            let unknown = || {
                let detail = format!(
                    "blocks of codec 0x{code:x} have no form of their own: ask for `?format=raw`"
                );
                Problem::refused(detail)
            };
            let codec = Codec::of(*code).ok_or_else(unknown)?;
            block::under_its_type(call, codec, slot).await
        }
        (EntityKind::Symlink(target), ..) => {
            finish::mark(slot, Kind::File);
            let file = File {
                size: target.len() as u64,
                content: Content::Block(target.clone()),
                etag: etag::of_file(&cid),
                media_type: Some("inode/symlink".to_owned()),
                disposition: File::disposition(call),
            };
            file.send(call, slot).await
        }
        (EntityKind::File, ..) => {
            let media_type = call.filename().and_then(media_type::by_name);
            send_file(call, &entity, media_type, slot).await
        }
        (EntityKind::Directory, false, None) => Err(Problem::refused("the request is over")),
    }
}

/// Sends the block at the end of the path to a client that asks for a codec by its name.
pub(super) async fn as_codec(
    call: &Call<'_>,
    codec: Codec,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    let entity = call.within(call.dag.entity(&call.terminus())).await?;
    if entity.kind == EntityKind::Block(codec.code) {
        return block::under_its_type(call, codec, slot).await;
    }
    // A file that is JSON already is served as such.
    let named = call.filename().and_then(media_type::by_name);
    if entity.kind == EntityKind::File && named.as_deref() == Some(codec.media_type) {
        return send_file(call, &entity, named, slot).await;
    }
    let name = codec.name;
    Err(Problem::refused(format!(
        "this content is not {name}, and the gateway converts nothing: ask for `?format=raw`"
    )))
}

async fn send_file(
    call: &Call<'_>,
    entity: &Entity,
    media_type: Option<String>,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    finish::mark(slot, Kind::File);
    let cid = call.terminus();
    let file = File {
        content: Content::File(cid),
        size: entity.size,
        etag: etag::of_file(&cid),
        media_type,
        disposition: File::disposition(call),
    };
    file.send(call, slot).await
}

async fn directory(call: &Call<'_>, slot: &mut Option<Finish>) -> Result<Response<Body>, Problem> {
    let cid = call.terminus();
    let index = call.dag.child(&cid, "index.html");
    if let Some(index) = call.within(index).await? {
        let entity = call.within(call.dag.entity(&index)).await?;
        if entity.kind == EntityKind::File {
            finish::mark(slot, Kind::File);
            let file = File {
                content: Content::File(index),
                size: entity.size,
                etag: etag::of_file(&cid),
                media_type: media_type::by_name("index.html"),
                disposition: None,
            };
            return file.send(call, slot).await;
        }
    }
    match slot {
        Some(finish) => listing::send(call, finish).await,
        None => Err(Problem::refused("the request is over")),
    }
}
