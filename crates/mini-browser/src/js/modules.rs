//! Module scripts of authors. (*HTML*, "HostLoadImportedModule" and "fetch a single module script".)
//!
//! The engine's own list of modules, one a realm, is the module map. A module's imports are fetched
//! one after another while the agent's thread waits for them.

use rquickjs::loader::ImportAttributes;
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, Function, Module, Object, Promise, Result};
use url::Url;

use super::blocking::{FetchedScript, fetch_with, import_for_service_worker};
use super::error::Exception as ThrownException;
use super::import_map::ImportMaps;
use super::module_fetches::ModuleFetches;
use super::module_scripts::{self, Created, ModuleScripts};
use super::realm::{RealmKind, RealmState, state_of};
use crate::fetch::FetchParams;

/// What the name of a module begins with that could not be resolved. No script can import such a name.
const UNRESOLVED: &str = "unresolved:";
/// What the name of a module begins with that a service worker imports by `import()`.
const DYNAMIC: &str = "dynamic:";
/// What the name of a module begins with that was imported with a type.
const TYPED: &str = "typed:";

/// *Resolve a module specifier.* What cannot be resolved gets a name for
/// which [`load`] gives a module that throws.
pub(super) fn resolve(
    ctx: &Ctx<'_>,
    base: &str,
    specifier: &str,
    attributes: Option<&ImportAttributes<'_>>,
) -> Result<String> {
    let kind = attributes
        .map(ImportAttributes::get_type)
        .transpose()?
        .flatten();
    let name = resolved(ctx, base, specifier);
    let realm = state_of(ctx);
    if realm.as_ref().is_some_and(|realm| refuses_imports(realm)) {
        return Ok(format!("{DYNAMIC}{specifier}"));
    }
    let name = match (name, kind) {
        (None, _) => format!("{UNRESOLVED}{specifier}"),
        (Some(url), None) => url.into(),
        // The module map's keys are URLs with types.
        (Some(url), Some(kind)) => format!("{TYPED}{kind} {url}"),
    };
    if let Some(realm) = realm {
        realm.local::<ModuleFetches>().imports(&name, base);
    }
    Ok(name)
}

/// *HostLoadImportedModule*, step 3: a service worker's modules are those that it was linked from.
fn refuses_imports(realm: &RealmState) -> bool {
    matches!(realm.kind(), RealmKind::ServiceWorker(_))
        && !realm.local::<ModuleScripts>().is_linking()
}

fn resolved(ctx: &Ctx<'_>, base: &str, specifier: &str) -> Option<Url> {
    let realm = state_of(ctx);
    let base = match (Url::parse(base), &realm) {
        (Ok(base), _) if !base.cannot_be_a_base() => Some(base),
        (_, Some(realm)) => Some(realm.base_url()),
        (base, None) => base.ok(),
    };
    let maps = realm
        .map(|realm| realm.local::<ImportMaps>())
        .unwrap_or_default();
    maps.resolve(base.as_ref(), specifier)
        .filter(|url| matches!(url.scheme(), "http" | "https" | "data" | "blob"))
}

/// *Fetch a single imported module script*, and create it. One that cannot be fetched or does not parse
/// gives a module that throws why: the engine must not see a failure here, since it would keep the
/// modules that import this one half linked, and crash when they are imported again. (That a failure
/// is remembered is what the standard's module map does, too.)
pub(super) fn load<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
    let realm = state_of(ctx);
    let realm = realm.ok_or_else(|| Exception::throw_type(ctx, "this realm has no state"))?;
    let failure = match try_load(ctx, &realm, name) {
        Ok(module) => return Ok(module),
        Err(_) if realm.is_killed() => return Err(Exception::throw_type(ctx, "the agent ends")),
        Err(failure) => failure,
    };
    if name.starts_with(DYNAMIC) {
        // No script that is being linked asked for it.
    } else if name.starts_with(UNRESOLVED) {
        module_scripts::unresolved(&realm, &failure.message);
    } else if failure.name == "TypeError" {
        module_scripts::failed(&realm, &failure.message);
    } else {
        module_scripts::broken(&realm);
    }
    Module::declare(ctx.clone(), name, failure.source())
}

fn try_load<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    name: &str,
) -> std::result::Result<Module<'js, Declared>, Failure> {
    if let Some(specifier) = name.strip_prefix(UNRESOLVED) {
        let message = format!("Failed to resolve module specifier '{specifier}'");
        return Err(Failure::of_type(message));
    }
    if let Some(specifier) = name.strip_prefix(DYNAMIC) {
        let message = format!("a service worker may not import('{specifier}')");
        return Err(Failure::of_type(message));
    }
    let (kind, url) = match name
        .strip_prefix(TYPED)
        .and_then(|rest| rest.split_once(' '))
    {
        Some((kind, url)) => (Some(kind), url),
        None => (None, name),
    };
    let url = Url::parse(url).map_err(|error| Failure::of_type(error.to_string()))?;
    if let Some(other) = kind.filter(|kind| *kind != "json") {
        let message = format!("modules of type '{other}' are not offered");
        return Err(Failure::of_type(message));
    }
    let fetches = realm.local::<ModuleFetches>();
    let (params, policy) = fetches.params(realm, name, url.clone(), kind.is_some());
    let script = imported(realm, params)
        .map_err(|error| Failure::of_type(format!("Failed to fetch module {url}: {error}")))?;
    fetches.served(&url, &script.headers, policy);
    let thrown = |_| Failure::of(&ThrownException::take(ctx, url.as_str()));
    if kind.is_none() && script.is_javascript() {
        return declare(ctx, name, script.text()).map_err(thrown);
    }
    if kind.is_some() && script.is_json() {
        let json = |text: String| {
            let value = ctx.json_parse(text)?;
            let text = ctx.json_stringify(value)?;
            let text = text.map(|text| text.to_string()).transpose()?;
            let source = format!("export default {};", text.unwrap_or_default());
            declare(ctx, name, source)
        };
        return json(script.text()).map_err(thrown);
    }
    Err(Failure::of_type(format!(
        "{url} cannot be a module: its type is '{}'",
        script.essence
    )))
}

/// Why there is no module.
struct Failure {
    name: &'static str,
    message: String,
    /// Where, as the engine writes it in a stack; or empty.
    stack: String,
}

impl Failure {
    const fn of_type(message: String) -> Self {
        Self {
            name: "TypeError",
            message,
            stack: String::new(),
        }
    }

    /// Of a script that does not parse.
    fn of(exception: &ThrownException) -> Self {
        let ThrownException {
            text,
            file,
            line,
            column,
        } = exception;
        Self {
            name: "SyntaxError",
            message: text.trim_start_matches("SyntaxError: ").to_owned(),
            stack: format!("    at {file}:{line}:{column}\n"),
        }
    }

    /// A module that throws it.
    fn source(&self) -> String {
        let message = serde_json::Value::from(self.message.as_str());
        let mut source = format!("const error = new {}({message});", self.name);
        if !self.stack.is_empty() {
            let stack = serde_json::Value::from(self.stack.as_str());
            source.push_str(&format!("error.stack = {stack};"));
        }
        source.push_str("throw error;");
        source
    }
}

/// An imported script: of a service worker that was installed, the stored one.
fn imported(realm: &RealmState, params: FetchParams) -> std::result::Result<FetchedScript, String> {
    match import_for_service_worker(realm, params.head.url()) {
        Some(imported) => imported,
        None => fetch_with(realm, params, None),
    }
}

/// *Create a JavaScript module script*, with its `import.meta`.
pub(super) fn declare<'js>(
    ctx: &Ctx<'js>,
    url: &str,
    source: String,
) -> Result<Module<'js, Declared>> {
    let module = Module::declare(ctx.clone(), url, source)?;
    fill_meta(&module.meta()?, url)?;
    Ok(module)
}

/// *HostGetImportMetaProperties.*
pub(super) fn fill_meta<'js>(meta: &Object<'js>, url: &str) -> Result<()> {
    meta.set("url", url)?;
    let base = url.to_owned();
    let resolve = move |ctx: Ctx<'js>, specifier: String| {
        resolved(&ctx, &base, &specifier)
            .map(String::from)
            .ok_or_else(|| {
                let message = format!("Failed to resolve module specifier '{specifier}'");
                Exception::throw_type(&ctx, &message)
            })
    };
    let resolve = Function::new(meta.ctx().clone(), resolve)?.with_name("resolve")?;
    meta.set("resolve", resolve)
}

/// *Run a module script* of a worker: a promise of its evaluation.
pub(super) fn run<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    url: &str,
    source: String,
) -> Result<Promise<'js>> {
    let scripts = realm.local::<ModuleScripts>();
    match scripts.create(ctx, source, url)? {
        // Run a worker, "if script's error to rethrow is non-null".
        Created::Script(_) if scripts.is_broken() => {
            let message = "a module that it imports does not parse";
            Err(Exception::throw_syntax(ctx, message))
        }
        Created::Script(script) => scripts
            .run(ctx, script)
            .unwrap_or(Err(rquickjs::Error::Unknown)),
        Created::Error(error) => Err(ctx.throw(error)),
        Created::Failed(why) => Err(Exception::throw_type(ctx, &why)),
    }
}
