//! One request as it goes over the wire: what *HTTP-network-or-cache fetch* adds to the headers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_channel::oneshot;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, RANGE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use hyper::Request;
use hyper::body::{Frame, SizeHint};
use service_worker::types::Origin;
use service_worker::{Body, BodyError, NetworkErrorKind, NetworkRequest};
use url::{Position, Url};

use super::outgoing::Outgoing;

/// What is the connection's to say, or this network's, and never a caller's.
const OWN_HEADERS: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    COOKIE,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// One request, ready to be sent.
pub(super) struct Message {
    method: Method,
    /// Path and query.
    target: PathAndQuery,
    /// Host, and port if it is not the scheme's.
    authority: Authority,
    headers: HeaderMap,
    body: Outgoing,
    /// Whether the body's source is null: nobody knows how long it is, and it can be sent once.
    is_stream: bool,
}

impl Message {
    /// With the `Cookie` header that goes with it, if any.
    pub(super) fn new(
        request: NetworkRequest,
        cookies: Option<HeaderValue>,
    ) -> Result<Self, NetworkErrorKind> {
        let target = target(&request.url)?;
        let mut headers = request.headers;
        let length = stated_length(&headers).or(request.body.length());
        let body = Outgoing::with_length(request.body, length);
        for name in OWN_HEADERS {
            headers.remove(name);
        }
        if let Some(cookies) = cookies {
            headers.insert(COOKIE, cookies);
        }
        // HTTP-network-or-cache fetch: a null body has a length with POST and PUT only. All other
        // framing is hyper's.
        if body.is_empty() && matches!(request.method, Method::POST | Method::PUT) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        // HTTP-network-or-cache fetch: a range is asked for as it is stored.
        if !headers.contains_key(ACCEPT_ENCODING) {
            let coding = if headers.contains_key(RANGE) {
                "identity"
            } else if Origin::of(&request.url).is_potentially_trustworthy() {
                "gzip, deflate, br, zstd"
            } else {
                // Machines on the way have been known to damage codings that they do not know.
                "gzip, deflate"
            };
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
        }
        Ok(Self {
            method: request.method,
            target,
            authority: authority(&request.url)?,
            headers,
            body,
            is_stream: length.is_none(),
        })
    }

    /// Whether it may go over HTTP/2 only. (*Fetch*, "HTTP-network fetch": "If connection is an HTTP/1.x
    /// connection, request's body is non-null, and request's body's source is null".)
    pub(super) const fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Whether cookies or authorization go with it.
    pub(super) fn has_credentials(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION) || self.headers.contains_key(COOKIE)
    }

    /// A second copy, if all of the body is there.
    pub(super) fn copy(&self) -> Option<Self> {
        let body = self.body.full()?;
        Some(Self {
            method: self.method.clone(),
            target: self.target.clone(),
            authority: self.authority.clone(),
            headers: self.headers.clone(),
            body: Outgoing::new(Body::from(body)),
            is_stream: self.is_stream,
        })
    }

    /// A second copy, if there is no body and doing it twice is doing it once (RFC 9110, 9.2.2).
    pub(super) fn copy_if_repeatable(&self) -> Option<Self> {
        let is_repeatable = self.body.is_empty() && self.method.is_idempotent();
        self.copy().filter(|_| is_repeatable)
    }

    /// For hyper, as HTTP/1.1 has it; with what is done when all of it has been sent.
    pub(super) fn into_http1(self) -> (Request<RequestBody>, oneshot::Receiver<()>) {
        let (mut request, authority, when_sent) = self.into_request();
        // An authority is visible ASCII.
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        (request, when_sent)
    }

    /// The same as HTTP/2 has it: the host is part of the target. (RFC 9113, 8.3.1.)
    pub(super) fn into_http2(self) -> (Request<RequestBody>, oneshot::Receiver<()>) {
        let (mut request, authority, when_sent) = self.into_request();
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(authority);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        (request, when_sent)
    }

    fn into_request(self) -> (Request<RequestBody>, Authority, oneshot::Receiver<()>) {
        let (sent, when_sent) = oneshot::channel();
        let mut request = Request::new(RequestBody {
            sent: (!self.body.is_empty()).then_some(sent),
            outgoing: self.body,
            is_stream: self.is_stream,
        });
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from(self.target);
        *request.headers_mut() = self.headers;
        (request, self.authority, when_sent)
    }

    /// Back from hyper, which has sent nothing of it; whatever protocol it was for.
    pub(super) fn from_request(request: Request<RequestBody>) -> Option<Self> {
        let (mut head, body) = request.into_parts();
        let host = head.headers.remove(HOST);
        let uri = head.uri.into_parts();
        let authority = match (uri.authority, host) {
            (Some(authority), _) => authority,
            (None, host) => Authority::try_from(host?.as_bytes()).ok()?,
        };
        Some(Self {
            method: head.method,
            target: uri.path_and_query?,
            authority,
            headers: head.headers,
            body: body.outgoing,
            is_stream: body.is_stream,
        })
    }
}

/// The body of a request; tells when it has been sent, by dropping what waits for it.
pub(super) struct RequestBody {
    outgoing: Outgoing,
    is_stream: bool,
    sent: Option<oneshot::Sender<()>>,
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.outgoing).poll_frame(cx);
        if this.outgoing.is_end_stream() || matches!(frame, Poll::Ready(None)) {
            this.sent = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.outgoing.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.outgoing.size_hint()
    }
}

/// The length that *HTTP-network-or-cache fetch* states for a body that comes in chunks. (Of a body
/// that is there at once it is counted, whatever is stated.)
fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The request target in origin form: path and query.
fn target(url: &Url) -> Result<PathAndQuery, NetworkErrorKind> {
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let parsed = Uri::try_from(target)
        .map_err(|error| NetworkErrorKind::Http(format!("the URL cannot be sent: {error}")))?;
    let target = parsed.into_parts().path_and_query;
    target.ok_or_else(|| NetworkErrorKind::Http("the URL cannot be sent: it has no path".into()))
}

/// Host, and port if it is not the scheme's.
fn authority(url: &Url) -> Result<Authority, NetworkErrorKind> {
    Authority::try_from(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|error| NetworkErrorKind::Http(format!("the host cannot be sent: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_worker::types::fetch::CacheMode;

    fn message(method: Method, url: &str, headers: &[(&str, &str)], body: Body) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let request = NetworkRequest {
            method,
            url: Url::parse(url).unwrap(),
            headers: map,
            body,
            cache: CacheMode::Default,
            credentials: false,
            site_for_cookies: None,
            top_level_navigation: false,
            partition: None,
        };
        Message::new(request, None).unwrap()
    }

    #[test]
    fn framing_host_and_cookies_are_never_the_callers() {
        let asked = [
            ("Host", "evil.test"),
            ("Content-Length", "7"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Cookie", "a=b"),
            ("X-Kept", "1"),
        ];
        let message = message(Method::GET, "https://a.test:8443/", &asked, Body::empty());
        let mut names: Vec<_> = message.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "x-kept"]);
        let (request, _) = message.into_http1();
        assert_eq!(request.headers()[HOST], "a.test:8443");
        assert_eq!(request.uri(), "/");
    }

    #[test]
    fn http_2_has_the_host_in_the_target_and_what_was_not_sent_can_be_sent_otherwise() {
        let message = message(
            Method::POST,
            "https://user:word@a.test:8443/a?b#c",
            &[("X-Kept", "1"), ("Host", "evil.test")],
            Body::from("body"),
        );
        let (request, _) = message.into_http2();
        assert_eq!(request.uri(), "https://a.test:8443/a?b");
        assert!(!request.headers().contains_key(HOST));
        let (request, _) = Message::from_request(request).unwrap().into_http1();
        assert_eq!(request.uri(), "/a?b");
        assert_eq!(request.headers()[HOST], "a.test:8443");
        assert_eq!(request.headers()["x-kept"], "1");
        let again = Message::from_request(request).unwrap();
        assert_eq!(again.copy().unwrap().body.full().unwrap(), "body");
        let (request, _) = again.into_http2();
        assert_eq!(request.uri(), "https://a.test:8443/a?b");
    }

    #[test]
    fn an_empty_body_has_a_length_with_post_and_put_only() {
        let length = |method, body| {
            let message = message(method, "http://a.test/", &[], body);
            message.headers.get(CONTENT_LENGTH).cloned()
        };
        assert_eq!(length(Method::POST, Body::empty()).unwrap(), "0");
        assert_eq!(length(Method::GET, Body::empty()), None);
        assert_eq!(length(Method::POST, Body::from("x")), None);
    }

    #[test]
    fn a_range_is_asked_for_without_a_coding() {
        let coding = |url, headers: &[_]| {
            let message = message(Method::GET, url, headers, Body::empty());
            message.headers[ACCEPT_ENCODING].clone()
        };
        let (plain, secure) = ("http://a.test/", "https://a.test/");
        assert_eq!(coding(plain, &[]), "gzip, deflate");
        assert_eq!(coding(secure, &[]), "gzip, deflate, br, zstd");
        assert_eq!(coding(secure, &[("Range", "bytes=0-1")]), "identity");
        assert_eq!(coding(plain, &[("Accept-Encoding", "br")]), "br");
    }

    #[test]
    fn every_character_that_a_url_may_have_can_be_sent() {
        let characters: String = (' '..='~').chain(['é', '字']).collect();
        let url = format!("https://a.test/{characters}?{characters}");
        let url = Url::parse(&url).unwrap();
        assert!(target(&url).is_ok(), "{:?}", target(&url));
        let url = Url::parse(&format!("https://a.test/?{characters}")).unwrap();
        assert!(target(&url).is_ok(), "{:?}", target(&url));
    }

    #[test]
    fn a_url_that_is_too_long_is_an_error() {
        let url = Url::parse(&format!("https://a.test/{}", "x".repeat(70_000))).unwrap();
        assert!(matches!(target(&url), Err(NetworkErrorKind::Http(text)) if text.contains("URL")));
    }

    #[test]
    fn only_a_bodiless_idempotent_request_is_repeatable() {
        let repeatable = |method, body| {
            message(method, "http://a.test/", &[], body)
                .copy_if_repeatable()
                .is_some()
        };
        assert!(repeatable(Method::GET, Body::empty()));
        assert!(repeatable(Method::DELETE, Body::empty()));
        assert!(!repeatable(Method::POST, Body::empty()));
        assert!(!repeatable(Method::PUT, Body::from("x")));
    }
}
