//! The network against real servers on loopback: TLS, content coding, faults, held-back senders.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

#[path = "net/cache.rs"]
mod cache;
#[path = "net/http2.rs"]
mod http2;
#[path = "net/wire.rs"]
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ORIGIN, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mini_browser::net::server::{Server, ServerError, ServerRequest, ServerResponse};
use mini_browser::net::{Authority, HostMap, HyperNetwork, NetworkConfig};
use service_worker::types::fetch::CacheMode;
use service_worker::types::{Origin, Site, StorageKey};
use service_worker::{Body, BodyError, Network, NetworkErrorKind, NetworkRequest, NetworkResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use url::Url;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const LIMIT: usize = 64 << 20;

fn get(url: &str) -> NetworkRequest {
    NetworkRequest {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Body::empty(),
        cache: CacheMode::Default,
        credentials: false,
        site_for_cookies: None,
        top_level_navigation: false,
        partition: None,
    }
}

fn post(url: &str, body: impl Into<Body>) -> NetworkRequest {
    NetworkRequest {
        method: Method::POST,
        body: body.into(),
        ..get(url)
    }
}

fn network_to(address: SocketAddr, authority: Option<&Authority>) -> HyperNetwork {
    network(address, authority, |_| {})
}

fn network(
    address: SocketAddr,
    authority: Option<&Authority>,
    change: impl FnOnce(&mut NetworkConfig),
) -> HyperNetwork {
    let mut config = NetworkConfig::default();
    config.host_map = HostMap::new()
        .host("a.test", address)
        .host("b.test", address);
    config
        .extra_ca
        .extend(authority.map(Authority::certificate));
    change(&mut config);
    HyperNetwork::new(config, Handle::current()).unwrap()
}

async fn kind(network: &HyperNetwork, request: NetworkRequest) -> NetworkErrorKind {
    network.send(request).await.unwrap_err().kind
}

async fn text(response: NetworkResponse) -> Result<Bytes, BodyError> {
    response.body.collect(LIMIT).await
}

/// A server that says what it is told to, byte by byte; it counts its connections.
async fn raw_server<F>(
    serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, count.fetch_add(1, Ordering::SeqCst)));
        }
    });
    (address, connections)
}

/// Reads one request with its body, as far as `Content-Length` names it; false at the end.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return true;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return false;
        }
    }
}

/// A server that reads a request, sends these bytes and closes.
async fn says(bytes: Vec<u8>) -> SocketAddr {
    let (address, _) = raw_server(move |mut stream, _| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut stream).await;
            // The client may have hung up at the first bytes that it does not like.
            let _written = stream.write_all(&bytes).await;
        }
    })
    .await;
    address
}

#[tokio::test]
async fn over_tls_host_and_server_name_stay_the_real_ones() {
    let authority = Authority::new().unwrap();
    let tls = authority.leaf(&["a.test", "b.test"]).unwrap();
    let server = Server::start(ANY_PORT, Some(tls), async |request: ServerRequest| {
        ServerResponse::ok("text/plain", request.url().unwrap().to_string())
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), Some(&authority));

    let mut first = get("https://a.test/one?q=1#fragment");
    first
        .headers
        .insert(ORIGIN, HeaderValue::from_static("https://page.test"));
    let response = network.send(first).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert!(!response.from_cache && !response.sent_credentials);
    assert_eq!(text(response).await.unwrap(), "https://a.test/one?q=1");
    let response = network.send(get("https://b.test:8443/two")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "https://b.test:8443/two");

    let log = server.stop().await;
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[0].method.as_str(), log[0].host.as_str()),
        ("GET", "a.test")
    );
    assert_eq!(log[0].path_and_query, "/one?q=1");
    assert_eq!(log[0].headers["origin"], "https://page.test");
    assert_eq!(log[0].headers["accept-encoding"], "gzip, deflate, br, zstd");
    assert_eq!(log[0].headers.len(), 2);
    assert_eq!(log[1].host, "b.test:8443");
    assert!(
        log.iter()
            .all(|entry| entry.complete && entry.status == Some(200))
    );
    let json = serde_json::to_value(&log).unwrap();
    assert_eq!(json[0]["path_and_query"], "/one?q=1");
}

#[tokio::test]
async fn gzip_is_undone_and_the_log_tells_both_sizes() {
    let css = "a { color: red }\n".repeat(5_000);
    let body = css.clone();
    let server = Server::start(ANY_PORT, None, move |request: ServerRequest| {
        let response = ServerResponse::ok("text/css", body.clone());
        let plain = request.path() == "/plain";
        std::future::ready(if plain {
            response.without_gzip()
        } else {
            response
        })
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);

    let response = network.send(get("http://a.test/coded")).await.unwrap();
    assert!(!response.headers.contains_key(CONTENT_ENCODING));
    assert!(!response.headers.contains_key(CONTENT_LENGTH));
    assert_eq!(response.headers[VARY], "Accept-Encoding");
    assert_eq!(text(response).await.unwrap(), css);

    let response = network.send(get("http://a.test/plain")).await.unwrap();
    assert_eq!(response.headers[CONTENT_LENGTH], css.len().to_string());
    assert_eq!(text(response).await.unwrap(), css);

    let mut uncoded = get("http://a.test/coded");
    uncoded
        .headers
        .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    assert_eq!(
        text(network.send(uncoded).await.unwrap()).await.unwrap(),
        css
    );

    let mut head = get("http://a.test/coded");
    head.method = Method::HEAD;
    let response = network.send(head).await.unwrap();
    assert_eq!(response.headers[CONTENT_ENCODING], "gzip");
    assert_eq!(text(response).await.unwrap(), "");

    let log = server.stop().await;
    let length = css.len() as u64;
    assert_eq!(log[0].body_bytes, length);
    assert!(log[0].wire_bytes < length / 10, "{}", log[0].wire_bytes);
    assert_eq!((log[1].body_bytes, log[1].wire_bytes), (length, length));
    assert_eq!((log[2].body_bytes, log[2].wire_bytes), (length, length));
    assert_eq!((log[3].body_bytes, log[3].wire_bytes), (0, 0));
}

#[tokio::test]
async fn a_server_that_is_down_refuses_the_connection() {
    let server = Server::start(ANY_PORT, None, async |_| {
        ServerResponse::ok("text/plain", "")
    })
    .await
    .unwrap();
    let address = server.local_addr();
    let network = network_to(address, None);
    network.send(get("http://a.test/")).await.unwrap();
    server.kill().await;
    let NetworkErrorKind::Connect(why) = kind(&network, get("http://a.test/")).await else {
        panic!("connected");
    };
    assert!(why.contains(&address.to_string()), "{why}");
}

#[tokio::test]
async fn a_certificate_of_another_name_or_authority_is_refused() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let tls = authority.leaf(&["a.test"]).unwrap();
    let server = Server::start(ANY_PORT, Some(tls), async |_| {
        ServerResponse::ok("text/plain", "secret")
    })
    .await
    .unwrap();
    let trusting = network_to(server.local_addr(), Some(&authority));
    let wary = network_to(server.local_addr(), Some(&other));

    assert!(trusting.send(get("https://a.test/")).await.is_ok());
    for (network, url) in [(&trusting, "https://b.test/"), (&wary, "https://a.test/")] {
        assert!(matches!(
            kind(network, get(url)).await,
            NetworkErrorKind::Tls(_)
        ));
    }
    let plain = kind(&trusting, get("http://a.test/")).await;
    assert!(matches!(plain, NetworkErrorKind::Http(_)), "{plain}");
    assert_eq!(server.stop().await.len(), 1);
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_a_tls_error() {
    let server = Server::start(ANY_PORT, None, async |_| {
        ServerResponse::ok("text/plain", "")
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let error = kind(&network, get("https://a.test/")).await;
    assert!(matches!(error, NetworkErrorKind::Tls(_)), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_advice() {
    let handler = async |_: ServerRequest| ServerResponse::ok("text/plain", "");
    let first = Server::start(ANY_PORT, None, handler).await.unwrap();
    let error = Server::start(first.local_addr(), None, handler)
        .await
        .unwrap_err();
    let ServerError::Bind { address, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*address, first.local_addr());
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("port 0"),
        "{text}"
    );

    // Once the first is gone its port is free again.
    let address = first.local_addr();
    first.stop().await;
    Server::start(address, None, handler).await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_cut_is_broken_and_not_short() {
    let mut cut_gzip =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n".to_vec();
    cut_gzip.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c]);
    for bytes in [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n".to_vec(),
        cut_gzip,
    ] {
        let network = network_to(says(bytes.clone()).await, None);
        let response = network.send(get("http://a.test/")).await.unwrap();
        let body = text(response).await;
        let said = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            matches!(body, Err(BodyError::Broken(_))),
            "{said}: {body:?}"
        );
    }
}

#[tokio::test]
async fn a_handler_that_breaks_off_gives_a_broken_body_and_an_incomplete_entry() {
    let server = Server::start(ANY_PORT, None, async |_| {
        let chunks = vec![
            Ok(Bytes::from("half")),
            Err(BodyError::Broken("on purpose".into())),
        ];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let mut response = ServerResponse::ok("text/plain", "");
        response.body = body;
        response.with(CONTENT_LENGTH, "8")
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    // The connection may be cut before the head has left it, or after.
    if let Ok(response) = network.send(get("http://a.test/")).await {
        assert!(matches!(text(response).await, Err(BodyError::Broken(_))));
    }
    assert!(!server.stop().await[0].complete);
}

#[tokio::test]
async fn what_is_no_http_is_an_http_error() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(300));
    for said in [
        "",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &long,
        &many,
    ] {
        let network = network_to(says(said.as_bytes().to_vec()).await, None);
        let error = kind(&network, get("http://a.test/")).await;
        assert!(matches!(error, NetworkErrorKind::Http(_)), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent() {
    let (address, connections) = raw_server(async |_, _| {}).await;
    let network = network_to(address, None);
    let mut only_if_cached = get("http://a.test/");
    only_if_cached.cache = CacheMode::OnlyIfCached;
    assert_eq!(
        kind(&network, only_if_cached).await,
        NetworkErrorKind::Blocked("only-if-cached: the HTTP cache has no answer")
    );
    assert_eq!(
        kind(&network, get("ftp://a.test/")).await,
        NetworkErrorKind::Scheme
    );
    let unknown = network.send(get("https://c.test/")).await.unwrap_err();
    assert_eq!(unknown.url.as_str(), "https://c.test/");
    assert!(matches!(unknown.kind, NetworkErrorKind::Resolve(_)));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_silent_server_times_out_before_and_after_the_handshake() {
    let (address, _) =
        raw_server(async |mut stream, _| while read_request(&mut stream).await {}).await;
    let network = network(address, None, |config| {
        config.connect_timeout = Duration::from_millis(50);
        config.head_timeout = Duration::from_millis(1);
    });
    for url in ["https://a.test/", "http://a.test/"] {
        assert_eq!(kind(&network, get(url)).await, NetworkErrorKind::Timeout);
    }
    let body = post("http://a.test/", "sent in full");
    assert_eq!(kind(&network, body).await, NetworkErrorKind::Timeout);
}

#[tokio::test]
async fn an_idle_connection_is_used_again_by_the_same_partition_and_credentials_only() {
    let (address, connections) = raw_server(async |mut stream, _| {
        while read_request(&mut stream).await {
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(response).await.unwrap();
        }
    })
    .await;
    let network = network_to(address, None);
    let used = async |credentials| {
        let mut request = get("http://a.test/");
        request.credentials = credentials;
        text(network.send(request).await.unwrap()).await.unwrap();
        // The connection's own task gives it back.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        connections.load(Ordering::SeqCst)
    };
    assert_eq!(used(false).await, 1);
    assert_eq!(used(false).await, 1);
    assert_eq!(used(true).await, 2);
    assert_eq!(used(true).await, 2);
}

/// Answers the first request of every connection and closes at the second.
async fn closes_at_the_second_request() -> (SocketAddr, Arc<AtomicUsize>) {
    raw_server(async |mut stream, _| {
        if read_request(&mut stream).await {
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(response).await.unwrap();
            read_request(&mut stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_stale_connection_costs_a_request_nothing_but_one_with_a_body_is_not_repeated() {
    let (address, connections) = closes_at_the_second_request().await;
    let network = network_to(address, None);
    let idle = async || {
        let response = network.send(get("http://a.test/")).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "ok");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    idle().await;
    idle().await;
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let error = kind(&network, post("http://a.test/", "pay")).await;
    assert!(matches!(error, NetworkErrorKind::Http(_)), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// Chunks of 64 KiB without end, counted as they are taken.
fn counted_stream(chunks: usize, taken: &Arc<AtomicU64>) -> Body {
    let taken = Arc::clone(taken);
    let chunk = Bytes::from(vec![7; 65_536]);
    let stream = futures_util::stream::iter(0..chunks).map(move |_| {
        taken.fetch_add(1, Ordering::SeqCst);
        Ok(chunk.clone())
    });
    Body::from_stream(stream)
}

/// More than the sockets of both sides hold.
const MUCH: usize = 1024;
/// What the sockets of both sides may hold, in chunks: 24 of 64 MiB.
const HELD: u64 = 384;

/// Reads a body slowly; how far its producer was ahead at most, in chunks.
async fn read_slowly(mut body: Body, produced: &AtomicU64) -> u64 {
    let (mut read, mut lead) = (0, 0);
    while let Some(chunk) = body.next().await {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        lead = lead.max(produced.load(Ordering::SeqCst) - read / 65_536);
        read += chunk.unwrap().len() as u64;
    }
    assert_eq!(read, MUCH as u64 * 65_536);
    lead
}

#[tokio::test]
async fn a_slow_reader_holds_the_server_back() {
    let produced = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&produced);
    let server = Server::start(ANY_PORT, None, move |_| {
        let body = counted_stream(MUCH, &counter);
        async move { ServerResponse::ok("application/octet-stream", body) }
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let response = network.send(get("http://a.test/")).await.unwrap();
    let lead = read_slowly(response.body, &produced).await;
    assert!(lead < HELD, "{lead}");
    let entry = &server.stop().await[0];
    assert!(entry.complete);
    assert_eq!(entry.wire_bytes, MUCH as u64 * 65_536);
}

#[tokio::test]
async fn a_slow_handler_holds_the_request_back() {
    let produced = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&produced);
    let server = Server::start(ANY_PORT, None, move |request: ServerRequest| {
        let counter = Arc::clone(&counter);
        async move {
            let lead = read_slowly(request.body, &counter).await;
            ServerResponse::ok("text/plain", lead.to_string())
        }
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let length = MUCH as u64 * 65_536;
    let body = counted_stream(MUCH, &produced).with_length(Some(length));
    let request = post("http://a.test/", body);
    let lead = text(network.send(request).await.unwrap()).await.unwrap();
    let lead: u64 = std::str::from_utf8(&lead).unwrap().parse().unwrap();
    assert!(lead < HELD, "{lead}");
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_is_an_error_on_both_sides() {
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(ANY_PORT, None, move |request: ServerRequest| {
        let sender = sender.clone();
        async move {
            sender.send(request.body.collect(LIMIT).await).unwrap();
            ServerResponse::ok("text/plain", "never sent")
        }
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    // Longer than what is looked ahead.
    let chunks = ["some", "of", "it"].map(|text| Ok(Bytes::from(text)));
    let breaks = futures_util::stream::iter(chunks)
        .chain(futures_util::stream::iter([Err(BodyError::Aborted)]));
    let breaks = Body::from_stream(breaks).with_length(Some(100));
    let error = kind(&network, post("http://a.test/", breaks)).await;
    assert!(matches!(error, NetworkErrorKind::Http(_)), "{error}");
    // A server that was asked at all saw that the body is not whole.
    drop(server.stop().await);
    if let Some(body) = seen.recv().await {
        assert!(matches!(body, Err(BodyError::Broken(_))), "{body:?}");
    }
}

/// Tells when it is dropped.
struct Dropped(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.take().unwrap().send(()).unwrap();
    }
}

#[tokio::test]
async fn dropping_the_body_ends_what_the_server_sends() {
    let (sender, dropped) = tokio::sync::oneshot::channel();
    let guard = std::sync::Mutex::new(Some(Dropped(Some(sender))));
    let server = Server::start(ANY_PORT, None, move |_| {
        let guard = guard.lock().unwrap().take();
        let chunks = futures_util::stream::repeat_with(move || {
            let _kept = &guard;
            Ok(Bytes::from_static(&[7; 4096]))
        });
        async { ServerResponse::ok("application/octet-stream", Body::from_stream(chunks)) }
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let response = network.send(get("http://a.test/")).await.unwrap();
    drop(response);
    dropped.await.unwrap();
    assert!(!server.stop().await[0].complete);
}

#[tokio::test]
async fn dropping_the_future_hangs_up() {
    let (sender, mut hung_up) = tokio::sync::mpsc::unbounded_channel();
    let (address, _) = raw_server(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            assert!(read_request(&mut stream).await);
            sender.send("asked").unwrap();
            assert!(!read_request(&mut stream).await);
            sender.send("hung up").unwrap();
        }
    })
    .await;
    let network = network_to(address, None);
    let mut sending = network.send(get("http://a.test/"));
    tokio::select! {
        _ = &mut sending => panic!("answered"),
        event = hung_up.recv() => assert_eq!(event, Some("asked")),
    }
    drop(sending);
    assert_eq!(hung_up.recv().await, Some("hung up"));
}

#[test]
fn a_connection_outlives_the_runtime_that_asked_for_it() {
    let home = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (address, connections, network) = home.block_on(async {
        let (address, connections) = closes_at_the_second_request().await;
        (address, connections, network_to(address, None))
    });
    let asked = || {
        let worker = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let response = worker
            .block_on(network.send(get("http://a.test/")))
            .unwrap();
        worker.block_on(text(response)).unwrap()
    };
    assert_eq!((asked(), asked()), ("ok".into(), "ok".into()), "{address}");
    assert!(connections.load(Ordering::SeqCst) >= 1);

    // Without its runtime there is an error, and nothing hangs.
    drop(home);
    let worker = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = worker
        .block_on(network.send(get("http://a.test/")))
        .unwrap_err();
    assert!(matches!(error.kind, NetworkErrorKind::Http(_)));
}

#[tokio::test]
async fn stopping_lets_an_answer_end_that_has_begun() {
    let (sender, last_chunk) = tokio::sync::oneshot::channel();
    let last_chunk = last_chunk.map(|chunk| Ok(chunk.unwrap())).into_stream();
    let body = std::sync::Mutex::new(Some(Body::from_stream(
        futures_util::stream::iter([Ok(Bytes::from("first, "))]).chain(last_chunk),
    )));
    let server = Server::start(ANY_PORT, None, move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { ServerResponse::ok("text/plain", body) }
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let response = network.send(get("http://a.test/")).await.unwrap();
    let stopping = tokio::spawn(server.stop());
    tokio::task::yield_now().await;
    sender.send(Bytes::from("last")).unwrap();
    assert_eq!(text(response).await.unwrap(), "first, last");
    assert!(stopping.await.unwrap()[0].complete);
}

/// Sends these bytes over TLS and closes TCP without closing TLS.
async fn ends_without_notice(authority: &Authority, bytes: &'static [u8]) -> SocketAddr {
    let mut tls = authority.leaf(&["a.test"]).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    let (address, _) = raw_server(move |stream, _| {
        let tls = Arc::clone(&tls);
        async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls);
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0; 4096];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            let (mut tcp, _) = stream.into_inner();
            tcp.shutdown().await.unwrap();
        }
    })
    .await;
    address
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole_even_if_tls_was_not_closed() {
    let authority = Authority::new().unwrap();
    let address = ends_without_notice(&authority, b"HTTP/1.1 200 OK\r\n\r\nall of it").await;
    let network = network_to(address, Some(&authority));
    let response = network.send(get("https://a.test/")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "all of it");
}

#[tokio::test]
async fn a_body_of_known_length_that_ends_early_is_broken_over_tls_too() {
    let authority = Authority::new().unwrap();
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nnot all"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnot all\r\n",
    ] {
        let address = ends_without_notice(&authority, bytes).await;
        let network = network_to(address, Some(&authority));
        let response = network.send(get("https://a.test/")).await.unwrap();
        let error = text(response).await.unwrap_err();
        assert!(matches!(error, BodyError::Broken(_)), "{error}");
    }
}
