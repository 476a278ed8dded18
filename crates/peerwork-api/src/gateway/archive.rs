//! Answers with a CAR file: the blocks of a path and of the content at its end.

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};

use super::{
    body::Begun,
    call::Call,
    car::{CarRequest, Duplicates, Scope},
    etag,
    finish::{self, Finish, Kind},
    headers,
    problem::Problem,
    service::EntityKind,
};

/// Sends the blocks that the query names, depth first.
pub(super) async fn car(
    call: &Call<'_>,
    slot: &mut Option<Finish>,
) -> Result<Response<Body>, Problem> {
    finish::mark(slot, Kind::Car);
    let terminus = call.terminus();
    let mut request = CarRequest {
        root: call.path.root,
        names: call.path.names.clone(),
        scope: call.query.scope.unwrap_or(Scope::All),
        bytes: call.query.bytes,
        duplicates: call.wanted.duplicates,
    };
    if let Some(bytes) = request.bytes {
        request.scope = Scope::Entity;
        let entity = call.within(call.dag.entity(&terminus)).await?;
        match entity.kind {
            EntityKind::File if entity.size > 0 && bytes.within(entity.size).is_none() => {
                let detail = format!(
                    "`entity-bytes` is not within the {} bytes of this file",
                    entity.size
                );
                return Err(Problem::bad(detail));
            }
            EntityKind::File => {}
            _ => request.bytes = None,
        }
    } else {
        // A missing root is an error with a status of its own.
        call.within(call.dag.block(&terminus)).await?;
    }
    let etag = etag::of_car(&request);
    let mut response = call.response(&etag, headers::IMMUTABLE);
    if etag::is_known(call.headers, &etag) {
        return Ok(call.unchanged(response));
    }
    let duplicates = match request.duplicates {
        Duplicates::Sent => "y",
        Duplicates::Skipped => "n",
    };
    let media_type = format!("application/vnd.ipld.car; version=1; order=dfs; dups={duplicates}");
    let name = call.query.filename.clone();
    let name = name.unwrap_or_else(|| format!("{terminus}.car"));
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::try_from(media_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(
        header::CONTENT_DISPOSITION,
        headers::disposition("attachment", Some(&name)),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    if call.is_head() {
        return Ok(response);
    }
    let stream = call.dag.car(request);
    let begun = Begun::read(stream, 1, call.progress).await?;
    if let Some(finish) = slot.take() {
        *response.body_mut() = begun.body(None, finish);
    }
    Ok(response)
}
