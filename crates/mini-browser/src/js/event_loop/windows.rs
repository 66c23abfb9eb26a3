//! What an agent knows of its navigables and their `WindowProxy` objects.

use std::cell::{Ref, RefMut};

use rquickjs::{Ctx, Function, Value};
use service_worker::types::fetch::Destination;

use super::EventLoop;
use crate::js::navigables::{Entry, Navigable, NavigableId, Navigables, Resource};
use crate::js::navigation::{about_blank, is_window};
use crate::js::page::Page;
use crate::js::realm::RealmOptions;
use crate::js::sandbox::Sandbox;
use crate::js::task::RealmId;
use crate::js::window_proxy::{NewProxy, WindowProxies};

impl EventLoop {
    pub(in crate::js) fn navigables(&self) -> Ref<'_, Navigables> {
        self.navigables.borrow()
    }

    /// Not to be held while a script may run.
    pub(in crate::js) fn navigables_mut(&self) -> RefMut<'_, Navigables> {
        self.navigables.borrow_mut()
    }

    /// The top-level page that the agent was made for.
    pub(in crate::js) const fn main_navigable(&self) -> Option<NavigableId> {
        self.main_navigable.get()
    }

    /// The navigable and the window that a `WindowProxy` stands for; `None` for anything else.
    pub(in crate::js) fn window_of<'js>(
        &self,
        value: &Value<'js>,
    ) -> Option<(NavigableId, rquickjs::Object<'js>)> {
        self.proxies.borrow().as_ref()?.window(value)
    }

    /// Whose script asked for what a `WindowProxy` is passing on.
    pub(in crate::js) const fn asking(&self) -> Option<RealmId> {
        self.asking.get()
    }

    /// Runs something that the script of a realm asked a `WindowProxy` for.
    pub(in crate::js) fn with_asking<T>(&self, realm: RealmId, run: impl FnOnce() -> T) -> T {
        let before = self.asking.replace(Some(realm));
        let done = run();
        self.asking.set(before);
        done
    }

    /// A function of a `Reflect` that no script has seen.
    pub(in crate::js) fn reflect<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
    ) -> rquickjs::Result<Function<'js>> {
        let reflect = self.proxies.borrow().as_ref().map(WindowProxies::reflect);
        let refused = || rquickjs::Exception::throw_internal(ctx, "this agent has no windows");
        reflect.ok_or_else(refused)?.restore(ctx)?.get(name)
    }

    pub(in crate::js) fn new_proxy(
        &self,
        ctx: &Ctx<'_>,
        id: NavigableId,
    ) -> rquickjs::Result<NewProxy> {
        let refused = || rquickjs::Exception::throw_internal(ctx, "this agent has no windows");
        let proxies = self.proxies.borrow();
        proxies.as_ref().ok_or_else(refused)?.create(ctx, id)
    }

    /// Kills the agent if it has as many navigables as it may have.
    pub(in crate::js) fn check_navigables(&self) -> Result<(), String> {
        let count = self.navigables().len();
        if self.admits(count, self.limits.realms, "frames") {
            return Ok(());
        }
        Err("there are too many frames".to_owned())
    }

    /// A realm, for other threads.
    pub(in crate::js) fn page(&self, realm: RealmId) -> Option<Page> {
        Some(Page::of_realm(self.agent.upgrade()?, realm))
    }

    pub(super) fn create_main_navigable(
        &self,
        ctx: &Ctx<'_>,
        options: &RealmOptions,
    ) -> rquickjs::Result<Option<NavigableId>> {
        if !is_window(&options.kind) {
            return Ok(None);
        }
        let id = self.navigables_mut().next_id();
        let NewProxy { proxy, target } = self.new_proxy(ctx, id)?;
        let navigable = Navigable {
            parent: None,
            children: Vec::new(),
            opener: None,
            name: String::new(),
            active: RealmId::MAIN,
            sandbox: Sandbox::default(),
            destination: Destination::Document,
            is_initial_about_blank: options.url == about_blank(),
            is_closing: false,
            navigation: 0,
            entries: vec![Entry {
                url: options.url.clone(),
                document: RealmId::MAIN,
                state: None,
                resource: Resource::Url,
            }],
            current: 0,
            focused_at: None,
            client: None,
            proxy,
            target,
        };
        let mut navigables = self.navigables_mut();
        navigables.insert(id, navigable);
        // What the user opens has the system focus.
        navigables.focus(id);
        drop(navigables);
        self.main_navigable.set(Some(id));
        Ok(Some(id))
    }
}
