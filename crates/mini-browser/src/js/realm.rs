//! A realm: a global object, and what native functions know about it.

mod options;
mod reports;

use std::any::{Any, TypeId};
use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rquickjs::function::IntoArgs;
use rquickjs::{Context, Ctx, Function, Object, Persistent, Value};
use service_worker::types::Environment;
use service_worker::types::fetch::Referrer;
use tokio::sync::watch;
use url::Url;

use super::agent::Death;
use super::console::ConsoleLevel;
use super::error::Exception;
use super::event_loop::EventLoop;
use super::loader;
use super::navigables::NavigableId;
use super::rejections::Rejections;
use super::seam::Seam;
use super::task::{RealmId, TaskSource};
use crate::fetch::{PolicyContainer, ReferrerPolicy};

pub use self::options::{RealmKind, RealmOptions, WorkerOptions};
pub(super) use super::event_loop::state_of;

/// What an operation does to its realm when it has finished.
pub(super) type Completion = Box<dyn FnOnce(&Ctx<'_>)>;
/// An operation that an agent waits for beside its tasks.
pub(super) type LocalTask = Pin<Box<dyn Future<Output = Completion>>>;

/// What native functions know about their realm. It holds no value of the realm that is not
/// cleared before the realm is freed.
pub struct RealmState {
    id: RealmId,
    context: usize,
    navigable: Option<NavigableId>,
    base_url: RefCell<Option<Url>>,
    options: RealmOptions,
    environment: RefCell<Environment>,
    url: RefCell<Url>,
    policies: RefCell<PolicyContainer>,
    event_loop: Rc<EventLoop>,
    started: Cell<Instant>,
    global: RefCell<Option<Persistent<Object<'static>>>>,
    hooks: RefCell<BTreeMap<String, Persistent<Function<'static>>>>,
    /// The exports of the prelude's modules that were asked for by name.
    modules: RefCell<BTreeMap<String, Persistent<Object<'static>>>>,
    rejections: RefCell<Rejections>,
    locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    ended: watch::Sender<bool>,
    reporting: Cell<bool>,
}

impl RealmState {
    /// Which of its agent's realms it is.
    #[must_use]
    pub const fn id(&self) -> RealmId {
        self.id
    }

    /// Which global it has.
    #[must_use]
    pub const fn kind(&self) -> &RealmKind {
        &self.options.kind
    }

    /// The script's or document's URL. Borrowed: not to be held while a script runs.
    pub fn url(&self) -> Ref<'_, Url> {
        self.url.borrow()
    }

    /// The document has another URL.
    pub(super) fn set_url(&self, url: Url) {
        self.url.replace(url);
    }

    /// What relative URLs are resolved against. (*HTML*, "API base URL".)
    pub fn base_url(&self) -> Url {
        let base_url = self.base_url.borrow().clone();
        base_url.unwrap_or_else(|| self.url().clone())
    }

    /// The document has another base URL; `None` for its own URL.
    pub(super) fn set_base_url(&self, url: Option<Url>) {
        self.base_url.replace(url);
    }

    /// The navigable whose document's window it is, while it is its active one.
    pub(super) fn navigable(&self) -> Option<NavigableId> {
        let id = self.navigable?;
        let navigables = self.event_loop.navigables();
        let active = navigables.get(id)?.active;
        (active == self.id && !self.has_ended()).then_some(id)
    }

    /// The navigable that it was made for.
    pub(super) const fn own_navigable(&self) -> Option<NavigableId> {
        self.navigable
    }

    /// *Determine request's referrer*, of referrer source "client": the document's URL, or that of
    /// the nearest document above a `srcdoc` one; `None` of an opaque origin.
    pub(super) fn referrer_source(&self) -> Option<Url> {
        if self.environment().origin.is_opaque() {
            return None;
        }
        let url = self.url().clone();
        if url.scheme() != "about" {
            return Some(url);
        }
        let parent = {
            let navigables = self.event_loop.navigables();
            navigables.get(self.navigable?)?.parent?
        };
        self.event_loop.active(parent)?.state().referrer_source()
    }

    /// What is told of it to whom it fetches from.
    pub(super) fn referrer(&self) -> Option<Referrer> {
        let url = self.referrer_source()?;
        let policy = self.policies().referrer;
        Some(Referrer { url, policy })
    }

    /// What its fetches and registrations are made with. Borrowed: not to be held while a script
    /// runs.
    pub fn environment(&self) -> Ref<'_, Environment> {
        self.environment.borrow()
    }

    /// The window has another document.
    pub(super) fn set_environment(&self, environment: Environment) {
        self.environment.replace(environment);
    }

    /// What it may fetch, and how. Borrowed: not to be held while a script runs.
    pub fn policies(&self) -> Ref<'_, PolicyContainer> {
        self.policies.borrow()
    }

    /// The window has another document.
    pub(super) fn set_policies(&self, policies: PolicyContainer) {
        self.policies.replace(policies);
    }

    /// `<meta name=referrer>` says another referrer policy.
    pub(super) fn set_referrer_policy(&self, policy: ReferrerPolicy) {
        self.policies.borrow_mut().referrer = policy;
    }

    /// What its agent's realms share.
    pub(super) fn event_loop(&self) -> &Rc<EventLoop> {
        &self.event_loop
    }

    /// What it was made from.
    pub(super) fn options(&self) -> &RealmOptions {
        &self.options
    }

    /// The service worker facade.
    #[must_use]
    pub fn seam(&self) -> &dyn Seam {
        &*self.options.seam
    }

    /// The time origin: when the realm was made, or the navigation to its document began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started.get()
    }

    /// The document of the window comes from a navigation that began then.
    pub(super) fn set_started(&self, started: Instant) {
        self.started.set(started);
    }

    /// What the host [added](RealmOptions::with_service) under the type `T`.
    #[must_use]
    pub fn service<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let service = self.options.services.get(&TypeId::of::<T>())?;
        Arc::clone(service).downcast().ok()
    }

    /// State of a family of native functions, made at first use. It must hold no JavaScript value.
    #[must_use]
    pub fn local<T: Any + Default>(&self) -> Rc<T> {
        let mut locals = self.locals.borrow_mut();
        let local = locals.entry(TypeId::of::<T>());
        let local = Rc::clone(local.or_insert_with(|| Rc::new(T::default())));
        local.downcast().unwrap_or_default()
    }

    /// What is kept under a number that scripts brought: here, or in another realm of the agent, whose
    /// object it was.
    pub(super) fn kept<T: Any + Default, R>(&self, find: impl Fn(&T) -> Option<R>) -> Option<R> {
        find(&self.local()).or_else(|| {
            let others = self.event_loop.other_realms(self.id);
            others.iter().find_map(|other| find(&other.state().local()))
        })
    }

    /// A message to its console.
    pub fn log(&self, level: ConsoleLevel, text: &str) {
        let url = self.url().clone();
        self.options.console.message(url.as_str(), level, text);
    }

    /// Waits for `task` beside the realm's tasks; its completion runs as a task of its own, unless
    /// the realm has ended.
    pub(super) fn spawn(&self, task: LocalTask) {
        let (id, mut ended) = (self.id, self.ended.subscribe());
        if *ended.borrow() {
            return;
        }
        self.event_loop.spawn(Box::pin(async move {
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => None,
                completion = task => Some((id, completion)),
            }
        }));
    }

    /// Queues a task in the realm.
    pub(super) fn queue(&self, source: TaskSource, task: impl FnOnce(&Realm) + 'static) {
        if !self.has_ended() {
            self.event_loop.queue(self.id, source, task);
        }
    }

    /// The same, before the posted messages that wait.
    pub(super) fn queue_before_messages(
        &self,
        source: TaskSource,
        task: impl FnOnce(&Realm) + 'static,
    ) {
        if !self.has_ended() {
            self.event_loop.queue_before_messages(self.id, source, task);
        }
    }

    /// Whether the realm was destroyed. Functions of it may still be called.
    pub(super) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    pub(super) fn is_killed(&self) -> bool {
        self.event_loop.kill().is_set()
    }

    /// Ends the agent after this task.
    pub(super) fn stop(&self, reason: &str) {
        self.event_loop
            .kill()
            .kill(Death::Killed(reason.to_owned()));
    }

    /// The exports of a module of the prelude, which is evaluated at first use. `ctx` is of this
    /// realm.
    pub(super) fn module<'js>(&self, ctx: &Ctx<'js>, file: &str) -> rquickjs::Result<Object<'js>> {
        let known = self.modules.borrow().get(file).cloned();
        if let Some(module) = known {
            return module.restore(ctx);
        }
        let module = loader::import(ctx, file)?;
        if !self.has_ended() {
            let kept = Persistent::save(ctx, module.clone());
            self.modules.borrow_mut().insert(file.to_owned(), kept);
        }
        Ok(module)
    }

    /// Registers what Rust calls under `name`.
    pub(super) fn set_hook(&self, name: String, hook: Persistent<Function<'static>>) {
        if !self.has_ended() {
            self.hooks.borrow_mut().insert(name, hook);
        }
    }

    /// Whether the prelude registered something under `name`.
    pub(super) fn has_hook(&self, name: &str) -> bool {
        self.hooks.borrow().contains_key(name)
    }

    /// What the prelude registered under `name`, for who calls it often.
    pub(super) fn hook<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Option<Function<'js>> {
        let hook = self.hooks.borrow().get(name).cloned()?;
        hook.restore(ctx).ok()
    }

    /// Calls what the prelude registered under `name`, in this realm, whichever realm `ctx` is of;
    /// `None` if it registered nothing or threw, which is reported.
    pub(super) fn call<'js, A: IntoArgs<'js>>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        args: A,
    ) -> Option<Value<'js>> {
        self.try_call(ctx, name, args)?
            .map_err(|_| self.report(ctx))
            .ok()
    }

    /// The same, with what it threw left pending.
    pub(super) fn try_call<'js, A: IntoArgs<'js>>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        args: A,
    ) -> Option<rquickjs::Result<Value<'js>>> {
        let hook = self.hooks.borrow().get(name).cloned()?;
        let hook = hook.restore(ctx);
        Some(hook.and_then(|hook| hook.call::<_, Value<'js>>(args)))
    }

    /// The global object, until the realm ends.
    pub(super) fn global<'js>(&self, ctx: &Ctx<'js>) -> Option<Object<'js>> {
        self.global.borrow().clone()?.restore(ctx).ok()
    }

    /// *Perform a microtask checkpoint*, without its last step.
    pub(super) fn run_microtasks(&self, ctx: &Ctx<'_>) {
        self.event_loop.run_microtasks(ctx);
    }

    /// Lets go of every value of the realm, so that it can be freed: native functions hold the
    /// state, the state holds the prelude's functions, and those hold native functions.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
        let hooks = std::mem::take(&mut *self.hooks.borrow_mut());
        let modules = std::mem::take(&mut *self.modules.borrow_mut());
        let locals = std::mem::take(&mut *self.locals.borrow_mut());
        self.rejections.borrow_mut().clear();
        self.global.replace(None);
        drop((hooks, modules, locals));
    }
}

impl Drop for RealmState {
    fn drop(&mut self) {
        self.event_loop.forget_state(self.id, self.context);
    }
}

/// A global object and its scripts. It lives on its agent's thread.
#[derive(Clone)]
pub struct Realm {
    context: Context,
    state: Rc<RealmState>,
}

impl Realm {
    pub(super) fn new(
        id: RealmId,
        event_loop: Rc<EventLoop>,
        context: Context,
        options: RealmOptions,
        navigable: Option<NavigableId>,
    ) -> Self {
        let state = Rc::new(RealmState {
            id,
            context: context.as_raw().addr().get(),
            environment: RefCell::new(options.environment.clone()),
            url: RefCell::new(options.url.clone()),
            policies: RefCell::new(options.policies.clone()),
            base_url: RefCell::new(options.base_url.clone()),
            navigable,
            options,
            event_loop,
            started: Cell::new(Instant::now()),
            global: RefCell::default(),
            hooks: RefCell::default(),
            modules: RefCell::default(),
            rejections: RefCell::default(),
            locals: RefCell::default(),
            ended: watch::Sender::new(false),
            reporting: Cell::new(false),
        });
        Self { context, state }
    }

    /// Keeps the global object. `ctx` is of this realm.
    pub(super) fn set_global(&self, ctx: &Ctx<'_>) {
        let global = Persistent::save(ctx, ctx.globals());
        self.state.global.replace(Some(global));
    }

    /// Loads the prelude. `ctx` is of this realm.
    pub(super) fn start(&self, ctx: &Ctx<'_>) -> Result<(), String> {
        let scope = match self.state.kind() {
            RealmKind::ServiceWorker(_) => "service_worker_scope.js",
            RealmKind::DedicatedWorker(_) => "dedicated_worker_scope.js",
            RealmKind::SharedWorker(_) => "shared_worker_scope.js",
            RealmKind::Window => "window_scope.js",
        };
        loader::import(ctx, scope)
            .map(drop)
            .map_err(|error| match error {
                rquickjs::Error::Exception => {
                    let thrown = ctx.catch();
                    let stack = thrown.as_exception().and_then(rquickjs::Exception::stack);
                    format!(
                        "{} {}",
                        Exception::of(&thrown, "the prelude"),
                        stack.unwrap_or_default()
                    )
                }
                error => error.to_string(),
            })
    }

    /// Which of its agent's realms it is.
    #[must_use]
    pub fn id(&self) -> RealmId {
        self.state.id
    }

    /// Runs something in the realm, as a task does: no script is running. The task is followed by a
    /// microtask checkpoint of its own.
    pub fn with<R>(&self, run: impl FnOnce(&Ctx<'_>) -> R) -> R {
        self.context.with(|ctx| run(&ctx))
    }

    /// Runs something in the realm from within a script of this or another realm of the agent.
    #[expect(
        unsafe_code,
        reason = "rquickjs enters contexts only while no script runs"
    )]
    pub(super) fn enter<'js, R>(
        &self,
        ctx: &Ctx<'js>,
        run: impl FnOnce(&Self, &Ctx<'js>) -> R,
    ) -> R {
        debug_assert_eq!(
            ctx.as_raw().addr().get() == self.state.context,
            ctx.as_raw() == self.context.as_raw()
        );
        // SAFETY: `ctx` proves that the runtime is locked for `'js`, and this realm's context, which
        // is of the same runtime (an agent has only one), lives as long as `self`; the new `Ctx`
        // counts as a reference of its own.
        let entered: Ctx<'js> = unsafe { Ctx::from_raw(self.context.as_raw()) };
        run(self, &entered)
    }

    /// What native functions know.
    #[must_use]
    pub const fn state(&self) -> &Rc<RealmState> {
        &self.state
    }

    /// *Perform a microtask checkpoint*, in the middle of a task.
    pub(super) fn checkpoint(&self) {
        self.with(|ctx| self.state.run_microtasks(ctx));
        self.notify_about_rejections();
    }

    pub(super) fn fire_timer(&self, id: u32) {
        self.with(|ctx| self.state.call(ctx, "timer", (id,)).is_some());
    }
}
