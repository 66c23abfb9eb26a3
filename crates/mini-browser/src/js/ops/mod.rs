//! The native functions of the prelude: the module `ops`.
//!
//! Each family has a file with `declare`, which adds its functions. A function captures the
//! [`RealmState`] that it was declared in (never ask the context it is called with: across realms
//! that is the caller's). It takes and gives plain data, fails with an [`OpError`], and is never
//! seen by a script: the prelude wraps it.

mod blobs;
mod broadcast;
mod caches;
mod clients;
mod clone;
mod compression;
mod connecting;
mod crypto;
mod dom;
mod dom_cookies;
mod dom_decode;
mod dom_sink;
mod encoding;
pub(super) mod fetch;
pub(super) mod heads;
mod module_scripts;
mod navigation;
mod navigation_preload;
mod page;
pub(super) mod ports;
mod realm;
mod router_rules;
mod stashing;
mod storage;
mod test_report;
mod timings;
mod uploads;
mod url;
mod url_pattern;
mod window_messages;
mod windows;
mod worker;
mod workers;
mod xhr;

use std::future::Future;
use std::rc::Rc;

use rquickjs::function::IntoJsFunc;
use rquickjs::module::{Declarations, Exports, ModuleDef};
use rquickjs::{Ctx, Exception, Function, IntoJs, Persistent, Promise, Result};
use service_worker::JobError;

use super::realm::{Completion, RealmState, state_of};

/// Where a family adds its functions.
pub struct Ops<'a, 'js> {
    ctx: Ctx<'js>,
    realm: Rc<RealmState>,
    target: Target<'a, 'js>,
}

enum Target<'a, 'js> {
    Names(&'a Declarations<'js>),
    Functions(&'a Exports<'js>),
}

impl<'js> Ops<'_, 'js> {
    /// What the functions may capture of their realm.
    #[must_use]
    pub fn realm(&self) -> Rc<RealmState> {
        Rc::clone(&self.realm)
    }

    /// The context that they are declared in.
    pub(super) const fn ctx(&self) -> &Ctx<'js> {
        &self.ctx
    }

    /// Adds a function.
    ///
    /// # Errors
    /// When memory is used up.
    pub fn add<P, F: IntoJsFunc<'js, P> + 'js>(&mut self, name: &str, function: F) -> Result<()> {
        match self.target {
            Target::Names(declarations) => drop(declarations.declare(name)?),
            Target::Functions(exports) => {
                let function = Function::new(self.ctx.clone(), function)?.with_name(name)?;
                exports.export(name, function)?;
            }
        }
        Ok(())
    }
}

fn declare_all(ops: &mut Ops<'_, '_>) -> Result<()> {
    realm::declare(ops)?;
    clone::declare(ops)?;
    ports::declare(ops)?;
    blobs::declare(ops)?;
    broadcast::declare(ops)?;
    encoding::declare(ops)?;
    compression::declare(ops)?;
    crypto::declare(ops)?;
    url::declare(ops)?;
    url_pattern::declare(ops)?;
    worker::declare(ops)?;
    router_rules::declare(ops)?;
    connecting::declare(ops)?;
    stashing::declare(ops)?;
    clients::declare(ops)?;
    workers::declare(ops)?;
    page::declare(ops)?;
    windows::declare(ops)?;
    window_messages::declare(ops)?;
    navigation_preload::declare(ops)?;
    navigation::declare(ops)?;
    module_scripts::declare(ops)?;
    fetch::declare(ops)?;
    uploads::declare(ops)?;
    xhr::declare(ops)?;
    caches::declare(ops)?;
    storage::declare(ops)?;
    dom::declare(ops)?;
    dom_decode::declare(ops)?;
    dom_cookies::declare(ops)?;
    timings::declare(ops)?;
    test_report::declare(ops)
}

/// The module `ops`.
pub(super) struct OpsModule;

impl ModuleDef for OpsModule {
    fn declare(declarations: &Declarations<'_>) -> Result<()> {
        let ctx = declarations.module().ctx().clone();
        let realm = realm_of(&ctx)?;
        let target = Target::Names(declarations);
        declare_all(&mut Ops { ctx, realm, target })
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> Result<()> {
        let realm = realm_of(ctx)?;
        let target = Target::Functions(exports);
        let ctx = ctx.clone();
        declare_all(&mut Ops { ctx, realm, target })
    }
}

fn realm_of(ctx: &Ctx<'_>) -> Result<Rc<RealmState>> {
    state_of(ctx).ok_or_else(|| Exception::throw_internal(ctx, "this realm has no state"))
}

/// What a native function throws, or rejects with: the prelude makes the realm's `DOMException` or
/// `TypeError` of it (`fromOp` in `webidl.js`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
#[non_exhaustive]
pub struct OpError {
    /// `TypeError`, `RangeError` or the name of a `DOMException`.
    pub name: String,
    /// What went wrong.
    pub message: String,
}

impl OpError {
    /// An error of that name.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            message: message.into(),
        }
    }

    /// A `TypeError`.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::new("TypeError", message)
    }

    /// Throws it in `ctx`.
    pub fn throw(&self, ctx: &Ctx<'_>) -> rquickjs::Error {
        let thrown = Exception::from_message(ctx.clone(), &self.message);
        match thrown.and_then(|error| {
            error
                .as_object()
                .set("name", self.name.as_str())
                .map(|()| error)
        }) {
            Ok(error) => error.throw(),
            Err(error) => error,
        }
    }
}

impl From<JobError> for OpError {
    fn from(error: JobError) -> Self {
        let (name, message) = match error {
            JobError::Type(message) => ("TypeError", message),
            JobError::Security(message) => ("SecurityError", message),
            JobError::InvalidState(message) => ("InvalidStateError", message),
            JobError::Abort(message) => ("AbortError", message),
            JobError::Budget(message) => ("QuotaExceededError", message),
            other => ("OperationError", other.to_string()),
        };
        Self::new(name, message)
    }
}

/// A promise of `ctx` that settles as `future` does. The future runs beside the realm's tasks; it
/// must own its data and hold no JavaScript value.
///
/// # Errors
/// When memory is used up.
pub fn promise<'js, T>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    future: impl Future<Output = std::result::Result<T, OpError>> + 'static,
) -> Result<Promise<'js>>
where
    T: for<'a> IntoJs<'a> + 'static,
{
    let (promise, resolve, reject) = ctx.promise()?;
    let resolve = Persistent::save(ctx, resolve);
    let reject = Persistent::save(ctx, reject);
    realm.spawn(Box::pin(async move {
        let outcome = future.await;
        let completion: Completion = Box::new(move |ctx| {
            let settled = match outcome {
                Ok(value) => resolve
                    .restore(ctx)
                    .and_then(|resolve| resolve.call::<_, ()>((value,))),
                Err(error) => {
                    error.throw(ctx);
                    let thrown = ctx.catch();
                    let reject = reject.restore(ctx);
                    reject.and_then(|reject| reject.call::<_, ()>((thrown,)))
                }
            };
            if settled.is_err() {
                // Only when memory is used up or the agent is being killed: it ends.
                tracing::debug!("a promise could not be settled");
            }
        });
        completion
    }));
    Ok(promise)
}
