//! *Scheme fetch*: what is neither http nor https, and so has its answer here.

use std::ops::Range;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use service_worker::Body;
use service_worker::fetch_router::{BlockedReason, filter_network};
use service_worker::types::fetch::{RequestHead, RequestMode, ResponseHead, ResponseType};
use service_worker::types::{Environment, Origin};
use url::Url;

use super::{FetchErrorReason, FetchedResponse, Source, data_url};

/// Where `blob:` URLs lead. (*File API*, "blob URL store".)
pub trait BlobStore: Send + Sync {
    /// *Obtain a blob object*: what a `blob:` URL means to an environment; `None` if it is not
    /// known, was revoked, or belongs to another partition. The URL's fragment does not count.
    fn blob(&self, url: &Url, environment: &Environment) -> Option<Arc<dyn BlobObject>>;
}

/// A blob, as it is fetched.
pub trait BlobObject: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;
    /// Its type; empty if it has none.
    fn media_type(&self) -> &str;
    /// The origin of the environment that made the URL: only for it the blob is same-origin.
    fn origin(&self) -> &Origin;
    /// Its bytes, or some of them; the range lies within its length.
    fn read(&self, range: Range<u64>) -> Body;
}

/// *Scheme fetch*, for `about:`, `blob:` and `data:`.
pub(super) fn scheme_fetch(
    head: &RequestHead,
    blobs: Option<&dyn BlobStore>,
    client: &Environment,
) -> Result<FetchedResponse, FetchErrorReason> {
    let url = head.url();
    match url.scheme() {
        "data" => {
            let (media_type, body) = data_url::process(url).ok_or(FetchErrorReason::DataUrl)?;
            respond(head, &media_type, Body::from(body))
        }
        "about" if url.path() == "blank" => {
            respond(head, "text/html;charset=utf-8", Body::from(Vec::new()))
        }
        "blob" => {
            let blob = blobs.and_then(|blobs| blobs.blob(url, client));
            blob_fetch(head, &*blob.ok_or(FetchErrorReason::NoBlob)?)
        }
        scheme => Err(FetchErrorReason::Scheme(scheme.to_owned())),
    }
}

fn respond(
    head: &RequestHead,
    media_type: &str,
    body: Body,
) -> Result<FetchedResponse, FetchErrorReason> {
    let mut response = ResponseHead::new(StatusCode::OK, HeaderMap::new());
    "OK".clone_into(&mut response.status_text);
    insert(&mut response.headers, CONTENT_TYPE, media_type);
    Ok(FetchedResponse {
        head: filter_network(head, response)?,
        body: Some(body),
        source: Source::Url,
        timing: None,
    })
}

/// The steps for `blob`.
fn blob_fetch(
    head: &RequestHead,
    blob: &dyn BlobObject,
) -> Result<FetchedResponse, FetchErrorReason> {
    // Step 2.
    if head.method != Method::GET {
        return Err(FetchErrorReason::BlobMethod(head.method.clone()));
    }
    let full_length = blob.length();
    let mut response = ResponseHead::new(StatusCode::OK, HeaderMap::new());
    let range = match head.headers.get(RANGE) {
        None => {
            "OK".clone_into(&mut response.status_text);
            0..full_length
        }
        Some(value) => {
            response.range_requested = true;
            let range = byte_range(value.as_bytes(), full_length);
            let range = range.ok_or(FetchErrorReason::BlobRange)?;
            response.status = StatusCode::PARTIAL_CONTENT;
            "Partial Content".clone_into(&mut response.status_text);
            let (first, last) = (range.start, range.end.saturating_sub(1));
            let content_range = format!("bytes {first}-{last}/{full_length}");
            insert(&mut response.headers, CONTENT_RANGE, &content_range);
            range
        }
    };
    let length = (range.end - range.start).to_string();
    insert(&mut response.headers, CONTENT_LENGTH, &length);
    insert(&mut response.headers, CONTENT_TYPE, blob.media_type());
    let body = if range.is_empty() {
        Body::from(Vec::new())
    } else {
        blob.read(range)
    };
    Ok(FetchedResponse {
        head: filtered(head, blob.origin(), response)?,
        body: Some(body),
        source: Source::Url,
        timing: None,
    })
}

/// Main fetch filters by the URL's origin, which for a `blob:` URL is its entry's: that may be
/// opaque, and the URL cannot say which one. Nobody else's blob can be read or embedded.
fn filtered(
    head: &RequestHead,
    origin: &Origin,
    mut response: ResponseHead,
) -> Result<ResponseHead, FetchErrorReason> {
    if head.mode != RequestMode::Navigate && *origin != head.origin {
        return Err(BlockedReason::NotHttp.into());
    }
    response.url_list.clone_from(&head.url_list);
    response.response_type = ResponseType::Basic;
    response.timing_allow_passed = true;
    Ok(response)
}

/// *Parse a single range header value*, with whitespace, and what it means for so many bytes.
fn byte_range(value: &[u8], full_length: u64) -> Option<Range<u64>> {
    let text = std::str::from_utf8(value).ok()?;
    let blank: &[char] = &[' ', '\t'];
    let text = text.strip_prefix("bytes")?.trim_start_matches(blank);
    let text = text.strip_prefix('=')?.trim_start_matches(blank);
    let (start, end) = text.split_once('-')?;
    let number = |digits: &str| -> Option<Option<u64>> {
        let digits = digits.trim_matches(blank);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some((!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX)))
    };
    match (number(start)?, number(end)?) {
        (None, None) => None,
        // The last so many bytes.
        (None, Some(last)) => Some(full_length.saturating_sub(last)..full_length),
        (Some(start), end) => {
            let is_valid = start < full_length && end.is_none_or(|end| start <= end);
            let end = end.map_or(full_length, |end| end.saturating_add(1).min(full_length));
            is_valid.then_some(start..end)
        }
    }
}

/// What no header can hold is left out: a type that a script chose was checked when the blob was
/// made.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(error) => tracing::debug!(%name, value, %error, "a header that cannot be made"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_of_bytes_and_within_the_blob() {
        for (value, expected) in [
            ("bytes=0-4", Some(0..5)),
            ("bytes=5-", Some(5..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=9-99", Some(9..10)),
            ("bytes =\t1 - 2 ", Some(1..3)),
            ("bytes=10-", None),
            ("bytes=4-3", None),
            ("bytes=-", None),
            ("bytes=1-2,4-5", None),
            ("bytes=+1-2", None),
            ("items=1-2", None),
            ("bytes", None),
            ("", None),
        ] {
            assert_eq!(byte_range(value.as_bytes(), 10), expected, "{value}");
        }
    }
}
