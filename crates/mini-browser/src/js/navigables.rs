//! The navigables of an agent: its top-level pages, and the frames in them. (*HTML*, "navigables".)

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use rquickjs::{Ctx, Object, Persistent, Value};
use service_worker::types::fetch::Destination;
use url::Url;

use super::sandbox::Sandbox;
use super::task::RealmId;

/// A navigable. Never used twice by one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NavigableId(pub(super) u64);

/// A place for documents: a page, or a frame.
pub(super) struct Navigable {
    /// Whose document its container is in; `None` at top level.
    pub(super) parent: Option<NavigableId>,
    /// The document-tree child navigables of its active document.
    pub(super) children: Vec<NavigableId>,
    /// What `window.opener` is.
    pub(super) opener: Option<NavigableId>,
    /// Its target name.
    pub(super) name: String,
    /// The realm of its active document.
    pub(super) active: RealmId,
    /// The sandboxing flags that its container, or the page that opened it, gives its documents.
    pub(super) sandbox: Sandbox,
    /// What the requests of its navigations are for: the local name of its container.
    pub(super) destination: Destination,
    /// Whether its document is the one that it was made with.
    pub(super) is_initial_about_blank: bool,
    /// Whether `close()` was called.
    pub(super) is_closing: bool,
    /// Which navigation is the ongoing one: of others, what they fetched is not used.
    pub(super) navigation: u64,
    /// Its session history, and where in it the active document is.
    pub(super) entries: Vec<Entry>,
    pub(super) current: usize,
    /// When it was last given the focus.
    pub(super) focused_at: Option<Instant>,
    /// Dropped, the facade knows that the client of its active document is gone.
    pub(super) client: Option<Box<dyn Any + Send>>,
    /// Its `WindowProxy`, and what that knows of the active window.
    pub(super) proxy: Persistent<Value<'static>>,
    pub(super) target: Persistent<Object<'static>>,
}

/// A session history entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its URL.
    pub(super) url: Url,
    /// Which document is at it: entries of one document are told apart by URL and state only.
    pub(super) document: RealmId,
    /// Its serialized state, as the prelude serialized it.
    pub(super) state: Option<String>,
    /// What a document is made from when the entry is gone to, or loaded again.
    pub(super) resource: Resource,
}

/// A document state's *resource*.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Resource {
    /// What the URL leads to.
    #[default]
    Url,
    /// A `srcdoc`.
    Text(String),
    /// What the URL leads to, asked for with this body of this type.
    Post(Bytes, String),
}

/// All navigables of an agent.
#[derive(Default)]
pub(super) struct Navigables {
    by_id: BTreeMap<NavigableId, Navigable>,
    last: u64,
    /// The one whose viewport has the focus.
    focused: Option<NavigableId>,
}

impl Navigables {
    /// An id that no navigable has had.
    pub(super) fn next_id(&mut self) -> NavigableId {
        self.last += 1;
        NavigableId(self.last)
    }

    pub(super) fn insert(&mut self, id: NavigableId, navigable: Navigable) {
        if let Some(parent) = navigable
            .parent
            .and_then(|parent| self.by_id.get_mut(&parent))
        {
            parent.children.push(id);
        }
        self.by_id.insert(id, navigable);
    }

    pub(super) fn get(&self, id: NavigableId) -> Option<&Navigable> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: NavigableId) -> Option<&mut Navigable> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a navigable out, and of its parent's children. Those below it stay.
    pub(super) fn remove(&mut self, id: NavigableId) -> Option<Navigable> {
        let navigable = self.by_id.remove(&id)?;
        if self.focused == Some(id) {
            self.focused = navigable.parent;
        }
        if let Some(parent) = navigable
            .parent
            .and_then(|parent| self.by_id.get_mut(&parent))
        {
            parent.children.retain(|child| *child != id);
        }
        Some(navigable)
    }

    pub(super) fn take_all(&mut self) -> Vec<Navigable> {
        std::mem::take(&mut self.by_id).into_values().collect()
    }

    /// Its `WindowProxy`.
    pub(super) fn proxy<'js>(&self, ctx: &Ctx<'js>, id: NavigableId) -> Option<Value<'js>> {
        self.get(id)?.proxy.clone().restore(ctx).ok()
    }

    /// Gives one the focus, if it does not have it. Those above it have been focused with it.
    pub(super) fn focus(&mut self, id: NavigableId) -> bool {
        if self.focused == Some(id) || self.get(id).is_none() {
            return false;
        }
        self.focused = Some(id);
        let now = Instant::now();
        for id in self.focus_chain() {
            if let Some(navigable) = self.get_mut(id) {
                navigable.focused_at = Some(now);
            }
        }
        true
    }

    /// The one that has the focus, and those above it.
    pub(super) fn focus_chain(&self) -> Vec<NavigableId> {
        let focused = self.focused.into_iter();
        focused
            .flat_map(|id| std::iter::once(id).chain(self.ancestors(id)))
            .collect()
    }

    /// *Has focus steps.*
    pub(super) fn has_focus(&self, id: NavigableId) -> bool {
        self.focus_chain().contains(&id)
    }

    /// Its top-level traversable.
    pub(super) fn top(&self, id: NavigableId) -> NavigableId {
        let mut top = id;
        while let Some(parent) = self.get(top).and_then(|navigable| navigable.parent) {
            top = parent;
        }
        top
    }

    /// Its navigables above it, nearest first.
    pub(super) fn ancestors(&self, id: NavigableId) -> Vec<NavigableId> {
        let parent = |id| self.get(id).and_then(|navigable| navigable.parent);
        std::iter::successors(parent(id), |above| parent(*above)).collect()
    }

    /// It and all below it, itself first.
    pub(super) fn subtree(&self, id: NavigableId) -> Vec<NavigableId> {
        let mut found = vec![id];
        let mut at = 0;
        while let Some(next) = found.get(at) {
            let children = self.get(*next).map(|navigable| navigable.children.clone());
            found.extend(children.unwrap_or_default());
            at += 1;
        }
        found
    }

    /// *Rules for choosing a navigable*, of a name that is no keyword: in this tree first, then in
    /// any that this agent has.
    pub(super) fn named(&self, from: NavigableId, name: &str) -> Option<NavigableId> {
        let is_named = |id: &NavigableId| {
            let found = self.get(*id);
            found.is_some_and(|navigable| navigable.name == name && !navigable.is_closing)
        };
        let near = self.subtree(self.top(from));
        near.into_iter()
            .find(is_named)
            .or_else(|| self.by_id.keys().copied().find(is_named))
    }
}
