//! A realm: a global object, and what native functions know about it.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use futures_channel::mpsc::UnboundedSender;
use rquickjs::function::IntoArgs;
use rquickjs::{Context, Ctx, Function, JsLifetime, Persistent, Runtime, Value};
use service_worker::StartWorker;
use service_worker::types::Environment;
use url::Url;

use super::agent::{Death, Kill};
use super::console::{ConsoleLevel, ConsoleSink};
use super::error::Exception;
use super::loader;
use super::seam::Seam;
use super::timers::Timers;

/// What an operation does to its realm when it has finished.
pub(super) type Completion = Box<dyn FnOnce(&Ctx<'_>)>;
/// An operation that an agent waits for beside its tasks.
pub(super) type LocalTask = Pin<Box<dyn Future<Output = Completion>>>;

/// Which global a realm has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RealmKind {
    /// A `ServiceWorkerGlobalScope`. Its scripts are not used from here.
    ServiceWorker(Box<StartWorker>),
    /// A `Window`.
    Window,
}

/// What a realm is made from.
#[non_exhaustive]
pub struct RealmOptions {
    /// Which global it has.
    pub kind: RealmKind,
    /// The script's or document's URL: what relative URLs are resolved against.
    pub url: Url,
    /// What its fetches and registrations are made with.
    pub environment: Environment,
    /// Where its console goes.
    pub console: Arc<dyn ConsoleSink>,
    /// What it asks of service workers.
    pub seam: Arc<dyn Seam>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl RealmOptions {
    /// Options for a realm of `environment`, whose URL is the environment's creation URL.
    pub fn new(
        kind: RealmKind,
        environment: Environment,
        console: Arc<dyn ConsoleSink>,
        seam: Arc<dyn Seam>,
    ) -> Self {
        let url = match &kind {
            RealmKind::ServiceWorker(start) => start.script_url.url().clone(),
            RealmKind::Window => environment.creation_url.clone(),
        };
        Self {
            kind,
            url,
            environment,
            console,
            seam,
            services: HashMap::new(),
        }
    }

    /// Adds something that native functions look up by its type.
    #[must_use]
    pub fn with_service<T: Any + Send + Sync>(mut self, service: Arc<T>) -> Self {
        self.services.insert(TypeId::of::<T>(), service);
        self
    }
}

/// What native functions know about their realm. It holds no value of the realm that is not
/// cleared before the realm is freed.
pub struct RealmState {
    options: RealmOptions,
    kill: Arc<Kill>,
    spawner: UnboundedSender<LocalTask>,
    started: Instant,
    timers: RefCell<Timers>,
    hooks: RefCell<BTreeMap<String, Persistent<Function<'static>>>>,
    rejections: RefCell<Vec<Rejection>>,
    in_checkpoint: Cell<bool>,
    locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
}

struct Rejection {
    promise: Persistent<Value<'static>>,
    reason: Persistent<Value<'static>>,
}

impl RealmState {
    /// Which global it has.
    #[must_use]
    pub const fn kind(&self) -> &RealmKind {
        &self.options.kind
    }

    /// The script's or document's URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.options.url
    }

    /// What its fetches and registrations are made with.
    #[must_use]
    pub const fn environment(&self) -> &Environment {
        &self.options.environment
    }

    /// The service worker facade.
    #[must_use]
    pub fn seam(&self) -> &dyn Seam {
        &*self.options.seam
    }

    /// When the realm was made: the time origin.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
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

    /// A message to its console.
    pub fn log(&self, level: ConsoleLevel, text: &str) {
        self.options
            .console
            .message(self.options.url.as_str(), level, text);
    }

    /// Waits for `task` beside the realm's tasks; its completion runs as a task of its own.
    pub(super) fn spawn(&self, task: LocalTask) {
        // Refused only while the agent ends, when nobody waits for the completion.
        drop(self.spawner.unbounded_send(task));
    }

    pub(super) fn timers(&self) -> RefMut<'_, Timers> {
        self.timers.borrow_mut()
    }

    pub(super) fn is_killed(&self) -> bool {
        self.kill.is_set()
    }

    /// Ends the agent after this task.
    pub(super) fn stop(&self, reason: &str) {
        self.kill.kill(Death::Killed(reason.to_owned()));
    }

    /// Registers what Rust calls under `name`.
    pub(super) fn set_hook(&self, name: String, hook: Persistent<Function<'static>>) {
        self.hooks.borrow_mut().insert(name, hook);
    }

    /// Calls what the prelude registered under `name`; `None` if it registered nothing or threw,
    /// which is reported.
    pub(super) fn call<'js, A: IntoArgs<'js>>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
        args: A,
    ) -> Option<Value<'js>> {
        let hook = self.hooks.borrow().get(name).cloned()?;
        let result = hook
            .restore(ctx)
            .and_then(|hook| hook.call::<_, Value<'js>>(args));
        result.map_err(|_| self.report(ctx)).ok()
    }

    /// Reports the pending exception. (*HTML*, "report an exception".)
    pub(super) fn report(&self, ctx: &Ctx<'_>) {
        let thrown = ctx.catch();
        if self.is_killed() {
            return;
        }
        let exception = Exception::of(&thrown, self.url().as_str());
        let hook = self.hooks.borrow().get("exception").cloned();
        let handled = hook.and_then(|hook| {
            let Exception {
                text,
                file,
                line,
                column,
            } = exception.clone();
            let hook = hook.restore(ctx).ok()?;
            hook.call::<_, bool>((thrown, text, file, line, column))
                .ok()
        });
        match handled {
            Some(true) => {}
            Some(false) => self.log(ConsoleLevel::Error, &format!("Uncaught {exception}")),
            None => {
                drop(ctx.catch());
                self.log(ConsoleLevel::Error, &format!("Uncaught {exception}"));
            }
        }
    }

    /// *Perform a microtask checkpoint*, without its last step.
    pub(super) fn run_microtasks(&self, ctx: &Ctx<'_>) {
        if self.in_checkpoint.replace(true) {
            return;
        }
        while !self.is_killed() && ctx.execute_pending_job() {}
        self.in_checkpoint.set(false);
    }

    fn track<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, handled: bool) {
        let promise = Persistent::save(ctx, promise);
        let mut rejections = self.rejections.borrow_mut();
        if handled {
            rejections.retain(|rejection| rejection.promise != promise);
            return;
        }
        let reason = Persistent::save(ctx, reason);
        rejections.push(Rejection { promise, reason });
    }

    /// The rejections up to now were taken care of.
    pub(super) fn forget_rejections(&self) {
        self.rejections.borrow_mut().clear();
    }

    /// *Notify about rejected promises.* True if a script ran.
    fn notify_about_rejections(&self, ctx: &Ctx<'_>) -> bool {
        let rejections = std::mem::take(&mut *self.rejections.borrow_mut());
        let any = !rejections.is_empty();
        for rejection in rejections {
            let (Ok(promise), Ok(reason)) = (
                rejection.promise.restore(ctx),
                rejection.reason.restore(ctx),
            ) else {
                continue;
            };
            let exception = Exception::of(&reason, self.url().as_str());
            let handled = self.call(ctx, "rejection", (promise, reason));
            if !handled
                .and_then(|handled| handled.as_bool())
                .unwrap_or(false)
                && !self.is_killed()
            {
                tracing::debug!(%exception, "a promise was rejected and nobody handled it");
                self.log(
                    ConsoleLevel::Error,
                    &format!("Uncaught (in promise) {exception}"),
                );
            }
        }
        any
    }
}

/// A global object and its scripts. It lives on its agent's thread.
pub struct Realm {
    context: Context,
    state: Rc<RealmState>,
}

impl Realm {
    pub(super) fn new(
        runtime: &Runtime,
        options: RealmOptions,
        kill: Arc<Kill>,
        spawner: UnboundedSender<LocalTask>,
    ) -> Result<Self, String> {
        let context = Context::full(runtime).map_err(|error| error.to_string())?;
        let scope = match options.kind {
            RealmKind::ServiceWorker(_) => "service_worker_scope.js",
            RealmKind::Window => "window_scope.js",
        };
        let state = Rc::new(RealmState {
            options,
            kill,
            spawner,
            started: Instant::now(),
            timers: RefCell::default(),
            hooks: RefCell::default(),
            rejections: RefCell::default(),
            in_checkpoint: Cell::new(false),
            locals: RefCell::default(),
        });
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            |ctx, promise, reason, handled| {
                if let Some(state) = state_of(&ctx) {
                    state.track(&ctx, promise, reason, handled);
                }
            },
        )));
        let realm = Self { context, state };
        realm.with(|ctx| {
            let realms = Realms(Rc::clone(&realm.state));
            ctx.store_userdata(realms)
                .map_err(|error| error.to_string())?;
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
        })?;
        Ok(realm)
    }

    /// Runs something in the realm. A task is followed by a microtask
    /// checkpoint of its own.
    pub fn with<R>(&self, run: impl FnOnce(&Ctx<'_>) -> R) -> R {
        self.context.with(|ctx| run(&ctx))
    }

    /// What native functions know.
    #[must_use]
    pub const fn state(&self) -> &Rc<RealmState> {
        &self.state
    }

    /// *Perform a microtask checkpoint*: runs microtasks, then reports rejections that nobody
    /// handled, until there is nothing more to do.
    pub(super) fn checkpoint(&self) {
        self.with(|ctx| {
            loop {
                self.state.run_microtasks(ctx);
                if self.state.is_killed() || !self.state.notify_about_rejections(ctx) {
                    break;
                }
            }
        });
    }

    pub(super) fn fire_timer(&self) {
        let due = self.state.timers().take_due(Instant::now());
        if let Some(id) = due {
            self.with(|ctx| self.state.call(ctx, "timer", (id,)).is_some());
        }
    }
}

impl Drop for Realm {
    /// Lets go of every value of the realm, so that it can be freed: native functions hold the state,
    /// the state holds the prelude's functions, and those hold native functions.
    fn drop(&mut self) {
        // In a panic one of them may be borrowed; then it leaks.
        if let Ok(mut hooks) = self.state.hooks.try_borrow_mut() {
            hooks.clear();
        }
        if let Ok(mut rejections) = self.state.rejections.try_borrow_mut() {
            rejections.clear();
        }
        if let Ok(mut locals) = self.state.locals.try_borrow_mut() {
            locals.clear();
        }
        self.with(|ctx| drop(ctx.remove_userdata::<Realms>()));
    }
}

/// Finds the state of a realm from within it.
#[derive(JsLifetime)]
struct Realms(Rc<RealmState>);

/// The state of the realm of `ctx`.
pub(super) fn state_of(ctx: &Ctx<'_>) -> Option<Rc<RealmState>> {
    ctx.userdata::<Realms>().map(|realms| Rc::clone(&realms.0))
}
