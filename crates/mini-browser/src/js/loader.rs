//! Modules of the prelude, from bytecode. (Those of authors: `modules.rs`.)

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Error, Exception, Module, Object, Result};

use super::{modules, ops};

mod table {
    include!(concat!(env!("OUT_DIR"), "/prelude.rs"));
}

/// How modules of the prelude are called. A script has no such URL, so that it cannot be the base
/// of an import that reaches the prelude or the native functions.
pub(super) const SCHEME: &str = "prelude:";
/// The module of native functions.
const OPS: &str = "ops";

/// Evaluates a module of the prelude, once a realm, and gives its exports. What asks costs a module
/// that the engine keeps as long as the realm: [`RealmState::module`](super::realm::RealmState::module)
/// asks once.
pub(super) fn import<'js>(ctx: &Ctx<'js>, file: &str) -> Result<Object<'js>> {
    // A module of one line, so that the engine finds what is loaded already, resolves and links.
    let (entry, promise) = Module::declare(
        ctx.clone(),
        format!("{SCHEME}import {file}"),
        format!("export * as module from './{file}';"),
    )?
    .eval()?;
    // The prelude has no top-level await: it is evaluated by now, or threw.
    match promise.result::<()>() {
        Some(Ok(())) => entry.get("module"),
        Some(Err(error)) => Err(error),
        None => Err(Exception::throw_internal(
            ctx,
            &format!("the prelude's {file} awaits"),
        )),
    }
}

/// Whether the prelude has that module.
pub(super) fn has(file: &str) -> bool {
    bytecode(file).is_some()
}

/// Resolves imports between modules of the prelude.
pub(super) struct PreludeResolver;

impl Resolver for PreludeResolver {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let Some(file) = base.strip_prefix(SCHEME) else {
            return modules::resolve(ctx, base, name, attributes.as_ref());
        };
        // A lazily loaded module is imported by its path from the prelude's folder.
        let file = if file.starts_with("import ") {
            ""
        } else {
            file
        };
        Ok(relative(file, name).map_or_else(|| name.to_owned(), |path| format!("{SCHEME}{path}")))
    }
}

/// The path that `name`, which begins with `./` or `../`, has seen from the module `base`.
fn relative(base: &str, name: &str) -> Option<String> {
    let mut folders: Vec<&str> = base.split('/').collect();
    folders.pop();
    let mut rest = name
        .strip_prefix("./")
        .or_else(|| name.starts_with("../").then_some(name))?;
    while let Some(above) = rest.strip_prefix("../") {
        folders.pop();
        rest = above;
    }
    folders.push(rest);
    Some(folders.join("/"))
}

/// Loads modules of the prelude.
pub(super) struct PreludeLoader;

impl Loader for PreludeLoader {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        if name == OPS {
            return Module::declare_def::<ops::OpsModule, _>(ctx.clone(), OPS);
        }
        if !name.starts_with(SCHEME) {
            return modules::load(ctx, name);
        }
        let file = name.strip_prefix(SCHEME).unwrap_or(name);
        match bytecode(file) {
            Some(bytecode) => load(ctx, bytecode),
            None => Err(Error::new_loading_message(
                name,
                "no such module of the prelude",
            )),
        }
    }
}

fn bytecode(file: &str) -> Option<&'static [u8]> {
    let found = table::MODULES.binary_search_by(|(name, _)| (*name).cmp(file));
    found.ok().map(|at| table::MODULES[at].1)
}

#[expect(unsafe_code, reason = "bytecode can be loaded in no other way")]
fn load<'js>(ctx: &Ctx<'js>, bytecode: &'static [u8]) -> Result<Module<'js, Declared>> {
    // SAFETY: the bytes were written by the same version of QuickJS in this crate's build script
    // and are part of the executable; nothing else is ever passed here.
    unsafe { Module::load(ctx.clone(), bytecode) }
}
