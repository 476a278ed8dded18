//! The page of a directory: names, sizes and CIDs, in pages of a bounded number of entries.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use futures::StreamExt as _;

use super::{
    call::Call,
    etag,
    finish::{Finish, Kind},
    headers,
    path::escape,
    problem::Problem,
    service::DirEntry,
};

/// The entries of one page.
pub(super) const ENTRIES_MAX: usize = 1000;

const STYLE: &str = include_str!("listing.css");

/// The entries of a page, and whether more follow.
struct Page {
    entries: Vec<DirEntry>,
    more: bool,
}

/// Answers with the page of a directory.
pub(super) async fn send(call: &Call<'_>, finish: &mut Finish) -> Result<Response<Body>, Problem> {
    finish.kind = Kind::Listing;
    let directory = call.terminus();
    let etag = etag::of_listing(&directory, call.query.page);
    let mut response = call.response(&etag, headers::LISTING);
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    headers.insert(header::CONTENT_SECURITY_POLICY, headers::LISTING_POLICY);
    if etag::is_known(call.headers, &etag) {
        return Ok(call.unchanged(response));
    }
    if call.is_head() {
        return Ok(response);
    }
    let page = read(call).await?;
    let html = render(call, &page);
    finish.sent = html.len() as u64;
    *response.body_mut() = Body::from(html);
    Ok(response)
}

/// Reads the entries of the page. Entries of earlier pages are passed over one by one.
async fn read(call: &Call<'_>) -> Result<Page, Problem> {
    let skipped = (call.query.page as usize - 1) * ENTRIES_MAX;
    let mut stream = call.dag.list(call.terminus());
    let mut page = Page {
        entries: Vec::new(),
        more: false,
    };
    let mut passed = 0;
    while let Some(entry) = call
        .within(async { stream.next().await.transpose() })
        .await?
    {
        if passed < skipped {
            passed += 1;
            continue;
        }
        if page.entries.len() == ENTRIES_MAX {
            page.more = true;
            break;
        }
        page.entries.push(entry);
    }
    page.entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(page)
}

fn render(call: &Call<'_>, page: &Page) -> String {
    let path = &call.path;
    let title = html(
        &std::iter::once(&path.root_text)
            .chain(&path.names)
            .fold("/ipfs".to_owned(), |title, name| format!("{title}/{name}")),
    );
    let here = path.escaped(path.names.len());
    let (cid, number) = (call.terminus(), call.query.page);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Index of {title}</title><style>{STYLE}</style></head>\n\
         <body><header><h1>Index of {}</h1>",
        breadcrumbs(call)
    );
    if !path.names.is_empty() {
        let _ = write!(out, "<p>CID <code>{cid}</code></p>");
    }
    out.push_str("</header>\n<main>");
    pages(&mut out, &here, number, page);
    out.push_str(
        "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"cid\">CID</th>\
         <th scope=\"col\" class=\"size\">DAG size</th></tr></thead>\n<tbody>\n",
    );
    if !path.names.is_empty() {
        let _ = writeln!(
            out,
            "<tr><td colspan=\"3\"><a href=\"{here}/..\">..</a></td></tr>"
        );
    }
    for entry in &page.entries {
        row(&mut out, &here, entry);
    }
    if page.entries.is_empty() {
        let none = if number == 1 {
            "This directory is empty."
        } else {
            "This page has no entries."
        };
        let _ = writeln!(out, "<tr><td colspan=\"3\" class=\"none\">{none}</td></tr>");
    }
    out.push_str("</tbody></table>\n");
    pages(&mut out, &here, number, page);
    let _ = write!(
        out,
        "</main>\n<footer><p>Anyone may have written these files; this gateway shows them without \
         scripts.</p><p><a href=\"{here}/?format=car\">Download as CAR</a></p></footer></body></html>\n"
    );
    out
}

fn pages(out: &mut String, here: &str, number: u32, page: &Page) {
    if number == 1 && !page.more {
        return;
    }
    let _ = write!(
        out,
        "<nav aria-label=\"Pages\"><p>Page {number}: {} entries.",
        page.entries.len()
    );
    if number > 1 {
        let _ = write!(
            out,
            " <a rel=\"prev\" href=\"{here}/?page={}\">Previous page</a>",
            number - 1
        );
    }
    if page.more {
        let _ = write!(
            out,
            " <a rel=\"next\" href=\"{here}/?page={}\">Next page</a>",
            number + 1
        );
    }
    out.push_str("</p></nav>\n");
}

fn row(out: &mut String, here: &str, entry: &DirEntry) {
    let DirEntry { name, cid, size } = entry;
    let (escaped, shown) = (escape(name), html(name));
    let text = cid.to_string();
    let short = match text.len() {
        20.. => format!("{}…{}", &text[..6], &text[text.len() - 6..]),
        _ => text.clone(),
    };
    let (size, exact) = match size {
        Some(size) => (readable(*size), format!("{size} bytes")),
        None => ("—".to_owned(), "unknown".to_owned()),
    };
    let _ = writeln!(
        out,
        "<tr><td class=\"name\"><a href=\"{here}/{escaped}\"><bdi>{shown}</bdi></a></td>\
         <td class=\"cid\"><a class=\"ipfs-hash\" translate=\"no\" title=\"{text}\" href=\"/ipfs/{text}?filename={escaped}\">\
         {short}</a></td><td class=\"size\" title=\"{exact}\">{size}</td></tr>"
    );
}

/// The path with a link for each name. A name has its own direction of writing (`bdi`): names from right to left
/// would change places otherwise.
fn breadcrumbs(call: &Call<'_>) -> String {
    let path = &call.path;
    let root = html(&path.root_text);
    let mut out = format!("/ipfs/<a href=\"/ipfs/{root}\">{root}</a>");
    for (index, name) in path.names.iter().enumerate() {
        let _ = write!(
            out,
            "/<a href=\"{}\"><bdi>{}</bdi></a>",
            path.escaped(index + 1),
            html(name)
        );
    }
    out
}

/// Escapes a text of a stranger for HTML. Letters that turn the direction of the text around are shown as
/// their codes, so that `gpj.exe` is not shown as something else.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
            }
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out
}

fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss)]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit < UNITS.len() - 1 {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(
            html("<a href='x'>\"&"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
        assert_eq!(html("a\u{202e}gpj.exe\n"), "a\\u{202e}gpj.exe\\u{a}");
    }
}
