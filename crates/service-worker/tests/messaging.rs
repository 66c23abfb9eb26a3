//! Messages between clients and service workers, the clients that workers find, and what they
//! import, through the whole facade.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "not every test of the house needs all of it")]
mod common;

use std::sync::{Arc, Mutex};

use common::{House, SERVICE, message, next, quiet, url};
use futures_util::FutureExt;
use service_worker::message_port::MessageChannel;
use service_worker::native_host::NativeWorker;
use service_worker::types::{ClientId, Environment, WorkerId};
use service_worker::{HostEvent, ImportError, MessageSource, Policies};

const PAGE: &str = "https://echo.test/page";

/// A worker that tells the test what it is sent, and answers with one message.
fn answering(heard: &Arc<Mutex<Vec<String>>>) -> NativeWorker {
    let heard = Arc::clone(heard);
    NativeWorker::new().on_post(move |scope, detail| {
        let text = String::from_utf8(detail.message.payload.to_vec()).unwrap();
        heard.lock().unwrap().push(text);
        let source = match detail.source {
            MessageSource::Client(environment) => Some(environment.id),
            MessageSource::Worker(_) => None,
        };
        let worker = scope.start.worker;
        if let Some(client) = source {
            scope
                .handle
                .post_message_to_client(worker, client, message("heard you"));
        }
        for port in detail.message.ports {
            port.post_message(message("and your port"));
            scope.keep(port);
        }
        async {}
    })
}

async fn house_with_page() -> (House, ClientId, WorkerId, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::default();
    let mut house = House::new(Policies::seeds(), [("echo", answering(&heard))]);
    house.install().await;
    let page = house.page(1, PAGE);
    quiet().await;
    let view = house.handle.registration(page, &url(PAGE)).await.unwrap();
    let worker = view.unwrap().active.unwrap().id;
    (house, page, worker, heard)
}

#[tokio::test]
async fn a_message_wakes_a_stopped_worker_and_its_answer_comes_back() {
    let (house, page, worker, heard) = house_with_page().await;
    house.pass_seconds(120).await; // long idle: it is stopped
    let MessageChannel { port1, port2 } = MessageChannel::new();
    let mut port1 = port1;
    port1.start();
    let first = message("one").with_port(port2.transfer().unwrap());
    house.handle.post_message(page, worker, first);
    house.handle.post_message(page, worker, message("two"));
    quiet().await;
    assert_eq!(*heard.lock().unwrap(), ["one", "two"]);
    assert_eq!(next(&mut port1).await, "and your port");
    let inbox = house.inbox.lock().unwrap();
    assert_eq!(inbox.len(), 2);
    let (client, answer) = &inbox[0];
    assert_eq!(*client, page);
    assert_eq!(answer.message.payload, "heard you");
    assert_eq!(answer.origin.as_str(), "https://echo.test");
    assert_eq!(answer.source.id, worker);
    assert_eq!(answer.registration.active.as_ref(), Some(&answer.source));
}

#[tokio::test]
async fn a_page_of_another_origin_posts_to_nobody() {
    let (house, _, worker, heard) = house_with_page().await;
    let stranger = house.page(2, "https://acme.test/");
    house.handle.post_message(stranger, worker, message("psst"));
    house
        .handle
        .post_message(ClientId(77), worker, message("who?"));
    quiet().await;
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_that_does_not_listen_is_not_started_for_a_message() {
    let silent = NativeWorker::new().on_install(|_, _| async { Ok(()) });
    let mut house = House::new(Policies::seeds(), [("echo", silent)]);
    house.install().await;
    let page = house.page(1, PAGE);
    quiet().await;
    let view = house.handle.registration(page, &url(PAGE)).await.unwrap();
    let worker = view.unwrap().active.unwrap().id;
    house.pass_seconds(120).await;
    house.handle.post_message(page, worker, message("anybody?"));
    house
        .handle
        .post_message(page, WorkerId(999), message("nobody"));
    quiet().await;
    assert!(house.inbox.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_does_not_reach_clients_of_others() {
    let (house, _, worker, _) = house_with_page().await;
    let stranger = house.page(2, "https://acme.test/");
    quiet().await;
    let handle = &house.handle;
    handle.post_message_to_client(worker, stranger, message("psst"));
    quiet().await;
    assert!(house.inbox.lock().unwrap().is_empty());
    assert_eq!(handle.client(worker, stranger).await, None);
    assert_eq!(handle.client(worker, ClientId(99)).await, None);
}

#[tokio::test]
async fn clients_are_found_once_they_are_ready() {
    let (house, page, worker, _) = house_with_page().await;
    let handle = &house.handle;
    let environment = Environment::top_level(ClientId(5), url("https://echo.test/five"));
    handle.host_event(HostEvent::ClientCreated(environment.clone()));
    quiet().await;
    let mut pending = Box::pin(handle.client(worker, ClientId(5)));
    quiet().await;
    assert_eq!((&mut pending).now_or_never(), None);
    let ids = |found: Vec<Environment>| found.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(handle.clients(worker, true).await), [page]);
    handle.host_event(HostEvent::ClientReady(ClientId(5)));
    assert_eq!(pending.await, Some(environment));
    assert_eq!(ids(handle.clients(worker, true).await), [page, ClientId(5)]);
    // Neither was loaded through the worker.
    assert_eq!(ids(handle.clients(worker, false).await), []);
    handle.claim(worker).await.unwrap();
    assert_eq!(
        ids(handle.clients(worker, false).await),
        [page, ClientId(5)]
    );
    // One that goes before it is ready is none.
    let six = Environment::top_level(ClientId(6), url("https://echo.test/six"));
    handle.host_event(HostEvent::ClientCreated(six));
    let pending = handle.client(worker, ClientId(6));
    handle.host_event(HostEvent::ClientGone(ClientId(6)));
    assert_eq!(pending.await, None);
}

#[tokio::test]
async fn registrations_are_listed_in_the_order_of_their_scopes() {
    let (house, page, _, _) = house_with_page().await;
    house.serve("https://echo.test/b/sw.js", "echo");
    let mut options = service_worker::RegisterOptions {
        script_url: "/b/sw.js".into(),
        scope: None,
        base_url: url(SERVICE),
        worker_type: service_worker::types::WorkerType::Classic,
        update_via_cache: service_worker::types::UpdateViaCache::Imports,
        referrer: None,
    };
    house.handle.register(page, options.clone()).await.unwrap();
    options.scope = Some("/b/a/".into());
    house.handle.register(page, options).await.unwrap();
    let found = house.handle.registrations(page).await;
    let scopes: Vec<_> = found.iter().map(|view| view.scope.as_str()).collect();
    let expected = [
        "https://echo.test/",
        "https://echo.test/b/",
        "https://echo.test/b/a/",
    ];
    assert_eq!(scopes, expected);
    let stranger = house.page(2, "https://acme.test/");
    quiet().await;
    assert!(house.handle.registrations(stranger).await.is_empty());
}

#[tokio::test]
async fn what_a_worker_imported_while_it_was_installed_it_has_for_good() {
    let imports: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&imports);
    let import = move |scope: service_worker::native_host::Scope, name: &'static str| {
        let log = Arc::clone(&log);
        async move {
            let url = url(&format!("https://cdn.test/{name}#part"));
            let imported = scope.handle.import_script(scope.start.worker, url).await;
            let said = match imported {
                Ok(script) => String::from_utf8(script.body.to_vec()).unwrap(),
                Err(ImportError::Installed(_)) => "installed".to_owned(),
                Err(error) => format!("error: {error}"),
            };
            log.lock().unwrap().push(format!("{name} {said}"));
        }
    };
    let later = import.clone();
    let worker = NativeWorker::new()
        .on_install(move |scope, _| {
            let import = import.clone();
            async move {
                import(scope.clone(), "a.js").await;
                import(scope.clone(), "a.js").await;
                import(scope, "missing.js").await;
                Ok(())
            }
        })
        .on_post(move |scope, _| {
            let later = later.clone();
            async move {
                later(scope.clone(), "a.js").await;
                later(scope, "b.js").await;
            }
        });
    let mut house = House::new(Policies::seeds(), [("echo", worker)]);
    house.serve("https://cdn.test/a.js", "version 1");
    house.serve("https://cdn.test/b.js", "never");
    let page = house.page(1, PAGE);
    house.install_for(page).await;
    house.serve("https://cdn.test/a.js", "version 2");
    house.pass_seconds(120).await;
    let view = house.handle.registration(page, &url(PAGE)).await.unwrap();
    let worker = view.unwrap().active.unwrap().id;
    house.handle.post_message(page, worker, message("import"));
    quiet().await;
    let log = imports.lock().unwrap();
    assert_eq!(log.len(), 5, "{log:?}");
    assert_eq!(log[..2], ["a.js version 1", "a.js version 1"]);
    assert!(log[2].starts_with("missing.js error: "), "{log:?}");
    assert_eq!(log[3..], ["a.js version 1", "b.js installed"]);
}
