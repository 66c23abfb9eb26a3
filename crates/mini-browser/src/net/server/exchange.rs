//! One request and its answer, on the server's side.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use service_worker::{Body, BodyError};

use super::log::{Log, LogSlot};
use crate::net::incoming;
use crate::net::outgoing::Outgoing;

/// A request that a server was sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerRequest {
    /// The method.
    pub method: Method,
    /// `http` or `https`, as the server listens.
    pub scheme: &'static str,
    /// The host that was asked, with its port if it was named. Empty if none was named.
    pub host: String,
    /// The request target: over HTTP/2, the whole URL.
    pub target: Uri,
    /// The header list.
    pub headers: HeaderMap,
    /// The body; the client is held back until it is read.
    pub body: Body,
}

impl ServerRequest {
    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The URL that was asked for; `None` if host and path do not make one.
    #[must_use]
    pub fn url(&self) -> Option<url::Url> {
        let path_and_query = path_and_query(&self.target);
        url::Url::parse(&format!("{}://{}{path_and_query}", self.scheme, self.host)).ok()
    }

    /// A header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a handler answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerResponse {
    /// The status.
    pub status: StatusCode,
    /// The header list. `Content-Length` is added where the body is there at once; one that is
    /// given and not kept cuts the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Whether a text that is there at once is sent with `Content-Encoding: gzip` to clients that
    /// accept it. On at first.
    pub gzip: bool,
}

impl ServerResponse {
    /// 200 with a body.
    #[must_use]
    pub fn ok(content_type: &'static str, body: impl Into<Body>) -> Self {
        Self::new(StatusCode::OK, body).with(CONTENT_TYPE, content_type)
    }

    /// A status with no body.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self::new(status, Body::empty())
    }

    /// 302 to another URL, absolute or not. A location that no header can hold gives 500.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        match HeaderValue::from_str(location) {
            Ok(location) => {
                let mut response = Self::status(StatusCode::FOUND);
                response.headers.insert(LOCATION, location);
                response
            }
            Err(_) => Self::status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// A status with a body, without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
            gzip: true,
        }
    }

    /// With one more header.
    ///
    /// # Panics
    /// If the value has characters that no header may have: it is written in source.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    /// As it is, with no content coding.
    #[must_use]
    pub const fn without_gzip(mut self) -> Self {
        self.gzip = false;
        self
    }
}

/// The handler of a server, whatever its type was.
pub(super) type Handler = Arc<
    dyn Fn(ServerRequest) -> Pin<Box<dyn Future<Output = ServerResponse> + Send>> + Send + Sync,
>;

/// What one request needs.
pub(super) struct Exchange {
    pub(super) scheme: &'static str,
    pub(super) handler: Handler,
    pub(super) log: Log,
}

impl Exchange {
    pub(super) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Counted>, Infallible> {
        let (head, body) = request.into_parts();
        let host = match head.uri.authority() {
            Some(authority) => authority.to_string(),
            None => head.headers.get(HOST).map_or_else(String::new, |host| {
                String::from_utf8_lossy(host.as_bytes()).into_owned()
            }),
        };
        let slot = self.log.begin(
            head.version,
            &head.method,
            (&host, path_and_query(&head.uri)),
            &head.headers,
        );
        let accepts_gzip = accepts_gzip(&head.headers);
        let response = (self.handler)(ServerRequest {
            method: head.method,
            scheme: self.scheme,
            host,
            target: head.uri,
            headers: head.headers,
            body: incoming::body(body),
        })
        .await;
        slot.answered(response.status);
        Ok(encode(response, accepts_gzip, slot))
    }
}

fn path_and_query(target: &Uri) -> &str {
    target
        .path_and_query()
        .map_or("/", |target| target.as_str())
}

fn encode(response: ServerResponse, accepts_gzip: bool, slot: LogSlot) -> Response<Counted> {
    let mut headers = response.headers;
    let mut body = Outgoing::new(response.body);
    let mut uncoded = None;
    let may_code = response.gzip
        && is_text(&headers)
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_LENGTH)
        && response.status != StatusCode::PARTIAL_CONTENT;
    if let (true, Some(bytes)) = (may_code, body.full().filter(|bytes| !bytes.is_empty())) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        let coded = accepts_gzip.then(|| gzip(&bytes)).flatten();
        if let Some(coded) = coded.filter(|_| !says_no_transform(&headers)) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            uncoded = Some(bytes.len() as u64);
            body = Outgoing::new(Body::from(coded));
        }
    }
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut coded = Response::new(Counted::new(body, uncoded, declared, slot));
    *coded.status_mut() = response.status;
    *coded.headers_mut() = headers;
    coded
}

/// Whether it is worth coding: text, and what is made of text.
fn is_text(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence.as_str(),
            "application/javascript" | "application/json" | "application/xml"
        )
}

fn says_no_transform(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// `Accept-Encoding` (RFC 9110, 12.5.3): gzip, or anything, with a weight that is not zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for part in value.to_str().unwrap_or_default().split(',') {
            let mut parts = part.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            let accepted = weight.is_none_or(|weight| weight > 0.0);
            match coding.as_str() {
                "gzip" | "x-gzip" => return accepted,
                "*" => any = accepted,
                _ => {}
            }
        }
    }
    any
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written
        .inspect_err(|error| tracing::error!(%error, "gzip into memory failed"))
        .ok()
}

/// A body that is written into the log as it is sent.
pub(super) struct Counted {
    body: Outgoing,
    /// How long the body was before content coding; `None` if it is as it was.
    uncoded: Option<u64>,
    /// What is left of the length that the handler declared.
    declared: Option<u64>,
    slot: LogSlot,
}

impl Counted {
    fn new(body: Outgoing, uncoded: Option<u64>, declared: Option<u64>, slot: LogSlot) -> Self {
        if body.is_end_stream() {
            slot.completed();
        }
        Self {
            body,
            uncoded,
            declared,
            slot,
        }
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        let sent = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return Poll::Ready(frame),
            None => 0,
        };
        this.slot.sent(this.uncoded.take().unwrap_or(sent), sent);
        this.declared = this.declared.map(|left| left.saturating_sub(sent));
        if frame.is_none() || this.body.is_end_stream() || this.declared == Some(0) {
            this.slot.completed();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        accepts_gzip(&headers)
    }

    #[test]
    fn gzip_is_accepted_by_name_or_by_star_unless_its_weight_is_zero() {
        assert!(accepts("br, GZIP;q=0.5"));
        assert!(accepts("*"));
        assert!(!accepts("br"));
        assert!(!accepts("gzip;q=0"));
        assert!(!accepts("*, gzip; q=0.0"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn fonts_and_pictures_are_no_text() {
        let text = |content_type: &'static str| {
            is_text(&ServerResponse::ok(content_type, Body::empty()).headers)
        };
        assert!(text("text/css; charset=utf-8"));
        assert!(text("application/JSON"));
        assert!(text("image/svg+xml"));
        assert!(!text("font/woff2"));
    }
}
