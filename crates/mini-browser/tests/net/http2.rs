//! HTTP/2: agreed on by TLS, shared by requests, held back by who reads or handles slowly.

use futures_util::future::join_all;
use tokio::io::copy_bidirectional;
use tokio::sync::Barrier;

use super::*;

/// A network, a server, and how many connections there were between them.
struct Wire {
    server: Server,
    network: HyperNetwork,
    connections: Arc<AtomicUsize>,
}

/// All `protocols` are offered by the server.
async fn wire<F>(
    protocols: &[&str],
    handler: impl Fn(ServerRequest) -> F + Send + Sync + 'static,
) -> Wire
where
    F: Future<Output = ServerResponse> + Send + 'static,
{
    let authority = Authority::new().unwrap();
    let mut tls = authority.leaf(&["a.test", "b.test"]).unwrap();
    tls.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let server = Server::start(ANY_PORT, Some(tls), handler).await.unwrap();
    let to = server.local_addr();
    let (address, connections) = raw_server(move |mut stream, _| async move {
        let mut there = TcpStream::connect(to).await.unwrap();
        // Either side may hang up as it likes.
        let _ended = copy_bidirectional(&mut stream, &mut there).await;
    })
    .await;
    Wire {
        server,
        network: network_to(address, Some(&authority)),
        connections,
    }
}

impl Wire {
    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn text(&self, request: NetworkRequest) -> Bytes {
        text(self.network.send(request).await.unwrap())
            .await
            .unwrap()
    }

    async fn versions(self) -> Vec<String> {
        let log = self.server.stop().await;
        log.into_iter().map(|entry| entry.version).collect()
    }
}

const H2: &[&str] = &["h2", "http/1.1"];

async fn hello(_: ServerRequest) -> ServerResponse {
    ServerResponse::ok("text/plain", "hello")
}

#[tokio::test]
async fn the_server_chooses_the_protocol_and_without_a_choice_it_is_http_1() {
    for (protocols, version) in [
        (H2, "HTTP/2.0"),
        (&["h2"], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let wire = wire(protocols, hello).await;
        assert_eq!(wire.text(get("https://a.test/")).await, "hello");
        assert_eq!(wire.versions().await, [version], "{protocols:?}");
    }
    // Nobody speaks HTTP/2 without TLS.
    let server = Server::start(ANY_PORT, None, hello).await.unwrap();
    let network = network_to(server.local_addr(), None);
    let response = network.send(get("http://a.test/")).await.unwrap();
    assert_eq!(response.status_text, "OK");
    text(response).await.unwrap();
    assert_eq!(server.stop().await[0].version, "HTTP/1.1");
}

#[tokio::test]
async fn requests_share_a_connection_at_the_same_time_but_not_with_others() {
    let together = Arc::new(Barrier::new(20));
    let wire = wire(H2, move |request| {
        let together = Arc::clone(&together);
        async move {
            // Nobody is answered before all have asked.
            if request.path() == "/together" {
                together.wait().await;
            }
            hello(request).await
        }
    })
    .await;
    wire.text(get("https://a.test/")).await;
    let all = (0..20).map(|_| wire.text(get("https://a.test/together")));
    assert!(join_all(all).await.iter().all(|body| body == "hello"));
    assert_eq!(wire.count(), 1);
    // Another credentials flag, another partition, another origin.
    let mut credentialed = get("https://a.test/");
    credentialed.credentials = true;
    wire.text(credentialed).await;
    assert_eq!(wire.count(), 2);
    let origin = Origin::of(&Url::parse("https://a.test/").unwrap());
    let mut partitioned = get("https://a.test/");
    partitioned.partition = Some(StorageKey::first_party(origin));
    partitioned.cache = CacheMode::NoStore;
    wire.text(partitioned).await;
    assert_eq!(wire.count(), 3);
    wire.text(get("https://b.test/")).await;
    assert_eq!(wire.count(), 4);
    wire.text(get("https://a.test/")).await;
    assert_eq!(wire.count(), 4);
}

#[tokio::test]
async fn a_request_has_no_header_that_belongs_to_a_connection() {
    let wire = wire(H2, async |request: ServerRequest| {
        let mut names: Vec<_> = request.headers.keys().map(|it| it.as_str()).collect();
        names.sort_unstable();
        let names = names.join(" ");
        let url = request.url().unwrap();
        ServerResponse::ok("text/plain", format!("{} {url} {names}", request.method))
    })
    .await;
    let mut request = post("https://a.test/p?q", "body");
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "host",
        "expect",
        "x-kept",
    ] {
        let name = http::HeaderName::from_static(name);
        request.headers.insert(name, HeaderValue::from_static("1"));
    }
    assert_eq!(
        wire.text(request).await,
        "POST https://a.test/p?q accept-encoding content-length expect x-kept"
    );
}

#[tokio::test]
async fn a_response_has_no_status_text_and_keeps_its_headers() {
    let wire = wire(H2, async |_| {
        ServerResponse::status(StatusCode::NOT_FOUND)
            .with(http::header::SET_COOKIE, "a=1")
            .with(http::header::SET_COOKIE, "b=2")
    })
    .await;
    let response = wire.network.send(get("https://a.test/")).await.unwrap();
    assert_eq!(
        (response.status.as_u16(), response.status_text.as_str()),
        (404, "")
    );
    let cookies = response.headers.get_all(http::header::SET_COOKIE);
    assert_eq!(cookies.iter().count(), 2);
    assert_eq!(text(response).await.unwrap(), "");
}

#[tokio::test]
async fn a_slow_reader_holds_the_server_back_and_no_other_request() {
    let produced = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&produced);
    let wire = wire(H2, move |request: ServerRequest| {
        let body = match request.path() {
            "/much" => counted_stream(MUCH, &counter),
            _ => Body::from("hello"),
        };
        async move { ServerResponse::ok("application/octet-stream", body).without_gzip() }
    })
    .await;
    let send = || wire.network.send(get("https://a.test/much"));
    let read = send().await.unwrap();
    // Some that nobody reads.
    let unread = join_all((0..8).map(|_| send())).await;
    assert_eq!(wire.text(get("https://a.test/")).await, "hello");
    assert_eq!(wire.count(), 1);
    drop(unread);
    let lead = read_slowly(read.body, &produced).await;
    // The unread ones have theirs.
    assert!(lead < 9 * HELD, "{lead}");
}

#[tokio::test]
async fn a_stream_whose_length_nobody_knows_is_sent_over_http_2_and_nothing_else() {
    let echo = async |request: ServerRequest| {
        let length = request
            .header("content-length")
            .unwrap_or("none")
            .to_owned();
        let body = request.body.collect(LIMIT).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        ServerResponse::ok("text/plain", format!("{length}: {body}"))
    };
    let stream = || {
        let chunks = ["a", "stream"].map(|text| Ok(Bytes::from(text)));
        Body::from_stream(futures_util::stream::iter(chunks))
    };
    let new = wire(H2, echo).await;
    assert_eq!(
        new.text(post("https://a.test/", stream())).await,
        "none: astream"
    );
    let old = wire(&["http/1.1"], echo).await;
    for _ in 0..2 {
        let error = kind(&old.network, post("https://a.test/", stream())).await;
        assert!(matches!(error, NetworkErrorKind::Blocked(_)), "{error}");
        let known = stream().with_length(Some(7));
        assert_eq!(old.text(post("https://a.test/", known)).await, "7: astream");
    }
}

#[tokio::test]
async fn a_slow_handler_holds_an_upload_back() {
    let produced = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&produced);
    let wire = wire(H2, move |request: ServerRequest| {
        let counter = Arc::clone(&counter);
        async move {
            let lead = read_slowly(request.body, &counter).await;
            ServerResponse::ok("text/plain", lead.to_string())
        }
    })
    .await;
    let lead = wire
        .text(post("https://a.test/", counted_stream(MUCH, &produced)))
        .await;
    let lead: u64 = std::str::from_utf8(&lead).unwrap().parse().unwrap();
    assert!(lead < HELD, "{lead}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_and_its_connection_goes_on() {
    let has_come = Arc::new(tokio::sync::Notify::new());
    let breaks_off = Arc::clone(&has_come);
    let wire = wire(H2, move |request: ServerRequest| {
        let breaks_off = Arc::clone(&breaks_off);
        let some = futures_util::stream::iter([Ok(Bytes::from("some"))]);
        let breaks = futures_util::stream::once(async move {
            breaks_off.notified().await;
            Err(BodyError::Aborted)
        });
        let body = match request.path() {
            "/breaks" => Body::from_stream(some.chain(breaks)),
            _ => Body::from_stream(some),
        };
        async { ServerResponse::ok("application/octet-stream", body) }
    })
    .await;
    let response = wire.network.send(get("https://a.test/breaks"));
    let response = response.await.unwrap();
    has_come.notify_one();
    assert!(matches!(text(response).await, Err(BodyError::Broken(_))));
    assert_eq!(wire.text(get("https://a.test/")).await, "some");
    assert_eq!(wire.count(), 1);
}

#[tokio::test]
async fn letting_go_of_a_response_ends_it_and_not_its_connection() {
    let (sender, dropped) = tokio::sync::oneshot::channel();
    let guard = std::sync::Mutex::new(Some(Dropped(Some(sender))));
    let wire = wire(H2, move |request: ServerRequest| {
        let guard = guard
            .lock()
            .unwrap()
            .take_if(|_| request.path() == "/endless");
        let chunks = futures_util::stream::repeat_with(move || {
            let _kept = &guard;
            Ok(Bytes::from_static(&[7; 4096]))
        });
        let body = match request.path() {
            "/endless" => Body::from_stream(chunks),
            _ => Body::from("hello"),
        };
        async { ServerResponse::ok("application/octet-stream", body) }
    })
    .await;
    let endless = wire.network.send(get("https://a.test/endless"));
    drop(endless.await.unwrap());
    dropped.await.unwrap();
    assert_eq!(wire.text(get("https://a.test/")).await, "hello");
    assert_eq!(wire.count(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_has_ended_costs_the_next_request_nothing() {
    let authority = Authority::new().unwrap();
    let start = async |address| {
        let tls = authority.leaf(&["a.test"]).unwrap();
        Server::start(address, Some(tls), hello).await.unwrap()
    };
    let first = start(ANY_PORT).await;
    let address = first.local_addr();
    let network = network_to(address, Some(&authority));
    let asked = network.send(get("https://a.test/")).await.unwrap();
    assert_eq!(text(asked).await.unwrap(), "hello");
    first.kill().await;
    let second = start(address).await;
    let asked = network.send(get("https://a.test/")).await.unwrap();
    assert_eq!(text(asked).await.unwrap(), "hello");
    second.stop().await;
    let third = start(address).await;
    let asked = network.send(get("https://a.test/")).await.unwrap();
    assert_eq!(text(asked).await.unwrap(), "hello");
    third.stop().await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_an_error() {
    let wire = wire(H2, async |_| {
        let mut response = ServerResponse::status(StatusCode::OK);
        let long = HeaderValue::from_str(&"x".repeat(300 * 1024)).unwrap();
        response.headers.insert("x-long", long);
        response
    })
    .await;
    let error = kind(&wire.network, get("https://a.test/")).await;
    assert!(matches!(error, NetworkErrorKind::Http(_)), "{error}");
}
