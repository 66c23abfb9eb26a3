//! Reloading and traversing: what the browser is asked for then.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use service_worker::types::{ClientId, Environment};
use url::Url;

use super::stand::{Facade, Lines, PAGE, page_with, wait};
use crate::js::{
    DocumentRequest, DocumentSource, Documents, FetchedDocument, Page, PageOptions, Pending,
};

/// Each document says how it was asked for.
#[derive(Default)]
struct Telling(AtomicU64);

impl Documents for Telling {
    fn next_client(&self) -> ClientId {
        ClientId(100 + self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn create(&self, _: &Environment) -> Box<dyn Any + Send> {
        Box::new(())
    }

    fn caught_up(&self) -> Pending<()> {
        Box::pin(std::future::ready(()))
    }

    fn inherit_controller(&self, _: &Environment, _: ClientId) -> Pending<Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn fetch(&self, request: DocumentRequest) -> Pending<Result<FetchedDocument, String>> {
        let DocumentRequest {
            method, body, kind, ..
        } = &request;
        let body = body.as_ref().map(|(body, _)| String::from_utf8_lossy(body));
        let told = format!("{method} {kind:?} {}", body.unwrap_or_default());
        let replaces = request.replaces.clone();
        let seen = replaces.and_then(|there| there.seen_by(&request.url));
        let told = format!("<body>{told}<i>{}</i>", seen.is_some());
        let environment = request.environment(self.next_client(), request.url.clone());
        let mut document = FetchedDocument::new(environment, Box::new(()), told.into());
        document.became_get = request.url.path() == "/redirected";
        Box::pin(std::future::ready(Ok(document)))
    }

    fn ready(&self, _: &Environment, _: Page) {}
}

/// What the page's script gives, where `load(steps)` is what a frame shows after these.
fn with_frame(source: &str) -> Value {
    let documents = Arc::new(DocumentSource(Arc::new(Telling::default())));
    let environment = Environment::top_level(ClientId(9), Url::parse(PAGE).expect("a URL"));
    let mut options = PageOptions::new(
        environment,
        Arc::new(Lines::default()),
        Arc::new(Facade::default()),
    );
    options.prepare = Some(Arc::new(move |realm| {
        realm.with_service(Arc::clone(&documents))
    }));
    let source = format!(
        "(async () => {{
            const root = document.documentElement ?? document.appendChild(document.createElement('html'));
            const frame = document.createElement('iframe');
            const load = (steps) => new Promise((done) => {{
                frame.onload = () => done(frame.contentDocument.body?.textContent);
                steps();
            }});
            const post = (url) => load(() => {{
                const form = frame.contentDocument.createElement('form');
                form.method = 'post'; form.action = url;
                form.append(Object.assign(frame.contentDocument.createElement('input'), {{ name: 'a', value: '1' }}));
                frame.contentDocument.body.append(form);
                form.submit();
            }});
            {source} }})()"
    );
    let (page, _) = page_with(options);
    wait(page.run_script(source, "https://fonts.example.com/test.js"))
        .expect("the script ends well")
}

#[test]
fn a_reload_is_said_to_be_one_and_keeps_the_state() {
    assert_eq!(
        with_frame(
            "frame.src = '/a#f';
            const seen = [await load(() => root.append(frame))];
            frame.contentWindow.history.replaceState('kept', '');
            seen.push(await load(() => frame.contentWindow.location.reload()));
            seen.push(frame.contentWindow.history.state, frame.contentWindow.location.hash, frame.contentWindow.history.length);
            seen.push(await load(() => frame.contentWindow.history.go(0)));
            seen.push(await load(() => frame.contentWindow.history.go()));
            return seen;"
        ),
        json!([
            "GET New true",
            "GET Reload true",
            "kept",
            "#f",
            1,
            "GET Reload true",
            "GET Reload true"
        ])
    );
}

#[test]
fn what_was_posted_is_posted_again_unless_a_redirect_had_made_a_get_of_it() {
    assert_eq!(
        with_frame(
            "frame.src = '/a';
            await load(() => root.append(frame));
            const seen = [await post('/posted')];
            seen.push(await load(() => frame.contentWindow.location.reload()));
            seen.push(await load(() => { frame.src = '/b'; }));
            seen.push(await load(() => frame.contentWindow.history.back()));
            await post('/redirected');
            seen.push(await load(() => frame.contentWindow.location.reload()));
            return seen;"
        ),
        json!([
            "POST New a=1true",
            "POST Reload a=1true",
            "GET New true",
            "POST Traverse a=1true",
            "GET Reload true"
        ])
    );
}

#[test]
fn a_srcdoc_is_made_again_from_its_text() {
    assert_eq!(
        with_frame(
            "frame.srcdoc = 'of text';
            await load(() => root.append(frame));
            return await load(() => frame.contentWindow.location.reload());"
        ),
        json!("of text")
    );
}

#[test]
fn a_document_that_is_replaced_is_named_to_its_own_origin_alone() {
    assert_eq!(
        with_frame(
            "frame.src = '/a';
            await load(() => root.append(frame));
            const shown = new Promise((done) => { frame.onload = done; });
            frame.src = 'https://other.example/a';
            await shown;
            return [await load(() => { frame.src = '/b'; }), await load(() => { frame.src = '/c'; })];"
        ),
        json!(["GET New false", "GET New true"])
    );
}
