//! Objects of Fetch that belong to another realm of the agent: a frame's, given to this window's functions.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use service_worker::types::fetch::ResponseHead;
use service_worker::types::{ClientId, Environment, PartitionPolicy};
use service_worker::{Body, FetchRequest, Response, ServiceWorkerTiming};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use super::windows::documents;
use crate::cache_storage::CacheStore;
use crate::fetch::{FetchService, Hop, HopError, HopFuture, Hopped, Source};
use crate::js::PageOptions;

/// Says in the body what was asked for and sent.
struct Echo;

impl Hop for Echo {
    fn hop(&self, request: FetchRequest) -> HopFuture {
        Box::pin(async move {
            let mut head = ResponseHead::new(StatusCode::OK, HeaderMap::new());
            head.url_list.clone_from(&request.head.url_list);
            let headers = &request.head.headers;
            let given = ["content-type", "x-own"].map(|name| {
                let value = headers.get(name).map(HeaderValue::to_str);
                value.and_then(Result::ok).unwrap_or_default()
            });
            let sent = request.body.collect(1000).await;
            let sent = sent.map_err(|error| HopError::new(error.to_string()))?;
            let sent = String::from_utf8_lossy(&sent);
            let method = &request.head.method;
            let told = format!("{method} {} {} {sent}", given[0], given[1]);
            Ok(Hopped {
                response: Response {
                    head,
                    body: Body::from(told),
                },
                source: Source::Network,
                timing: ServiceWorkerTiming::default(),
                protocol: "",
            })
        })
    }
}

/// What the page's script gives, where `inner` is the window of a frame of its own.
fn with_frame(source: &str) -> Value {
    let service = Arc::new(FetchService::new(Arc::new(Echo)));
    let caches = Arc::new(CacheStore::in_memory().expect("memory holds an index"));
    let partitions = Arc::new(PartitionPolicy::ByTopLevelSite);
    let documents = documents(&[]);
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).expect("an URL"));
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm
            .with_service(Arc::clone(&service))
            .with_service(Arc::clone(&caches))
            .with_service(Arc::clone(&partitions))
            .with_service(Arc::clone(&documents))
    }));
    let source = format!(
        "(async () => {{
            const frame = document.createElement('iframe');
            (document.documentElement ?? document.appendChild(document.createElement('html'))).append(frame);
            const inner = frame.contentWindow;
            {source} }})()"
    );
    let (page, _) = page_with(options);
    wait(page.run_script(source, "https://fonts.example.com/test.js"))
        .expect("the script ends well")
}

#[test]
fn a_request_of_a_frame_is_one_here_too() {
    assert_eq!(
        with_frame(
            "const theirs = new inner.Request('/a', { method: 'POST', body: 'of the frame', headers: { 'x-own': '1' } });
            const copy = new Request(theirs);
            const answer = await fetch(copy);
            const used = await fetch(theirs).catch((error) => error instanceof TypeError);
            return [theirs instanceof Request, copy.method, copy.url, await answer.text(), theirs.bodyUsed, used];"
        ),
        json!([
            false,
            "POST",
            "https://fonts.example.com/a",
            "POST text/plain;charset=UTF-8 1 of the frame",
            true,
            true
        ])
    );
}

#[test]
fn an_abort_in_a_frame_reaches_a_fetch_of_its_request_here() {
    assert_eq!(
        with_frame(
            "const controller = new inner.AbortController();
            const theirs = new inner.Request('/a', { signal: controller.signal });
            const answer = fetch(theirs);
            controller.abort('enough');
            return await answer.catch((reason) => reason);"
        ),
        json!("enough")
    );
}

#[test]
fn a_response_of_a_frame_is_cached_here_with_its_body() {
    assert_eq!(
        with_frame(
            "const cache = await caches.open('c');
            await cache.put('/made', new inner.Response('made there', { headers: { 'x-own': '1' } }));
            await cache.put(new inner.Request('/fetched'), await inner.fetch('/fetched'));
            const texts = [];
            for (const request of await cache.keys()) texts.push(await (await cache.match(request)).text());
            const refused = await cache.put('/no', { status: 200 }).catch((error) => error instanceof TypeError);
            return [texts, (await cache.match(new inner.Request('/made'))).headers.get('x-own'), refused];"
        ),
        json!([["made there", "GET   "], "1", true])
    );
}

#[test]
fn headers_and_search_params_of_a_frame_keep_their_meaning() {
    assert_eq!(
        with_frame(
            "const params = new inner.URLSearchParams({ a: '1 2' });
            params.toString = () => 'never';
            const own = await fetch('/a', { method: 'POST', body: params, headers: new inner.Headers([['x-own', '7']]) });
            const copied = new Headers(new inner.Response(null, { headers: [['b', '1'], ['B', '2']] }).headers);
            return [await own.text(), [...copied]];"
        ),
        json!([
            "POST application/x-www-form-urlencoded;charset=UTF-8 7 a=1+2",
            [["b", "1, 2"]]
        ])
    );
}
