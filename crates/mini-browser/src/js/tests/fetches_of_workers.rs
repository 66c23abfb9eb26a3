//! What a service worker's own fetches are made with, and what passes through it unseen.

use std::sync::Arc;

use service_worker::FetchAnswer;
use service_worker::types::fetch::{
    Destination, RedirectMode, RequestHead, RequestMode, Requester, ResponseType,
    ServiceWorkersMode,
};
use service_worker::types::{Origin, PartitionPolicy, Site, WorkerType};
use service_worker::{Body, Response};
use url::Url;

use super::stand::{Stand, answer, wait};
use crate::cache_storage::CacheStore;
use crate::fetch::FetchService;
use crate::fetch::tests::{OPEN, Table};

const FONT: &str = "https://fonts.example.com/font";

fn worker(source: &str, network: &Table) -> Stand {
    let fetching = Arc::new(FetchService::new(Arc::new(network.clone())));
    let caches = Arc::new(CacheStore::in_memory().unwrap());
    let stand = Stand::start_as(source, WorkerType::Classic, |options| {
        options.prepare = Some(Arc::new(move |realm| {
            realm
                .with_service(Arc::clone(&fetching))
                .with_service(Arc::clone(&caches))
                .with_service(Arc::new(PartitionPolicy::Unpartitioned))
        }));
    });
    stand.next();
    stand
}

/// A request that fell through from a page of `https://acme.test`.
fn fallen_through() -> RequestHead {
    let url = Url::parse(FONT).unwrap();
    let page = Origin::of(&Url::parse("https://acme.test/").unwrap());
    let mut request = RequestHead::get(url.clone(), Origin::of(&url));
    request.mode = RequestMode::Cors;
    request.requester = Some(Requester {
        site: Site::of(&page),
        origin: page,
    });
    request
}

fn response(stand: &mut Stand) -> Response {
    let (answered, _) = stand.fetch_head(fallen_through(), Body::empty());
    match answer(answered) {
        Some(FetchAnswer::Response(response)) => *response,
        other => panic!("{other:?}, {:?}", stand.lines.all()),
    }
}

fn text(response: Response) -> String {
    let bytes = wait(response.body.collect(1 << 20)).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_hidden_requester_is_copied_with_its_request_and_with_nothing_else() {
    let network = Table::default().with(FONT, 200, &[OPEN]);
    let mut stand = worker(
        "onfetch = (event) => event.respondWith((async () => {
            const { request } = event;
            await fetch(request);
            await fetch(request.clone());
            await fetch(new Request(request, { cache: 'reload' }));
            await fetch(new Request(new Request(request).clone()));
            await fetch(request.url);
            await fetch(new Request(request.url, request));
            return new Response('done');
         })());",
        &network,
    );
    assert_eq!(text(response(&mut stand)), "done");
    let asked = network.asked();
    let requesters: Vec<_> = asked
        .iter()
        .map(|asked| asked.head.requester.as_ref())
        .map(|requester| requester.map_or("", |requester| requester.origin.as_str()))
        .collect();
    let page = "https://acme.test";
    assert_eq!(requesters, [page, page, page, page, "", ""]);
    for asked in &asked {
        // SEMANTICS §5.4: a worker's own fetch() skips its own worker.
        assert_eq!(asked.head.service_workers, ServiceWorkersMode::Foreign);
        assert_eq!(asked.head.origin.as_str(), "https://fonts.example.com");
    }
    assert_eq!(asked[0].network_header("sec-fetch-site"), "cross-site");
    assert_eq!(asked[4].network_header("sec-fetch-site"), "same-origin");
}

#[test]
fn what_a_filter_hides_passes_through_a_worker_and_its_cache() {
    let network = Table::default().with(FONT, 200, &[OPEN, ("set-cookie", "a=b")]);
    for source in [
        "onfetch = (event) => event.respondWith(fetch(event.request));",
        "onfetch = (event) => event.respondWith(fetch(event.request).then(r => r.clone()));",
        "onfetch = (event) => event.respondWith((async () => {
            const cache = await caches.open('c');
            await cache.add(event.request);
            return cache.match(event.request);
         })());",
    ] {
        let mut stand = worker(source, &network);
        let response = response(&mut stand);
        assert_eq!(response.head.response_type, ResponseType::Basic, "{source}");
        assert_eq!(response.head.headers["set-cookie"], "a=b", "{source}");
        assert_eq!(response.head.url().unwrap().as_str(), FONT, "{source}");
        assert_eq!(text(response), "body", "{source}");
    }
}

#[test]
fn a_script_cannot_make_itself_a_requester_or_an_internal_response() {
    let network = Table::default().with(FONT, 200, &[OPEN, ("set-cookie", "a=b")]);
    let mut stand = worker(
        "onfetch = (event) => event.respondWith((async () => {
            const { request } = event;
            await fetch(request.url, { requesterId: 1, kept: { id: 1 } });
            const fetched = await fetch(request);
            const made = new Response(await fetched.text(), { headId: 1, type: 'basic', headers: fetched.headers });
            made.headId = 1;
            return made;
         })());",
        &network,
    );
    let response = response(&mut stand);
    assert!(network.asked()[0].head.requester.is_none());
    assert_eq!(response.head.response_type, ResponseType::Default);
    assert!(!response.head.headers.contains_key("set-cookie"));
}

#[test]
fn a_navigation_that_is_passed_on_is_still_whose_it_was() {
    let network = Table::default().with(FONT, 200, &[]);
    let mut stand = worker(
        "onfetch = (event) => event.respondWith((async () => {
            const { request } = event;
            await fetch(request.clone());
            await fetch(new Request(request, { mode: 'same-origin' }));
            await fetch(request);
            return new Response(JSON.stringify([request.url, request.mode]));
         })());",
        &network,
    );
    let link = Url::parse("https://link.test/").unwrap();
    let mut navigation = RequestHead::get(link.clone(), Origin::of(&link));
    navigation.url_list.push(Url::parse(FONT).unwrap());
    navigation.method = http::Method::POST;
    navigation.mode = RequestMode::Navigate;
    navigation.redirect = RedirectMode::Manual;
    navigation.destination = Destination::Iframe;
    let (answered, _) = stand.fetch_head(navigation.clone(), Body::empty());
    let Some(FetchAnswer::Response(response)) = answer(answered) else {
        panic!("{:?}", stand.lines.all());
    };
    assert_eq!(text(*response), format!(r#"["{FONT}","navigate"]"#));
    navigation.tainted_origin = true;
    let (answered, _) = stand.fetch_head(navigation, Body::empty());
    assert!(answer(answered).is_some());
    let asked = network.asked();
    let told: Vec<_> = asked
        .iter()
        .map(|asked| {
            ["origin", "sec-fetch-site", "sec-fetch-dest"].map(|it| asked.network_header(it))
        })
        .collect();
    let (linked, own) = (
        ["https://link.test", "cross-site", "empty"],
        ["https://fonts.example.com", "same-origin", "empty"],
    );
    let tainted = ["null", "cross-site", "empty"];
    assert_eq!(told, [linked, own, linked, tainted, own, tainted]);
}
