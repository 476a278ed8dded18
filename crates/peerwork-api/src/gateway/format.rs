//! `Wanted` is the form of the answer that a client asks for, by `?format=` or by `Accept`.

use axum::http::{HeaderMap, StatusCode, header};

use super::{car::Duplicates, problem::Problem, query::Query};

/// The media types of `Accept` that are looked at; further ones are ignored.
const ACCEPTED_MAX: usize = 32;

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Files as their bytes, directories as pages.
    Content,
    Raw,
    Car,
    /// The block as it is, when its codec is the one named.
    Codec(Codec),
    Tar,
    IpnsRecord,
}

/// The codecs whose blocks are served as they are, under their own media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) code: u64,
    pub(super) name: &'static str,
    pub(super) media_type: &'static str,
}

const CODECS: [Codec; 4] = [
    Codec {
        code: 0x0200,
        name: "json",
        media_type: "application/json",
    },
    Codec {
        code: 0x51,
        name: "cbor",
        media_type: "application/cbor",
    },
    Codec {
        code: 0x0129,
        name: "dag-json",
        media_type: "application/vnd.ipld.dag-json",
    },
    Codec {
        code: 0x71,
        name: "dag-cbor",
        media_type: "application/vnd.ipld.dag-cbor",
    },
];

impl Codec {
    pub(super) fn of(code: u64) -> Option<Self> {
        CODECS.into_iter().find(|codec| codec.code == code)
    }
}

impl Format {
    /// The value of `?format=`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Content => "",
            Self::Raw => "raw",
            Self::Car => "car",
            Self::Codec(codec) => codec.name,
            Self::Tar => "tar",
            Self::IpnsRecord => "ipns-record",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Content => "*/*",
            Self::Raw => "application/vnd.ipld.raw",
            Self::Car => "application/vnd.ipld.car",
            Self::Codec(codec) => codec.media_type,
            Self::Tar => "application/x-tar",
            Self::IpnsRecord => "application/vnd.ipfs.ipns-record",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let plain = [Self::Raw, Self::Car, Self::Tar, Self::IpnsRecord];
        plain.into_iter().chain(CODECS.map(Self::Codec))
    }
}

/// The form of the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) duplicates: Duplicates,
    /// Whether the header decided, so that the answer has a URL of its own.
    pub(super) by_header: bool,
}

/// An entry of `Accept`.
struct Accepted<'a> {
    format: Format,
    /// The weight in thousandths.
    weight: u32,
    parameters: CarParameters<'a>,
}

/// The parameters of a CAR, as a client wrote them.
#[derive(Debug, Clone, Copy, Default)]
struct CarParameters<'a> {
    version: Option<&'a str>,
    order: Option<&'a str>,
    duplicates: Option<&'a str>,
}

impl CarParameters<'_> {
    fn check(self) -> Result<Duplicates, Problem> {
        let refused = |detail: &str| Problem::new(StatusCode::NOT_ACCEPTABLE, detail);
        if !matches!(self.version, None | Some("1")) {
            return Err(refused("CARs of version 1 alone are served"));
        }
        if !matches!(self.order, None | Some("dfs" | "unk")) {
            return Err(refused("CARs are served in the order `dfs` alone"));
        }
        match self.duplicates {
            None | Some("n") => Ok(Duplicates::Skipped),
            Some("y") => Ok(Duplicates::Sent),
            Some(_) => Err(refused("the parameter `dups` of a CAR is `y` or `n`")),
        }
    }
}

impl Wanted {
    /// Finds the form that a request asks for: the query comes before the header.
    pub(super) fn of(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let text = headers.get_all(header::ACCEPT).iter();
        let text: Vec<&str> = text.filter_map(|value| value.to_str().ok()).collect();
        let accepted = text.iter().flat_map(|text| text.split(','));
        let accepted: Vec<Accepted<'_>> = accepted.take(ACCEPTED_MAX).map(accepted_of).collect();
        let named = query.format.as_deref().map(named).transpose()?;
        let best = best(&accepted);
        let format = named.or(best).unwrap_or(Format::Content);
        let by_header = named.is_none() && best.is_some();
        Ok(Self {
            format,
            duplicates: match format {
                Format::Car => duplicates(query, &accepted)?,
                _ => Duplicates::Skipped,
            },
            by_header,
        })
    }
}

fn named(name: &str) -> Result<Format, Problem> {
    let found = Format::all().find(|format| format.name() == name);
    found.ok_or_else(|| {
        Problem::bad("the parameter `format` is `raw` or `car`, or is left out for the content")
    })
}

/// The special form with the highest weight, when no other entry weighs more.
fn best(accepted: &[Accepted<'_>]) -> Option<Format> {
    let special = |entry: &&Accepted<'_>| entry.format != Format::Content;
    let other = accepted.iter().filter(|entry| !special(entry));
    let other = other.map(|entry| entry.weight).max().unwrap_or(0);
    let mut best: Option<&Accepted<'_>> = None;
    for entry in accepted.iter().filter(special) {
        if entry.weight > 0 && best.is_none_or(|best| entry.weight > best.weight) {
            best = Some(entry);
        }
    }
    let best = best.filter(|best| best.weight >= other)?;
    // Programs that read JSON ask for it everywhere; a file is served to them as the file that it is.
    let general = matches!(
        best.format,
        Format::Codec(Codec {
            code: 0x0200 | 0x51,
            ..
        })
    );
    (!general || accepted.len() == 1).then_some(best.format)
}

/// The first form of a CAR that is served, in the order of the client's weights.
fn duplicates(query: &Query, accepted: &[Accepted<'_>]) -> Result<Duplicates, Problem> {
    let mut cars: Vec<&Accepted<'_>> = accepted
        .iter()
        .filter(|entry| entry.format == Format::Car)
        .collect();
    cars.sort_by_key(|entry| std::cmp::Reverse(entry.weight));
    let of_query = |parameters: CarParameters<'_>| {
        CarParameters {
            version: query.car_version.as_deref().or(parameters.version),
            order: query.car_order.as_deref().or(parameters.order),
            duplicates: query.car_duplicates.as_deref().or(parameters.duplicates),
        }
        .check()
    };
    let mut first = None;
    for car in cars {
        match of_query(car.parameters) {
            Ok(duplicates) => return Ok(duplicates),
            Err(problem) => first = first.or(Some(problem)),
        }
    }
    first.map_or_else(|| of_query(CarParameters::default()), Err)
}

fn accepted_of(entry: &str) -> Accepted<'_> {
    let mut parts = entry.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let found = Format::all().find(|format| format.media_type().eq_ignore_ascii_case(media_type));
    let mut accepted = Accepted {
        format: found.unwrap_or(Format::Content),
        weight: 1000,
        parameters: CarParameters::default(),
    };
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let value = Some(value.trim().trim_matches('"'));
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => accepted.weight = value.map_or(0, weight),
            "version" => accepted.parameters.version = value,
            "order" => accepted.parameters.order = value,
            "dups" => accepted.parameters.duplicates = value,
            _ => {}
        }
    }
    accepted
}

/// A weight between 0 and 1 in thousandths; a malformed one is 0 (RFC 9110 section 12.4.2).
fn weight(text: &str) -> u32 {
    let weight: f64 = text.parse().unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
    thousandths
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    fn wanted(query: &str, accept: &str) -> Result<Wanted, u16> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let query = Query::parse(query).unwrap();
        Wanted::of(&query, &headers).map_err(|problem| problem.status.as_u16())
    }

    fn format(query: &str, accept: &str) -> &'static str {
        wanted(query, accept).unwrap().format.name()
    }

    #[test]
    fn the_query_comes_before_the_header() {
        assert_eq!(format("", ""), "");
        assert_eq!(format("format=raw", ""), "raw");
        assert_eq!(format("format=raw", "application/vnd.ipld.car"), "raw");
        assert_eq!(format("", "application/vnd.ipld.raw"), "raw");
        assert_eq!(format("", "Application/vnd.ipld.CAR; version=1"), "car");
        assert!(wanted("", "application/vnd.ipld.raw").unwrap().by_header);
        assert!(
            !wanted("format=raw", "application/vnd.ipld.raw")
                .unwrap()
                .by_header
        );
        assert_eq!(wanted("format=zip", ""), Err(400));
    }

    #[test]
    fn the_form_with_the_highest_weight_wins() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(format("", browser), "");
        assert_eq!(
            format(
                "",
                "application/vnd.ipld.raw, application/vnd.ipld.car, */*"
            ),
            "raw"
        );
        assert_eq!(
            format(
                "",
                "application/vnd.ipld.raw;q=0.5, application/vnd.ipld.car"
            ),
            "car"
        );
        assert_eq!(format("", "text/html, application/vnd.ipld.car;q=0.2"), "");
        assert_eq!(format("", "application/vnd.ipld.car;q=0"), "");
        assert_eq!(format("", "application/json, text/plain, */*"), "");
        assert_eq!(format("", "application/json"), "json");
        assert_eq!(format("", "application/vnd.ipld.dag-json"), "dag-json");
    }

    #[test]
    fn forms_of_cars_that_are_not_served_are_refused() {
        let car = |parameters: &str| {
            let accept = format!("application/vnd.ipld.car; {parameters}");
            wanted("", &accept).map(|wanted| wanted.duplicates)
        };
        assert_eq!(car("version=1; order=dfs; dups=y"), Ok(Duplicates::Sent));
        assert_eq!(
            car("version=\"1\";order=unk;dups=n"),
            Ok(Duplicates::Skipped)
        );
        for refused in ["version=2", "order=bfs", "dups=maybe"] {
            assert_eq!(car(refused), Err(406), "{refused}");
        }
        let list =
            "application/vnd.ipld.car;order=foo, application/vnd.ipld.car;order=dfs;dups=y;q=0.5";
        assert_eq!(wanted("", list).unwrap().duplicates, Duplicates::Sent);
        let query = wanted("format=car&car-dups=y&car-order=dfs&car-version=1", "").unwrap();
        assert_eq!(query.duplicates, Duplicates::Sent);
        assert_eq!(wanted("format=car&car-order=foo", ""), Err(406));
    }
}
