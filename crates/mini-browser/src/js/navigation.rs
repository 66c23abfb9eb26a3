//! Navigation: which document a navigable shows. (*HTML*, "navigation and session history".)

mod create;
mod history;
mod javascript_url;
mod new_document;

use std::any::Any;
use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use rquickjs::Ctx;
use service_worker::types::fetch::Destination;
use service_worker::types::{ClientId, Environment, Origin};
use tokio::sync::oneshot;
use url::Url;

pub(super) use self::history::History;
use self::history::enter_history;
use self::javascript_url::navigate_to_javascript;
pub(super) use self::new_document::open_resource;
use self::new_document::{NewDocument, adhering, of_response, of_text, open};
use super::blob_urls::ResolvedBlob;
use super::blocking::wait;
use super::console::ConsoleLevel;
use super::documents::{DocumentRequest, DocumentSource, NavigationKind, Place, Replaced};
use super::event_loop::EventLoop;
use super::navigables::{NavigableId, Resource};
use super::realm::{Completion, Realm, RealmKind, RealmState};
use super::sandbox::Sandbox;
use super::task::TaskSource;
use super::timings;
use crate::fetch::PolicyContainer;

/// What a navigable is navigated to.
pub(super) struct Navigate {
    pub(super) url: Url,
    /// What its document is made from instead of the URL's resource: an `iframe`'s `srcdoc`, or what
    /// a `javascript:` URL gave.
    pub(super) resource: Option<String>,
    pub(super) method: Method,
    pub(super) body: Option<(Bytes, String)>,
    pub(super) history: History,
    pub(super) no_referrer: bool,
    pub(super) kind: NavigationKind,
    /// Told the environment of the document that is shown then; dropped if none is.
    pub(super) shown: Option<oneshot::Sender<Option<Environment>>>,
}

impl Navigate {
    pub(super) const fn to(url: Url, history: History) -> Self {
        Self {
            url,
            resource: None,
            method: Method::GET,
            body: None,
            history,
            no_referrer: false,
            kind: NavigationKind::New,
            shown: None,
        }
    }
}

impl EventLoop {
    /// *Navigate.* `by` is the realm whose script, or whose element, navigates.
    pub(super) fn navigate(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        id: NavigableId,
        by: &Rc<RealmState>,
        to: Navigate,
    ) {
        let Some(active) = self.active(id) else {
            return;
        };
        // Step 12: a fragment of the same document.
        let is_fragment = to.resource.is_none()
            && to.kind == NavigationKind::New
            && to.method == Method::GET
            && to.url.fragment().is_some()
            && without_fragment(&to.url) == without_fragment(&active.state().url());
        if is_fragment {
            self.navigate_to_fragment(ctx, id, &active, to);
            return;
        }
        let navigation = {
            let mut navigables = self.navigables_mut();
            let Some(navigable) = navigables.get_mut(id) else {
                return;
            };
            navigable.navigation += 1;
            navigable.navigation
        };
        if to.url.scheme() == "javascript" {
            let by = Rc::clone(by);
            active.state().queue(TaskSource::Navigation, move |realm| {
                realm.with(|ctx| navigate_to_javascript(ctx, id, realm, &by, &to));
            });
            return;
        }
        self.populate(id, navigation, &active, by, to);
    }

    /// *Attempt to populate the history entry's document*, and then show it.
    fn populate(
        self: &Rc<Self>,
        id: NavigableId,
        navigation: u64,
        active: &Realm,
        by: &Rc<RealmState>,
        to: Navigate,
    ) {
        let (place, sandbox) = self.place_of(id);
        let destination = self.destination_of(id);
        let history = to.history;
        let about_origin = by.environment().origin.clone();
        let about_base = by.base_url();
        let creator = by.environment().id;
        let referrer = (!to.no_referrer).then(|| by.referrer_source()).flatten();
        let inherited = by.policies().clone();
        let around = self.policies_around(id);
        let source = source(by);
        let client = next_client(by);
        let made_from = match (&to.resource, &to.body) {
            (Some(text), _) if is_about(&to.url) => Resource::Text(text.clone()),
            (_, Some((body, body_type))) => Resource::Post(body.clone(), body_type.clone()),
            (_, None) => Resource::Url,
        };
        let request = DocumentRequest {
            url: to.url.clone(),
            method: to.method,
            body: to.body,
            blob: ResolvedBlob::for_navigation(by, &to.url),
            source: by.environment().clone(),
            referrer: referrer.clone(),
            place: place.clone(),
            destination,
            sandboxed: sandbox.origin,
            kind: to.kind,
            replaces: Some(Replaced {
                client: active.state().environment().id,
                origin: active.state().environment().origin.clone(),
            }),
            policies: inherited.clone(),
        };
        let event_loop = Rc::clone(self);
        let url = to.url;
        let resource = to.resource;
        let shown = to.shown;
        active.state().spawn(Box::pin(async move {
            let is_local = resource.is_some() || is_about(&url);
            let fetched = match (&source, is_local) {
                (_, true) => None,
                (Some(documents), false) => Some(documents.0.fetch(request).await),
                (None, false) => Some(Err("this window has no network".to_owned())),
            };
            let completion: Completion = Box::new(move |ctx| {
                let is_ongoing = event_loop
                    .navigables()
                    .get(id)
                    .is_some_and(|navigable| navigable.navigation == navigation);
                if !is_ongoing {
                    return;
                }
                let fetched = fetched.map(|fetched| adhering(fetched, around.as_ref()));
                let is_document = !matches!(fetched, Some(Err(_)));
                let new = match fetched {
                    Some(Ok(fetched)) if matches!(fetched.status, 204 | 205) => {
                        event_loop.settled(ctx, id);
                        return;
                    }
                    Some(Ok(fetched)) => {
                        let keeps = !fetched.became_get;
                        let mut new = of_response(url, fetched, sandbox, inherited, history);
                        new.resource = Some(made_from).filter(|_| keeps).unwrap_or_default();
                        new
                    }
                    Some(Err(error)) => {
                        if let Some(realm) = super::realm::state_of(ctx) {
                            let text = format!("navigation to {url} failed: {error}");
                            realm.log(ConsoleLevel::Error, &text);
                        }
                        // A document of an origin of its own.
                        of_text(
                            url,
                            "",
                            place.environment(client, about_blank(), Origin::opaque(client.0)),
                            None,
                            sandbox,
                            PolicyContainer::default(),
                            history,
                        )
                    }
                    None => {
                        let origin = if sandbox.origin {
                            Origin::opaque(client.0)
                        } else {
                            about_origin
                        };
                        let environment = place.environment(client, url.clone(), origin);
                        let mut new = of_text(
                            url,
                            resource.as_deref().unwrap_or_default(),
                            environment,
                            Some(about_base),
                            sandbox,
                            inherited,
                            history,
                        );
                        new.referrer = referrer.map(String::from).unwrap_or_default();
                        new.creator = Some(creator);
                        new.resource = made_from;
                        new
                    }
                };
                let environment = new.environment.clone();
                event_loop.show(ctx, id, new);
                if let (Some(shown), true) = (shown, is_document) {
                    // Whoever navigated may be gone.
                    drop(shown.send(Some(environment)));
                }
            });
            completion
        }));
    }

    /// Shows a document: unloads the one that is there, and gives the navigable another window, or
    /// the same one if that is of the initial `about:blank` and of the same origin.
    fn show(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId, mut new: NewDocument) {
        let Some(old) = self.active(id) else {
            return;
        };
        if new.client.is_none() {
            new.client = create_client(old.state(), &new.environment, new.creator);
        }
        self.unload(ctx, id);
        let reuses = {
            let navigables = self.navigables();
            let Some(navigable) = navigables.get(id) else {
                return;
            };
            // "Create and initialize a Document object", step 6.
            navigable.is_initial_about_blank
                && !old.state().has_ended()
                && old.state().environment().origin == new.environment.origin
                && old.state().options().sandbox == new.sandbox
        };
        let realm = if reuses {
            old.state().set_environment(new.environment.clone());
            old.enter(ctx, |realm, ctx| {
                realm.state().call(ctx, "client changed", ())
            });
            old.state().set_url(new.url.clone());
            old.state().set_policies(new.policies.clone());
            old.state().set_base_url(new.base_url.clone());
            old.clone()
        } else {
            let mut options = old.state().options().for_document(new.environment.clone());
            options.url = new.url.clone();
            options.base_url = new.base_url.clone();
            options.sandbox = new.sandbox;
            options.policies = new.policies.clone();
            match self.create_realm(ctx, options, Some(id)) {
                Ok(realm) => realm,
                Err(error) => {
                    let text = format!("no window for {}: {error}", new.url);
                    old.state().log(ConsoleLevel::Error, &text);
                    return;
                }
            }
        };
        let old_client = {
            let mut navigables = self.navigables_mut();
            let Some(navigable) = navigables.get_mut(id) else {
                return;
            };
            navigable.active = realm.id();
            navigable.is_initial_about_blank = false;
            let is_first =
                navigable.entries.len() == 1 && navigable.entries[0].url == about_blank() && reuses;
            enter_history(navigable, &new, realm.id(), is_first);
            std::mem::replace(&mut navigable.client, new.client)
        };
        if self.main_navigable() == Some(id) {
            self.set_main(realm.id());
        }
        if !reuses {
            self.destroy_realm(old.id());
        }
        drop(old_client);
        if let Some(timing) = new.timing.take() {
            let navigated = timings::navigated(realm.state(), timing);
            let parent = self.navigables().get(id).and_then(|found| found.parent);
            if let Some(parent) = parent.and_then(|parent| self.active(parent)) {
                navigated.report_to(parent.state());
            }
        }
        realm.enter(ctx, |realm, ctx| {
            open(ctx, realm, &new.content, &new.referrer, false);
        });
        self.tell_ready(&realm);
    }

    /// *Unload a document and its descendants*: their events, and the end of the frames in it.
    pub(super) fn unload(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId) {
        let subtree = self.navigables().subtree(id);
        for below in &subtree {
            if let Some(realm) = self.active(*below) {
                realm.enter(ctx, |realm, ctx| realm.state().call(ctx, "unload", ()));
            }
        }
        for below in subtree.into_iter().skip(1).rev() {
            self.destroy_navigable(below);
        }
    }

    /// *Destroy a child navigable*, or close a page: its realm and all below it end.
    pub(super) fn destroy_navigable(&self, id: NavigableId) {
        let subtree = self.navigables().subtree(id);
        for below in subtree.into_iter().rev() {
            let navigable = self.navigables_mut().remove(below);
            if let Some(navigable) = navigable {
                self.destroy_realm(navigable.active);
                drop(navigable);
            }
        }
    }

    /// The document of a navigable has loaded: its container hears of it.
    /// (*Completely finish loading*, step 4.)
    pub(super) fn loaded(&self, ctx: &Ctx<'_>, id: NavigableId) {
        self.tell_container(ctx, id, "frameLoaded");
    }

    /// A navigation came to nothing: its container's document waits for it no longer.
    fn settled(&self, ctx: &Ctx<'_>, id: NavigableId) {
        self.tell_container(ctx, id, "frameSettled");
    }

    fn tell_container(&self, ctx: &Ctx<'_>, id: NavigableId, hook: &str) {
        let parent = self.navigables().get(id).and_then(|found| found.parent);
        let parent = parent.and_then(|parent| self.active(parent));
        if let Some(parent) = parent {
            #[expect(clippy::cast_precision_loss, reason = "ids are counters below 2^53")]
            let id = id.0 as f64;
            parent.state().call(ctx, hook, (id,));
        }
    }

    /// The realm of a navigable's active document.
    pub(super) fn active(&self, id: NavigableId) -> Option<Realm> {
        let active = self.navigables().get(id)?.active;
        self.realm(active)
    }

    /// The policies of the document that a navigable is in.
    fn policies_around(&self, id: NavigableId) -> Option<PolicyContainer> {
        let parent = self.navigables().get(id)?.parent?;
        let around = self.active(parent)?.state().policies().clone();
        Some(around)
    }

    /// Where the next document of a navigable will be, and what it may not do.
    fn place_of(&self, id: NavigableId) -> (Place, Sandbox) {
        let navigables = self.navigables();
        let Some(navigable) = navigables.get(id) else {
            return (Place::TopLevel, Sandbox::default());
        };
        let parent = navigable.parent.and_then(|parent| {
            let active = navigables.get(parent)?.active;
            self.realm(active)
        });
        match parent {
            Some(parent) => (
                Place::Frame(Box::new(parent.state().environment().clone())),
                navigable.sandbox.union(parent.state().options().sandbox),
            ),
            None if navigable.opener.is_some() => (Place::Auxiliary, navigable.sandbox),
            None => (Place::TopLevel, navigable.sandbox),
        }
    }

    /// What the requests of a navigable's navigations are for.
    fn destination_of(&self, id: NavigableId) -> Destination {
        let navigables = self.navigables();
        let navigable = navigables.get(id);
        navigable.map_or(Destination::Document, |navigable| navigable.destination)
    }

    fn tell_ready(&self, realm: &Realm) {
        let documents = source(realm.state());
        if let (Some(documents), Some(page)) = (documents, self.page(realm.id())) {
            let environment = realm.state().environment().clone();
            documents.0.ready(&environment, page);
        }
    }
}

fn place(creator: &RealmState, is_child: bool) -> Place {
    if is_child {
        Place::Frame(Box::new(creator.environment().clone()))
    } else {
        Place::TopLevel
    }
}

fn source(realm: &RealmState) -> Option<std::sync::Arc<DocumentSource>> {
    realm.service::<DocumentSource>()
}

/// The client of a document that is not fetched: it has the controller of its creator, if that is of
/// the same origin.
fn create_client(
    realm: &RealmState,
    environment: &Environment,
    creator: Option<ClientId>,
) -> Option<Box<dyn Any + Send>> {
    let documents = source(realm)?;
    let client = documents.0.create(environment);
    let controlled = |creator: &ClientId| realm.seam().controller(*creator).is_some();
    if let Some(creator) = creator.filter(controlled) {
        // The realm reads its controller as it is made: by then the facade must know who that is.
        let inherited = documents.0.inherit_controller(environment, creator);
        if let Err(error) = wait(realm, inherited) {
            tracing::debug!(%error, "a document has no controller yet");
        }
    }
    Some(client)
}

/// The id of a client to be; without a browser around the agent, one that no browser gives.
fn next_client(realm: &RealmState) -> ClientId {
    match source(realm) {
        Some(documents) => documents.0.next_client(),
        None => ClientId((1 << 52) + realm.event_loop().next_number()),
    }
}

/// `about:blank`
pub(super) fn about_blank() -> Url {
    #[expect(clippy::expect_used, reason = "a constant that is a URL")]
    Url::parse("about:blank").expect("about:blank is a URL")
}

fn is_about(url: &Url) -> bool {
    url.scheme() == "about" && matches!(url.path(), "blank" | "srcdoc")
}

/// A URL's serialization, with *exclude fragment*.
pub(super) fn without_fragment(url: &Url) -> &str {
    url.as_str().split('#').next().unwrap_or_default()
}

/// Whether a realm is a window's.
pub(super) const fn is_window(kind: &RealmKind) -> bool {
    matches!(kind, RealmKind::Window)
}
