//! Cookies, status messages, and bodies as the wire has them.

use super::*;

/// A request with credentials by a page of `a.test` itself.
fn with_cookies(url: &str) -> NetworkRequest {
    let origin = Origin::of(&url.parse().unwrap());
    let mut request = get(url);
    request.credentials = true;
    request.site_for_cookies = Some(Site::of(&origin));
    request.partition = Some(StorageKey::first_party(origin));
    request
}

#[tokio::test]
async fn cookies_go_with_requests_that_include_credentials_and_have_a_partition() {
    let server = Server::start(ANY_PORT, None, async |request: ServerRequest| {
        let seen = request.header("cookie").unwrap_or("none").to_owned();
        ServerResponse::ok("text/plain", seen).with(http::header::SET_COOKIE, "kept=1")
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let seen = async |request| text(network.send(request).await.unwrap()).await.unwrap();

    assert_eq!(seen(get("http://a.test/")).await, "none");
    assert_eq!(network.cookies().len(), 0);
    let mut nowhere = with_cookies("http://a.test/");
    nowhere.partition = None;
    assert_eq!(seen(nowhere).await, "none");
    assert_eq!(network.cookies().len(), 0);

    let first = network.send(with_cookies("http://a.test/")).await.unwrap();
    assert!(!first.sent_credentials);
    assert_eq!(network.cookies().len(), 1);
    let second = network.send(with_cookies("http://a.test/")).await.unwrap();
    assert!(second.sent_credentials);
    assert_eq!(text(second).await.unwrap(), "kept=1");
    assert_eq!(seen(get("http://a.test/")).await, "none");

    let mut cross_site = with_cookies("http://a.test/");
    cross_site.site_for_cookies = None;
    assert_eq!(seen(cross_site).await, "none");
    let navigation = |method| {
        let mut navigation = with_cookies("http://a.test/");
        navigation.site_for_cookies = None;
        navigation.top_level_navigation = true;
        navigation.method = method;
        navigation
    };
    assert_eq!(seen(navigation(Method::GET)).await, "kept=1");
    assert_eq!(seen(navigation(Method::POST)).await, "none");
}

#[tokio::test]
async fn the_status_message_comes_as_it_was_sent() {
    for (said, expected) in [
        ("HTTP/1.1 200 OK", "OK"),
        ("HTTP/1.1 200 All is well", "All is well"),
        ("HTTP/1.1 404 Not Found", "Not Found"),
        ("HTTP/1.1 404 ", ""),
        ("HTTP/1.1 404", ""),
    ] {
        let bytes = format!("{said}\r\nContent-Length: 0\r\n\r\n");
        let network = network_to(says(bytes.into_bytes()).await, None);
        let response = network.send(get("http://a.test/")).await.unwrap();
        assert_eq!(response.status_text, expected, "{said}");
    }
}

#[tokio::test]
async fn a_misdirected_request_is_sent_once_more_over_another_connection() {
    let (address, connections) = raw_server(async |mut stream, _| {
        while read_request(&mut stream).await {
            let response = b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(response).await.unwrap();
        }
    })
    .await;
    let network = network_to(address, None);
    let response = network.send(post("http://a.test/", "again")).await.unwrap();
    assert_eq!(response.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let flowing = Body::from_stream(futures_util::stream::iter([
        Ok(Bytes::from("on")),
        Ok(Bytes::from("ce")),
    ]))
    .with_length(Some(4));
    network.send(post("http://a.test/", flowing)).await.unwrap();
    assert!(connections.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_long_body_of_known_length_is_not_chunked_and_never_all_in_memory() {
    const CHUNKS: usize = 1100;
    let server = Server::start(ANY_PORT, None, async |mut request: ServerRequest| {
        let length = request
            .header("content-length")
            .unwrap_or("none")
            .to_owned();
        let mut read = 0;
        while let Some(chunk) = request.body.next().await {
            read += chunk.unwrap().len();
        }
        ServerResponse::ok("text/plain", format!("{length} {read}"))
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let taken = Arc::new(AtomicU64::new(0));
    let length = CHUNKS * 65_536;
    let mut request = post("http://a.test/", counted_stream(CHUNKS, &taken));
    request.headers.insert(CONTENT_LENGTH, length.into());
    let response = network.send(request).await.unwrap();
    assert_eq!(text(response).await.unwrap(), format!("{length} {length}"));

    let mut short = post("http://a.test/", counted_stream(2, &taken));
    short.headers.insert(CONTENT_LENGTH, length.into());
    assert!(network.send(short).await.is_err());
}
