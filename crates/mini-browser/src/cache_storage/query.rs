//! Which entries answer a request. (*Service Workers*, "Query Cache".)

use http::header::VARY;
use http::{HeaderMap, Method, StatusCode};
use service_worker::types::fetch::{RequestHead, ResponseHead, ResponseType};
use url::{Position, Url};

use super::CacheError;

/// What a look-up overlooks. (*Service Workers*, "CacheQueryOptions".)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// The URLs' queries.
    pub ignore_search: bool,
    /// That the request is no `GET`.
    pub ignore_method: bool,
    /// The `Vary` header of the cached response.
    pub ignore_vary: bool,
}

/// *Request matches cached item.*
pub(super) fn request_matches(
    query: &RequestHead,
    cached: &RequestHead,
    response: &ResponseHead,
    options: QueryOptions,
) -> bool {
    // Step 1.
    if !options.ignore_method && query.method != Method::GET {
        return false;
    }
    // Steps 2 to 5: the URLs, without fragment.
    let end = if options.ignore_search {
        Position::AfterPath
    } else {
        Position::AfterQuery
    };
    if query.url()[..end] != cached.url()[..end] {
        return false;
    }
    // Steps 6 to 8.
    options.ignore_vary
        || vary(response).all(|name| {
            name != "*" && combined(&query.headers, name) == combined(&cached.headers, name)
        })
}

/// What all requests share that can match each other: the URL without query and fragment.
pub(super) fn base(url: &Url) -> &str {
    &url[..Position::AfterPath]
}

/// What `put()` refuses before it looks at a body. (*Service Workers*, "put(request, response)",
/// steps 4 to 7.)
pub(super) fn check_storable(
    request: &RequestHead,
    response: &ResponseHead,
) -> Result<(), CacheError> {
    if !matches!(request.url().scheme(), "http" | "https") {
        return Err(CacheError::Scheme(request.url().scheme().to_owned()));
    }
    if request.method != Method::GET {
        return Err(CacheError::Method(request.method.to_string()));
    }
    if !is_opaque(response) && response.status == StatusCode::PARTIAL_CONTENT {
        return Err(CacheError::PartialContent);
    }
    if vary(response).any(|name| name == "*") {
        return Err(CacheError::VaryStar);
    }
    Ok(())
}

/// Whether what a script sees of a response has status 0 and no headers: that is what the
/// algorithms here look at, not the response behind. (*Fetch*, "opaque filtered response".)
fn is_opaque(response: &ResponseHead) -> bool {
    matches!(
        response.response_type,
        ResponseType::Opaque | ResponseType::OpaqueRedirect
    )
}

/// The field values of `Vary`.
fn vary(response: &ResponseHead) -> impl Iterator<Item = &str> {
    let values = response.headers.get_all(VARY).iter();
    values
        .filter(|_| !is_opaque(response))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// The combined value of a header; `None` if it is not there.
fn combined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|it| it.as_bytes())
        .collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_worker::types::Origin;

    fn request(url: &str, headers: &[(&'static str, &str)]) -> RequestHead {
        let url = Url::parse(url).unwrap();
        let origin = Origin::of(&url);
        let mut request = RequestHead::get(url, origin);
        for (name, value) in headers {
            request.headers.append(*name, value.parse().unwrap());
        }
        request
    }

    fn varies(by: &[&str]) -> ResponseHead {
        let mut response = ResponseHead::new(StatusCode::OK, HeaderMap::new());
        for names in by {
            response.headers.append(VARY, names.parse().unwrap());
        }
        response
    }

    fn matches(query: &str, cached: &str, options: QueryOptions) -> bool {
        request_matches(
            &request(query, &[]),
            &request(cached, &[]),
            &varies(&[]),
            options,
        )
    }

    #[test]
    fn the_fragment_never_counts_and_the_query_unless_told() {
        let plain = QueryOptions::default();
        let ignore_search = QueryOptions {
            ignore_search: true,
            ..plain
        };
        assert!(matches("https://a.test/x#1", "https://a.test/x#2", plain));
        assert!(!matches("https://a.test/x?1", "https://a.test/x?2", plain));
        assert!(!matches("https://a.test/x?", "https://a.test/x", plain));
        assert!(matches(
            "https://a.test/x?1",
            "https://a.test/x",
            ignore_search
        ));
        assert!(!matches(
            "https://a.test/x",
            "https://a.test/y",
            ignore_search
        ));
    }

    #[test]
    fn another_method_matches_only_when_told() {
        let mut query = request("https://a.test/", &[]);
        query.method = Method::HEAD;
        let cached = request("https://a.test/", &[]);
        let mut options = QueryOptions::default();
        assert!(!request_matches(&query, &cached, &varies(&[]), options));
        options.ignore_method = true;
        assert!(request_matches(&query, &cached, &varies(&[]), options));
    }

    #[test]
    fn every_header_that_vary_names_must_be_the_same() {
        let cached = request(
            "https://a.test/",
            &[("accept", "a"), ("accept", "b"), ("x", "1")],
        );
        let by = |names: &[&str], headers: &[(&'static str, &str)], ignore_vary| {
            let options = QueryOptions {
                ignore_vary,
                ..QueryOptions::default()
            };
            let query = request("https://a.test/", headers);
            request_matches(&query, &cached, &varies(names), options)
        };
        let same = [("accept", "a, b"), ("x", "1"), ("y", "only here")];
        assert!(by(&["Accept, X"], &same, false));
        assert!(by(&["Accept", " X ,, not-there"], &same, false));
        assert!(!by(&["Accept, Y"], &same, false));
        assert!(!by(&["*"], &same, false));
        assert!(!by(&["X"], &[], false));
        assert!(by(&["X, *"], &[], true));
        assert!(by(&["no name:"], &same, false));
    }

    #[test]
    fn what_is_behind_an_opaque_response_is_not_looked_at() {
        let mut opaque = varies(&["x, *"]);
        opaque.status = StatusCode::PARTIAL_CONTENT;
        for (response_type, is_seen) in [
            (ResponseType::Opaque, false),
            (ResponseType::OpaqueRedirect, false),
            (ResponseType::Cors, true),
        ] {
            opaque.response_type = response_type;
            let (cached, query) = (
                request("https://a.test/", &[("x", "1")]),
                request("https://a.test/", &[]),
            );
            assert_eq!(check_storable(&query, &opaque).is_err(), is_seen);
            let matches = request_matches(&query, &cached, &opaque, QueryOptions::default());
            assert_eq!(matches, !is_seen);
        }
    }

    #[test]
    fn what_the_standard_refuses_is_a_type_error() {
        let get = request("https://a.test/", &[]);
        let ok = varies(&[]);
        assert_eq!(check_storable(&get, &ok), Ok(()));

        let mut post = get.clone();
        post.method = Method::POST;
        let mut partial = ok.clone();
        partial.status = StatusCode::PARTIAL_CONTENT;
        let data = request("data:,x", &[]);
        for (request, response) in [
            (&post, &ok),
            (&data, &ok),
            (&get, &partial),
            (&get, &varies(&["accept, *"])),
        ] {
            assert!(
                check_storable(request, response)
                    .unwrap_err()
                    .is_type_error()
            );
        }
    }
}
