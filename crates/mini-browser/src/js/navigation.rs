//! Navigation: which document a navigable shows. (*HTML*, "navigation and session history".)

use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use rquickjs::{Ctx, Value};
use serde_json::json;
use service_worker::types::{ClientId, Environment, Origin};
use url::Url;

use super::console::ConsoleLevel;
use super::documents::{DocumentRequest, DocumentSource, FetchedDocument, Place};
use super::event_loop::EventLoop;
use super::json::Json;
use super::navigables::{Entry, Navigable, NavigableId};
use super::realm::{Completion, Realm, RealmKind, RealmOptions, RealmState};
use super::sandbox::Sandbox;
use super::task::{RealmId, TaskSource};
use super::window_proxy;

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
    pub(super) reload: bool,
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
            reload: false,
        }
    }
}

/// What becomes of the session history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    Push,
    Replace,
    /// The entry of that index, which is there.
    Traverse(usize),
}

/// A document to be shown.
struct NewDocument {
    environment: Environment,
    client: Option<Box<dyn std::any::Any + Send>>,
    /// The document's URL, with its fragment.
    url: Url,
    /// What relative URLs are resolved against, where that is not its URL.
    base_url: Option<Url>,
    content: Content,
    referrer: String,
    sandbox: Sandbox,
    history: History,
}

/// What a document is made from.
struct Content {
    bytes: Bytes,
    content_type: String,
}

impl EventLoop {
    /// *Create a new top-level traversable*, or *create a new child navigable*, with the initial
    /// `about:blank` of the origin of `creator`.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn create_navigable(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        creator: &RealmState,
        parent: Option<NavigableId>,
        name: String,
        sandbox: Sandbox,
    ) -> Result<NavigableId, String> {
        let url = about_blank();
        let place = place(creator, parent.is_some());
        let client = next_client(creator);
        let origin = if sandbox.origin {
            Origin::opaque(client.0)
        } else {
            creator.environment().origin.clone()
        };
        let environment = place.environment(client, url.clone(), origin);
        let base_url = creator.base_url();
        let mut options = creator.options().for_document(environment.clone());
        options.base_url = Some(base_url);
        options.sandbox = sandbox.union(if parent.is_some() {
            creator.options().sandbox
        } else {
            Sandbox::default()
        });
        let sandbox = options.sandbox;
        let (realm, id) = self.create_window(ctx, options, |proxy| Navigable {
            parent,
            children: Vec::new(),
            opener: None,
            name,
            active: RealmId::MAIN,
            sandbox,
            is_initial_about_blank: true,
            is_closing: false,
            navigation: 0,
            entries: Vec::new(),
            current: 0,
            client: None,
            proxy: proxy.proxy,
            target: proxy.target,
        })?;
        let client = source(creator).map(|documents| documents.0.create(&environment));
        if let Some(navigable) = self.navigables_mut().get_mut(id) {
            navigable.client = client;
            navigable.entries.push(Entry {
                url,
                document: realm.id(),
                state: None,
            });
        }
        open(
            ctx,
            &realm,
            &Content {
                bytes: Bytes::new(),
                content_type: "text/html".to_owned(),
            },
            creator.url().as_str(),
            true,
        );
        self.tell_ready(&realm);
        Ok(id)
    }

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
            && !to.reload
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
        let history = to.history;
        let about_origin = by.environment().origin.clone();
        let about_base = by.base_url();
        let referrer = (!to.no_referrer).then(|| by.referrer_source()).flatten();
        let source = source(by);
        let client = next_client(by);
        let request = DocumentRequest {
            url: to.url.clone(),
            method: to.method,
            body: to.body,
            source: by.environment().clone(),
            referrer: referrer.clone(),
            place: place.clone(),
            sandboxed: sandbox.origin,
            reload: to.reload,
        };
        let event_loop = Rc::clone(self);
        let url = to.url;
        let resource = to.resource;
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
                let new = match fetched {
                    Some(Ok(fetched)) if matches!(fetched.status, 204 | 205) => {
                        event_loop.loaded(ctx, id);
                        return;
                    }
                    Some(Ok(fetched)) => of_response(url, fetched, sandbox, history),
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
                            history,
                        );
                        new.referrer = referrer.map(String::from).unwrap_or_default();
                        new
                    }
                };
                event_loop.show(ctx, id, new);
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
            let documents = source(old.state());
            new.client = documents.map(|documents| documents.0.create(&new.environment));
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
            old.state().set_url(new.url.clone());
            old.state().set_base_url(new.base_url.clone());
            old.clone()
        } else {
            let mut options = old.state().options().for_document(new.environment.clone());
            options.url = new.url.clone();
            options.base_url = new.base_url.clone();
            options.sandbox = new.sandbox;
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
        let parent = self.navigables().get(id).and_then(|found| found.parent);
        let parent = parent.and_then(|parent| self.active(parent));
        if let Some(parent) = parent {
            #[expect(clippy::cast_precision_loss, reason = "ids are counters below 2^53")]
            let id = id.0 as f64;
            parent.state().call(ctx, "frameLoaded", (id,));
        }
    }

    /// *Navigate to a fragment.*
    fn navigate_to_fragment(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        id: NavigableId,
        active: &Realm,
        to: Navigate,
    ) {
        let old_url = active.state().url().clone();
        self.update_url_and_history(id, active, to.url.clone(), None, to.history);
        let urls = (old_url.to_string(), to.url.to_string());
        active.state().call(ctx, "fragment", urls);
    }

    /// *URL and history update steps.*
    pub(super) fn update_url_and_history(
        &self,
        id: NavigableId,
        active: &Realm,
        url: Url,
        state: Option<String>,
        history: History,
    ) {
        let mut navigables = self.navigables_mut();
        let Some(navigable) = navigables.get_mut(id) else {
            return;
        };
        let entry = Entry {
            url: url.clone(),
            document: active.id(),
            state,
        };
        put_entry(navigable, entry, history);
        active.state().set_url(url);
    }

    /// *Traverse the history by a delta.* A delta that leads nowhere does nothing.
    pub(super) fn traverse(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId, delta: i64) {
        let found = {
            let navigables = self.navigables();
            let Some(navigable) = navigables.get(id) else {
                return;
            };
            let index = i64::try_from(navigable.current)
                .ok()
                .and_then(|current| usize::try_from(current + delta).ok());
            index.and_then(|index| Some((index, navigable.entries.get(index)?.clone())))
        };
        let (Some((index, entry)), Some(active)) = (found, self.active(id)) else {
            return;
        };
        if entry.document != active.id() {
            let by = Rc::clone(active.state());
            let mut to = Navigate::to(entry.url, History::Traverse(index));
            to.reload = true;
            self.navigate(ctx, id, &by, to);
            return;
        }
        let old_url = active.state().url().to_string();
        active.state().set_url(entry.url.clone());
        if let Some(navigable) = self.navigables_mut().get_mut(id) {
            navigable.current = index;
        }
        let args = (old_url, entry.url.to_string());
        active.state().call(ctx, "traversed", args);
    }

    /// The realm of a navigable's active document.
    pub(super) fn active(&self, id: NavigableId) -> Option<Realm> {
        let active = self.navigables().get(id)?.active;
        self.realm(active)
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
            None => (Place::TopLevel, navigable.sandbox),
        }
    }

    fn tell_ready(&self, realm: &Realm) {
        let documents = source(realm.state());
        if let (Some(documents), Some(page)) = (documents, self.page(realm.id())) {
            let environment = realm.state().environment().clone();
            documents.0.ready(&environment, page);
        }
    }

    /// Makes the window of a new navigable.
    pub(super) fn create_window(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        options: RealmOptions,
        navigable: impl FnOnce(window_proxy::NewProxy) -> Navigable,
    ) -> Result<(Realm, NavigableId), String> {
        let id = self.navigables_mut().next_id();
        self.check_navigables()?;
        let proxy = self.new_proxy(ctx, id).map_err(|error| error.to_string())?;
        let navigable = navigable(proxy);
        self.navigables_mut().insert(id, navigable);
        match self.create_realm(ctx, options, Some(id)) {
            Ok(realm) => {
                if let Some(navigable) = self.navigables_mut().get_mut(id) {
                    navigable.active = realm.id();
                }
                Ok((realm, id))
            }
            Err(error) => {
                drop(self.navigables_mut().remove(id));
                Err(error)
            }
        }
    }
}

/// `javascript:` URLs. (*Navigate to a javascript: URL*.)
fn navigate_to_javascript(
    ctx: &Ctx<'_>,
    id: NavigableId,
    realm: &Realm,
    by: &Rc<RealmState>,
    to: &Navigate,
) {
    let event_loop = realm.state().event_loop();
    // Step 3: only by whoever may look into the document.
    let is_same = by.environment().origin == realm.state().environment().origin;
    if !is_same || realm.state().options().sandbox.scripts {
        return;
    }
    let encoded = &to.url.as_str()["javascript:".len()..];
    let bytes: Vec<u8> = percent_decode(encoded);
    let source = String::from_utf8_lossy(&bytes).into_owned();
    let name = realm.state().url().to_string();
    let result = super::page::evaluate_script(ctx, source, &name);
    let html = match result {
        Ok(value) => match value.as_string().map(rquickjs::String::to_string) {
            Some(Ok(html)) => html,
            _ => {
                // Step 9: no document comes of it, and the frame has loaded what it had.
                event_loop.loaded(ctx, id);
                return;
            }
        },
        Err(_) => {
            realm.state().report(ctx);
            return;
        }
    };
    let mut new = of_text(
        realm.state().url().clone(),
        &html,
        realm.state().environment().clone(),
        Some(realm.state().base_url()),
        realm.state().options().sandbox,
        History::Replace,
    );
    new.environment.id = next_client(realm.state());
    event_loop.show(ctx, id, new);
}

fn of_response(
    url: Url,
    fetched: FetchedDocument,
    sandbox: Sandbox,
    history: History,
) -> NewDocument {
    let content_type = fetched
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content = Content {
        content_type: content_type.unwrap_or("text/html").to_owned(),
        bytes: fetched.body,
    };
    let mut shown = fetched.environment.creation_url.clone();
    if shown.fragment().is_none() {
        shown.set_fragment(url.fragment());
    }
    NewDocument {
        url: shown,
        base_url: None,
        content,
        referrer: fetched.referrer,
        environment: fetched.environment,
        client: Some(fetched.client),
        sandbox,
        history,
    }
}

fn of_text(
    url: Url,
    html: &str,
    environment: Environment,
    base_url: Option<Url>,
    sandbox: Sandbox,
    history: History,
) -> NewDocument {
    NewDocument {
        environment,
        client: None,
        url,
        base_url,
        content: Content {
            bytes: Bytes::copy_from_slice(html.as_bytes()),
            content_type: "text/html;charset=utf-8".to_owned(),
        },
        referrer: String::new(),
        sandbox,
        history,
    }
}

/// Has the prelude make the document of a window. `ctx` is of any realm.
fn open(ctx: &Ctx<'_>, realm: &Realm, content: &Content, referrer: &str, is_initial: bool) {
    let text = content.bytes.strip_prefix(b"\xef\xbb\xbf");
    let text = String::from_utf8_lossy(text.unwrap_or(&content.bytes)).into_owned();
    let facts = json!({
        "html": text,
        "contentType": content.content_type,
        "referrer": referrer,
        "isInitialAboutBlank": is_initial,
    });
    let opened: Option<Value<'_>> = realm.state().call(ctx, "openDocument", (Json(facts),));
    if opened.is_none() && !realm.state().is_killed() {
        tracing::debug!(url = %realm.state().url().as_str(), "a document was not opened");
    }
}

/// *Finalize a cross-document navigation*: the session history has an entry for the document.
fn enter_history(navigable: &mut Navigable, new: &NewDocument, realm: RealmId, is_first: bool) {
    let history = if is_first && new.history == History::Push {
        History::Replace
    } else {
        new.history
    };
    let state = match history {
        History::Traverse(index) => navigable.entries.get(index).and_then(|e| e.state.clone()),
        History::Push | History::Replace => None,
    };
    let entry = Entry {
        url: new.url.clone(),
        document: realm,
        state,
    };
    put_entry(navigable, entry, history);
}

fn put_entry(navigable: &mut Navigable, entry: Entry, history: History) {
    let at = match history {
        History::Push if !navigable.entries.is_empty() => {
            navigable.entries.truncate(navigable.current + 1);
            navigable.entries.len()
        }
        History::Push | History::Replace => navigable.current,
        History::Traverse(index) => index,
    };
    if let Some(there) = navigable.entries.get_mut(at) {
        *there = entry;
        navigable.current = at;
    } else {
        navigable.entries.push(entry);
        navigable.current = navigable.entries.len() - 1;
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

/// *Percent-decode.*
fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%')
            .then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)))
            .flatten();
        match digits {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Whether a realm is a window's.
pub(super) const fn is_window(kind: &RealmKind) -> bool {
    matches!(kind, RealmKind::Window)
}
