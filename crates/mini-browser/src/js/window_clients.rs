//! Windows as service workers see them: what a `WindowClient` shows, and how it is navigated.
//! (*Service Workers*, "WindowClient".)

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rquickjs::Ctx;
use serde_json::{Value, json};
use service_worker::types::{ClientId, Environment};
use tokio::sync::oneshot;
use url::Url;

use super::event_loop::EventLoop;
use super::messages;
use super::navigables::NavigableId;
use super::navigation::{History, Navigate};
use super::realm::{Realm, RealmState};
use super::seam::Pending;

/// What the window of a client is like at a moment: *Create Window Client*'s arguments.
#[derive(Clone, Debug)]
pub(super) struct WindowState {
    pub(super) focused: bool,
    /// When it was last given the focus.
    pub(super) focused_at: Option<Instant>,
    /// The origins of the documents above it, nearest first.
    pub(super) ancestor_origins: Vec<String>,
}

impl WindowState {
    /// A client and its window, as the prelude takes them.
    pub(super) fn shown(&self, environment: &Environment) -> Value {
        let mut client = messages::client(environment);
        client["focused"] = json!(self.focused);
        client["ancestorOrigins"] = json!(self.ancestor_origins);
        client
    }
}

/// The windows that a service worker may ask for: a [service](super::RealmOptions::with_service) of
/// its realm.
pub(super) struct Windows(pub(super) Arc<dyn AskWindows>);

/// Who knows the windows of a browser.
pub(super) trait AskWindows: Send + Sync {
    /// *Get browsing context focus state*, visibility and ancestors; `None` if the client is no
    /// window, or gone.
    fn state(&self, client: ClientId) -> Pending<Option<WindowState>>;

    /// *Navigate* the window of a client: the environment of its next document; `None` if it has
    /// none.
    fn navigate(&self, client: ClientId, url: Url) -> Pending<Option<Environment>>;
}

/// The state of a realm's window, while it is shown.
pub(super) fn state(state: &RealmState) -> Option<WindowState> {
    let id = state.navigable()?;
    let event_loop = state.event_loop();
    let ancestors = event_loop.navigables().ancestors(id);
    let ancestors = ancestors.into_iter().filter_map(|id| event_loop.active(id));
    let navigables = event_loop.navigables();
    Some(WindowState {
        focused: navigables.has_focus(id),
        focused_at: navigables.get(id)?.focused_at,
        ancestor_origins: ancestors
            .map(|realm| realm.state().environment().origin.as_str().to_owned())
            .collect(),
    })
}

/// The window of a realm writes to a service worker, who will see it as it is now.
pub(super) fn note(realm: &RealmState) {
    if let (Some(state), Some(agent)) = (state(realm), realm.event_loop().remote().upgrade()) {
        agent.note_window(realm.environment().id, Some(state));
    }
}

/// WindowClient.navigate(url), step 4.2, on the window's thread.
pub(super) fn navigate(realm: &Realm, url: Url, sender: oneshot::Sender<Option<Environment>>) {
    let state = realm.state();
    let Some(id) = state.navigable() else {
        // Whoever asked learns that there is no document; it may be gone itself.
        drop(sender.send(None));
        return;
    };
    let mut to = Navigate::to(url, History::Push);
    to.shown = Some(sender);
    realm.with(|ctx| state.event_loop().navigate(ctx, id, state, to));
}

impl EventLoop {
    /// *Focusing steps*, of the viewport of a navigable. Those windows that gain or lose the focus
    /// hear of it, as *focus update steps* says: the nearest first.
    pub(super) fn focus(self: &Rc<Self>, ctx: &Ctx<'_>, id: NavigableId) {
        let (lost, gained) = {
            let mut navigables = self.navigables_mut();
            let old = navigables.focus_chain();
            if !navigables.focus(id) {
                return;
            }
            let new = navigables.focus_chain();
            let without = |chain: &[NavigableId], other: &[NavigableId]| -> Vec<NavigableId> {
                let only = chain.iter().filter(|id| !other.contains(id));
                only.copied().collect()
            };
            (without(&old, &new), without(&new, &old))
        };
        for (chain, hook) in [(lost, "windowBlurred"), (gained, "windowFocused")] {
            for realm in chain.into_iter().filter_map(|id| self.active(id)) {
                realm.state().call(ctx, hook, ());
            }
        }
    }
}
