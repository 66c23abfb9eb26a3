//! The realms of an agent: they are made and destroyed while it runs.

use std::rc::Rc;

use rquickjs::{Context, Ctx, Runtime, Value};

use super::EventLoop;
use crate::js::navigables::NavigableId;
use crate::js::realm::{Realm, RealmOptions, RealmState};
use crate::js::task::RealmId;
use crate::js::window_proxy;

impl EventLoop {
    /// Makes a realm.
    ///
    /// # Errors
    /// Why not, for people: there are too many, memory is used up, or the prelude threw.
    pub(in crate::js) fn create_realm(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        options: RealmOptions,
        navigable: Option<NavigableId>,
    ) -> Result<Realm, String> {
        let count = self.realms.borrow().len();
        if !self.admits(count, self.limits.realms, "frames") {
            return Err("there are too many realms".to_owned());
        }
        let runtime = self.runtime.try_ref().ok_or("the agent ends")?;
        let context = new_context(ctx, runtime).ok_or("out of memory")?;
        self.open_realm(ctx, context, options, navigable)
    }

    pub(super) fn open_realm(
        self: &Rc<Self>,
        ctx: &Ctx<'_>,
        context: Context,
        options: RealmOptions,
        navigable: Option<NavigableId>,
    ) -> Result<Realm, String> {
        let id = RealmId(self.next_number());
        let key = context.as_raw().addr().get();
        let realm = Realm::new(id, Rc::clone(self), context, options, navigable);
        self.contexts.borrow_mut().insert(id, key);
        self.states
            .borrow_mut()
            .insert(key, Rc::downgrade(realm.state()));
        self.realms.borrow_mut().insert(id, realm.clone());
        let started = realm.enter(ctx, |realm, ctx| {
            realm.set_global(ctx);
            let target = navigable.and_then(|id| {
                let mut navigables = self.navigables_mut();
                let navigable = navigables.get_mut(id)?;
                if navigable.active == RealmId::MAIN {
                    navigable.active = realm.id();
                    for entry in &mut navigable.entries {
                        entry.document = realm.id();
                    }
                }
                Some(navigable.target.clone())
            });
            if let Some(target) = target {
                let set = target
                    .restore(ctx)
                    .and_then(|target| window_proxy::set_window(ctx, &target, realm));
                set.map_err(|error| error.to_string())?;
            }
            realm.start(ctx)
        });
        match started {
            Ok(()) => Ok(realm),
            Err(error) => {
                self.destroy_realm(id);
                Err(error)
            }
        }
    }

    /// Ends a realm: its timers and tasks are dropped, and what it waits for is given up. Functions
    /// of it that another realm holds can still be called.
    pub(in crate::js) fn destroy_realm(&self, id: RealmId) {
        let realm = self.realms.borrow_mut().remove(&id);
        self.timers.borrow_mut().clear_realm(id);
        let tasks = self.queue.borrow_mut().take_realm(id);
        drop(tasks);
        self.ports.forget_realm(id);
        if let Some(realm) = realm {
            if let Some(agent) = self.agent.upgrade() {
                agent.note_window(realm.state().environment().id, None);
            }
            realm.state().end();
        }
    }

    /// The realm whose global object, or whose `WindowProxy`, that is, if it has not ended.
    pub(in crate::js) fn realm_of_global<'js>(
        &self,
        ctx: &Ctx<'js>,
        value: &Value<'js>,
    ) -> Option<Realm> {
        let window = self.window_of(value);
        let global = window
            .as_ref()
            .map_or(value, |(_, window)| window.as_value());
        let realms = self.realms.borrow();
        let mut realms = realms.values();
        let found = realms.find(|realm| {
            let own = realm.state().global(ctx);
            own.is_some_and(|own| own.as_value() == global)
        });
        found.cloned()
    }

    /// All realms but that one.
    pub(in crate::js) fn other_realms(&self, id: RealmId) -> Vec<Realm> {
        let realms = self.realms.borrow();
        realms
            .values()
            .filter(|realm| realm.id() != id)
            .cloned()
            .collect()
    }

    /// A realm that has not ended.
    pub(in crate::js) fn realm(&self, id: RealmId) -> Option<Realm> {
        let id = if id == RealmId::MAIN {
            self.main.get()
        } else {
            id
        };
        self.realms.borrow().get(&id).cloned()
    }

    /// Which realm is the agent's main one.
    pub(in crate::js) fn set_main(&self, id: RealmId) {
        self.main.set(id);
    }

    /// What is known of a realm, by its context.
    pub(super) fn state(&self, ctx: &Ctx<'_>) -> Option<Rc<RealmState>> {
        let key = ctx.as_raw().addr().get();
        self.states.borrow().get(&key)?.upgrade()
    }

    /// The same, by its id, as long as any function of the realm lives.
    pub(in crate::js) fn state_by_id(&self, id: RealmId) -> Option<Rc<RealmState>> {
        let context = *self.contexts.borrow().get(&id)?;
        let state = self.states.borrow().get(&context)?.upgrade()?;
        (state.id() == id).then_some(state)
    }

    /// A number that this agent has not used for a realm or a client.
    pub(in crate::js) fn next_number(&self) -> u64 {
        self.last_realm.set(self.last_realm.get() + 1);
        self.last_realm.get()
    }

    /// A number for what a realm keeps for its scripts: no other realm of the agent uses it.
    pub(in crate::js) fn next_kept(&self) -> u64 {
        self.last_kept.set(self.last_kept.get() + 1);
        self.last_kept.get()
    }

    /// The context of a realm was freed, or another took its place.
    pub(in crate::js) fn forget_state(&self, realm: RealmId, context: usize) {
        if let Ok(mut contexts) = self.contexts.try_borrow_mut() {
            contexts.remove(&realm);
        }
        // Borrowed only in a panic.
        if let Ok(mut states) = self.states.try_borrow_mut()
            && states
                .get(&context)
                .is_some_and(|state| state.strong_count() == 0)
        {
            states.remove(&context);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "rquickjs makes contexts only while no script runs, and frames are made by scripts"
)]
fn new_context(ctx: &Ctx<'_>, runtime: Runtime) -> Option<Context> {
    // SAFETY: `ctx` is a live context, so its runtime is live, and locked by whoever gave it. The
    // new context has one reference, which `Context` owns.
    unsafe {
        let raw = rquickjs::qjs::JS_NewContext(rquickjs::qjs::JS_GetRuntime(ctx.as_raw().as_ptr()));
        std::ptr::NonNull::new(raw).map(|raw| Context::from_raw(raw, runtime))
    }
}
