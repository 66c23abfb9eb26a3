//! Module scripts of script elements: fetched and linked first, run later. (*HTML*, "fetch an external
//! module script graph", "run a module script".)
#![expect(
    unsafe_code,
    reason = "rquickjs links modules only together with their evaluation"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr::NonNull;

use rquickjs::{Ctx, Exception, Object, Promise, Result, Value, qjs};

use super::modules;
use super::realm::RealmState;

/// The module scripts of a realm that are linked, by number.
#[derive(Default)]
pub(super) struct ModuleScripts {
    linked: RefCell<BTreeMap<u32, NonNull<qjs::JSModuleDef>>>,
    last: Cell<u32>,
    /// Why something could not be fetched since this was last looked at.
    failed: RefCell<Option<String>>,
    /// Which specifier could not be resolved since then.
    unresolved: RefCell<Option<String>>,
    /// Whether something that it imports did not parse since then.
    broken: Cell<bool>,
    /// Whether a module's imports are being loaded now.
    linking: Cell<bool>,
}

/// What the creation of a module script gives.
pub(super) enum Created<'js> {
    /// A script, by number.
    Script(u32),
    /// Something that it imports could not be fetched: why.
    Failed(String),
    /// A script that cannot be run: its error to rethrow.
    Error(Value<'js>),
}

impl ModuleScripts {
    /// A module could not be fetched.
    pub(super) fn fail(&self, why: &str) {
        self.failed
            .borrow_mut()
            .get_or_insert_with(|| why.to_owned());
    }

    /// Whether the last script that was created imports one that does not parse: it has an error to
    /// rethrow, which its evaluation throws.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether it is a module that is being linked that imports, and no script that runs.
    pub(super) const fn is_linking(&self) -> bool {
        self.linking.get()
    }

    /// *Create a JavaScript module script*, and fetch and link what it imports.
    pub(super) fn create<'js>(
        &self,
        ctx: &Ctx<'js>,
        source: String,
        url: &str,
    ) -> Result<Created<'js>> {
        self.linking.set(true);
        let created = self.compile_and_link(ctx, source, url);
        self.linking.set(false);
        created
    }

    fn compile_and_link<'js>(
        &self,
        ctx: &Ctx<'js>,
        source: String,
        url: &str,
    ) -> Result<Created<'js>> {
        self.failed.take();
        self.unresolved.take();
        self.broken.set(false);
        let (source, name) = (CString::new(source)?, CString::new(url)?);
        let flags =
            qjs::JS_EVAL_TYPE_MODULE | qjs::JS_EVAL_FLAG_STRICT | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
        // SAFETY: the context is live and its runtime locked, as `ctx` proves; both strings end with
        // a NUL, which the length leaves out.
        let module = unsafe {
            qjs::JS_Eval(
                ctx.as_raw().as_ptr(),
                source.as_ptr(),
                source.as_bytes().len() as _,
                name.as_ptr(),
                flags.cast_signed(),
            )
        };
        // SAFETY: only the tag of the value is looked at, and a module's value is a pointer to its
        // definition.
        let definition = unsafe {
            if qjs::JS_VALUE_GET_TAG(module) == qjs::JS_TAG_MODULE {
                NonNull::new(qjs::JS_VALUE_GET_PTR(module).cast::<qjs::JSModuleDef>())
            } else {
                None
            }
        };
        let Some(definition) = definition else {
            return Ok(Created::Error(ctx.catch()));
        };
        // SAFETY: the definition was just made in this context, which owns it; what comes back is a
        // reference of our own.
        let meta = unsafe {
            let meta = qjs::JS_GetImportMeta(ctx.as_raw().as_ptr(), definition.as_ptr());
            Value::from_raw(ctx.clone(), meta)
        };
        modules::fill_meta(&Object::from_value(meta)?, url)?;
        // SAFETY: as above. A definition that cannot be linked is freed, and not looked at again.
        let linked = unsafe { qjs::JS_ResolveModule(ctx.as_raw().as_ptr(), module) };
        if linked < 0 {
            return Ok(Created::Error(ctx.catch()));
        }
        if let Some(why) = self.failed.take() {
            return Ok(Created::Failed(why));
        }
        if let Some(why) = self.unresolved.take() {
            Exception::throw_type(ctx, &why);
            return Ok(Created::Error(ctx.catch()));
        }
        self.last.set(self.last.get() + 1);
        self.linked.borrow_mut().insert(self.last.get(), definition);
        Ok(Created::Script(self.last.get()))
    }

    /// *Run a module script*, if there is one of that number: a promise of its evaluation.
    pub(super) fn run<'js>(&self, ctx: &Ctx<'js>, script: u32) -> Option<Result<Promise<'js>>> {
        let definition = *self.linked.borrow().get(&script)?;
        // SAFETY: what is linked belongs to the context and lives as long as that. `JS_EvalFunction`
        // takes a reference, which is made for it.
        let promise = unsafe {
            let module = qjs::JS_MKPTR(qjs::JS_TAG_MODULE, definition.as_ptr().cast());
            qjs::JS_DupValue(ctx.as_raw().as_ptr(), module);
            qjs::JS_EvalFunction(ctx.as_raw().as_ptr(), module)
        };
        // SAFETY: the value is ours, and of this context's runtime.
        let promise = unsafe { Value::from_raw(ctx.clone(), promise) };
        Some(if ctx.has_exception() {
            Err(rquickjs::Error::Exception)
        } else {
            Promise::from_value(promise)
        })
    }
}

/// A specifier could not be resolved.
pub(super) fn unresolved(realm: &RealmState, why: &str) {
    let scripts = realm.local::<ModuleScripts>();
    scripts
        .unresolved
        .borrow_mut()
        .get_or_insert_with(|| why.to_owned());
}

/// A module of the realm could not be fetched.
pub(super) fn failed(realm: &RealmState, why: &str) {
    realm.local::<ModuleScripts>().fail(why);
}

/// A module of the realm does not parse.
pub(super) fn broken(realm: &RealmState) {
    realm.local::<ModuleScripts>().broken.set(true);
}
