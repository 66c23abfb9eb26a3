//! The HTTP cache in front of a real server.

use http::header::{CACHE_CONTROL, ETAG};

use super::*;

/// A request in the partition of its own site.
fn partitioned(url: &str) -> NetworkRequest {
    let request = get(url);
    let partition = Some(StorageKey::first_party(Origin::of(&request.url)));
    NetworkRequest {
        partition,
        ..request
    }
}

async fn text(network: &HyperNetwork, request: NetworkRequest) -> (bool, String) {
    let response = network.send(request).await.expect("the server answers");
    let body = response.body.collect(1000).await.expect("to its end");
    (
        response.from_cache,
        String::from_utf8_lossy(&body).into_owned(),
    )
}

#[tokio::test]
async fn a_fresh_answer_is_not_asked_for_again_and_a_stale_one_is_confirmed() {
    let server = Server::start(ANY_PORT, None, async |request: ServerRequest| {
        let is_stale = request.path() == "/stale";
        let response = if is_stale && request.header("if-none-match").is_some() {
            ServerResponse::status(StatusCode::NOT_MODIFIED)
        } else {
            ServerResponse::ok("text/plain", "body")
        };
        let fresh = if is_stale { "max-age=0" } else { "max-age=60" };
        response.with(CACHE_CONTROL, fresh).with(ETAG, "\"1\"")
    })
    .await
    .unwrap();
    let network = network_to(server.local_addr(), None);
    let body = || "body".to_owned();
    for path in ["fresh", "stale"] {
        let url = format!("http://a.test/{path}");
        assert_eq!(text(&network, partitioned(&url)).await, (false, body()));
        let again = text(&network, partitioned(&url)).await;
        assert_eq!(again, (path == "fresh", body()), "{path}");
    }
    // Without a partition there is no cache.
    assert_eq!(
        text(&network, get("http://a.test/fresh")).await,
        (false, body())
    );
    assert_eq!(server.log().len(), 4);
}

#[tokio::test]
async fn an_answer_shorter_than_its_server_says_is_not_kept() {
    let said = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 9\r\n\r\nhalf";
    let network = network_to(says(said.as_bytes().to_vec()).await, None);
    let response = network.send(partitioned("http://a.test/")).await.unwrap();
    assert!(response.body.collect(1000).await.is_err());
    let mut only_if_cached = partitioned("http://a.test/");
    only_if_cached.cache = CacheMode::OnlyIfCached;
    let kind = kind(&network, only_if_cached).await;
    assert!(matches!(kind, NetworkErrorKind::Blocked(_)), "{kind}");
}
