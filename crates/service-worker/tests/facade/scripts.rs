//! How the scripts of workers are asked for.

use std::pin::pin;

use http::StatusCode;
use http::header::REFERER;
use service_worker::types::fetch::{Referrer, ReferrerPolicy};
use service_worker::types::{EventType, RegistrationId, WorkerState};
use service_worker::{FetchAnswer, Policies, RegisterOptions, WorkerInbox};

use crate::stand::{FONTS, JS, SITE, Stand, navigation, options, ready, url};

fn page_at(path: &str, policy: ReferrerPolicy) -> Option<Referrer> {
    let url = url(SITE).join(path).unwrap();
    Some(Referrer { url, policy })
}

/// The `Referer` of the last request.
fn referer(stand: &Stand) -> Option<String> {
    let headers = stand.network.last_headers();
    headers
        .get(REFERER)
        .map(|it| it.to_str().unwrap().to_owned())
}

/// A page registers, and its worker listens to nothing.
fn registered(stand: &mut Stand, referrer: Option<Referrer>) -> (RegistrationId, WorkerInbox) {
    stand.network.serve(&format!("{SITE}sw.js"), &[JS], "");
    let page = stand.page(1, SITE);
    let options = RegisterOptions {
        referrer,
        ..options()
    };
    let registered = stand.handle.register(page, options);
    let (start, inbox) = stand.start();
    stand.started(&start, &[EventType::Fetch]);
    let id = stand.settle("the registration", registered).unwrap().id;
    stand.until_state(WorkerState::Activated);
    (id, inbox)
}

#[test]
fn a_main_script_is_referred_to_by_who_registers_and_by_who_updates() {
    use ReferrerPolicy::*;
    let mut stand = Stand::new(Policies::seeds());
    let (id, _inbox) = registered(&mut stand, page_at("a?b#c", StrictOriginWhenCrossOrigin));
    assert_eq!(referer(&stand).as_deref(), Some("https://site.test/a?b"));
    for (referrer, told) in [
        (page_at("d", UnsafeUrl), Some("https://site.test/d")),
        (page_at("d", Origin), Some(SITE)),
        (page_at("d", NoReferrer), None),
        (None, None),
    ] {
        let update = stand.handle.update(id, None, referrer);
        stand.settle("the update", update).unwrap();
        assert_eq!(referer(&stand).as_deref(), told);
    }
}

#[test]
fn nobody_refers_to_the_script_of_a_soft_update() {
    let mut stand = Stand::new(Policies::seeds());
    let (_, mut inbox) = registered(&mut stand, page_at("", ReferrerPolicy::UnsafeUrl));
    assert!(referer(&stand).is_some());
    stand.network.serve(SITE, &[], "the page");
    let mut page = pin!(stand.handle.fetch(navigation(&stand, 2, SITE)));
    assert!(ready(page.as_mut()).is_none());
    let dispatch = stand.event(&mut inbox);
    dispatch.responder.respond(FetchAnswer::NotHandled);
    drop(dispatch.keep_alive);
    stand.settle("the page", page).unwrap();
    let delay = Policies::seeds().limits.soft_update_delay;
    stand.clock.pass(delay);
    let script = format!("{SITE}sw.js");
    stand.until("the soft update", |stand| {
        (stand.network.asked(&script) == 2).then_some(())
    });
    assert_eq!(referer(&stand), None);
}

#[test]
fn an_import_is_referred_to_by_its_worker_as_that_and_its_redirects_allow() {
    let mut stand = Stand::new(Policies::seeds());
    stand.network.serve(
        &format!("{SITE}sw.js"),
        &[JS, ("referrer-policy", "same-origin")],
        "",
    );
    let redirect = |to| [("location", to), ("referrer-policy", "origin")];
    let from = format!("{SITE}from.js");
    let to = format!("{FONTS}to.js");
    let found = StatusCode::FOUND;
    stand
        .network
        .serve_as(found, &from, &redirect("https://fonts.test/to.js"), "");
    stand.network.serve(&to, &[JS], "");
    let page = stand.page(1, SITE);
    let _registered = stand.handle.register(page, options());
    let (start, _inbox) = stand.start();
    let direct = stand.handle.import_script(start.worker, url(&to));
    stand.settle("the import", direct).unwrap();
    assert_eq!(referer(&stand), None, "same-origin tells no other origin");
    let redirected = stand.handle.import_script(start.worker, url(&from));
    stand.settle("the import", redirected).unwrap();
    assert_eq!(stand.network.asked(&to), 2);
    assert_eq!(referer(&stand).as_deref(), Some(SITE));
    let told = stand.network.headers_of(&from);
    let told = told[REFERER].to_str().unwrap();
    assert_eq!(told, "https://site.test/sw.js");
}
