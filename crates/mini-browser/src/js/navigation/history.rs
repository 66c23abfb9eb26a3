//! Session history: fragments, and entries of one document or of several.

use std::rc::Rc;

use http::Method;
use rquickjs::Ctx;
use url::Url;

use super::Navigate;
use super::new_document::NewDocument;
use crate::js::documents::NavigationKind;
use crate::js::event_loop::EventLoop;
use crate::js::navigables::{Entry, Navigable, NavigableId, Resource};
use crate::js::realm::Realm;
use crate::js::task::RealmId;

/// What becomes of the session history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::js) enum History {
    Push,
    Replace,
    /// The entry of that index, which is there.
    Traverse(usize),
}

impl EventLoop {
    /// *Navigate to a fragment.*
    pub(super) fn navigate_to_fragment(
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
        if let Some(shown) = to.shown {
            // Whoever navigated may be gone.
            drop(shown.send(Some(active.state().environment().clone())));
        }
    }

    /// *URL and history update steps.*
    pub(in crate::js) fn update_url_and_history(
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
            resource: navigable.entries[navigable.current].resource.clone(),
        };
        put_entry(navigable, entry, history);
        active.state().set_url(url);
    }

    /// *Reload.*
    pub(in crate::js) fn reload(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId) {
        let current = {
            let navigables = self.navigables();
            let navigable = navigables.get(id);
            navigable.and_then(|navigable| {
                let index = navigable.current;
                Some((index, navigable.entries.get(index)?.clone()))
            })
        };
        if let (Some(current), Some(active)) = (current, self.active(id)) {
            self.load_entry(ctx, id, &active, current, NavigationKind::Reload);
        }
    }

    /// Makes the document of an entry again, from what it was made from before.
    fn load_entry(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        id: NavigableId,
        active: &Realm,
        (index, entry): (usize, Entry),
        kind: NavigationKind,
    ) {
        let mut to = Navigate::to(entry.url, History::Traverse(index));
        to.kind = kind;
        match entry.resource {
            Resource::Url => {}
            Resource::Text(text) => to.resource = Some(text),
            Resource::Post(body, body_type) => {
                to.method = Method::POST;
                to.body = Some((body, body_type));
            }
        }
        let by = Rc::clone(active.state());
        self.navigate(ctx, id, &by, to);
    }

    /// *Traverse the history by a delta.* A delta that leads nowhere does nothing.
    pub(in crate::js) fn traverse(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId, delta: i64) {
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
        // Traverse the history by a delta, step 2.
        if delta == 0 {
            return self.reload(ctx, id);
        }
        let (Some((index, entry)), Some(active)) = (found, self.active(id)) else {
            return;
        };
        if entry.document != active.id() {
            self.load_entry(ctx, id, &active, (index, entry), NavigationKind::Traverse);
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
}

/// *Finalize a cross-document navigation*: the session history has an entry for the document.
pub(super) fn enter_history(
    navigable: &mut Navigable,
    new: &NewDocument,
    realm: RealmId,
    is_first: bool,
) {
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
        resource: new.resource.clone(),
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
