//! `Query` holds the parameters of a request.

use percent_encoding::percent_decode_str;

use super::{
    car::{EntityBytes, Scope},
    problem::Problem,
};

/// The longest file name that a client may give, in bytes.
const FILENAME_BYTES_MAX: usize = 255;
/// The most pages of a listing.
const PAGES_MAX: u32 = 1000;

/// The parameters of a request. Unknown ones are ignored; of one that is repeated, the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) format: Option<String>,
    pub(super) filename: Option<String>,
    pub(super) download: bool,
    pub(super) scope: Option<Scope>,
    pub(super) bytes: Option<EntityBytes>,
    pub(super) car_version: Option<String>,
    pub(super) car_order: Option<String>,
    pub(super) car_duplicates: Option<String>,
    /// The page of a directory listing, from 1.
    pub(super) page: u32,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self {
            page: 0,
            ..Self::default()
        };
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.take(name, &decode(value))?;
        }
        query.page = query.page.max(1);
        Ok(query)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let set = |slot: &mut Option<String>| {
            slot.get_or_insert_with(|| value.to_owned());
        };
        match name {
            "format" => set(&mut self.format),
            "car-version" => set(&mut self.car_version),
            "car-order" => set(&mut self.car_order),
            "car-dups" => set(&mut self.car_duplicates),
            "download" => self.download |= value == "true",
            "filename" if value.len() > FILENAME_BYTES_MAX => {
                let detail =
                    format!("the parameter `filename` has at most {FILENAME_BYTES_MAX} bytes");
                return Err(Problem::bad(detail));
            }
            "filename" if !value.is_empty() => set(&mut self.filename),
            "dag-scope" if self.scope.is_none() => {
                let scope = Scope::parse(value);
                let bad =
                    || Problem::bad("the parameter `dag-scope` is `block`, `entity` or `all`");
                self.scope = Some(scope.ok_or_else(bad)?);
            }
            "entity-bytes" if self.bytes.is_none() => {
                let bytes = EntityBytes::parse(value);
                let bad = || {
                    Problem::bad(
                        "the parameter `entity-bytes` is `from:to`, as in `0:1023` or `-1024:*`",
                    )
                };
                self.bytes = Some(bytes.ok_or_else(bad)?);
            }
            "page" if self.page == 0 => {
                let page = value
                    .parse()
                    .ok()
                    .filter(|page| (1..=PAGES_MAX).contains(page));
                let bad = || {
                    Problem::bad(format!(
                        "the parameter `page` is a number from 1 to {PAGES_MAX}"
                    ))
                };
                self.page = page.ok_or_else(bad)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn decode(value: &str) -> String {
    let spaced = value.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded_and_checked() {
        let query = Query::parse(
            "filename=a+b%20c&x&download=true&dag-scope=entity&entity-bytes=0:*&page=3&format=car&format=raw",
        );
        let query = query.unwrap();
        assert_eq!(query.filename.as_deref(), Some("a b c"));
        assert!(query.download);
        assert_eq!(query.scope, Some(Scope::Entity));
        assert_eq!(query.bytes, Some(EntityBytes { from: 0, to: None }));
        assert_eq!((query.page, query.format.as_deref()), (3, Some("car")));
        for wrong in [
            "dag-scope=x",
            "entity-bytes=1",
            "page=0",
            "page=1001",
            "page=x",
        ] {
            assert_eq!(Query::parse(wrong).unwrap_err().status, 400, "{wrong}");
        }
        assert_eq!(Query::parse("page=1000").unwrap().page, PAGES_MAX);
        assert_eq!(Query::parse("").unwrap().page, 1);
        let name = |n: usize| Query::parse(&format!("filename={}", "a".repeat(n)));
        assert!(name(FILENAME_BYTES_MAX).is_ok());
        assert!(name(FILENAME_BYTES_MAX + 1).is_err());
    }
}
