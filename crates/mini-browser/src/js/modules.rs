//! Module scripts of authors. (*HTML*, "HostLoadImportedModule" and "fetch a single module script".)
//!
//! The engine's own list of modules, one a realm, is the module map. A module's imports are fetched
//! one after another while the agent's thread waits for them.

use rquickjs::loader::ImportAttributes;
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, Function, Module, Promise, Result};
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use url::Url;

use super::blocking::{FetchedScript, ScriptRequest, fetch_script};
use super::realm::{RealmState, state_of};

/// *Resolve a module specifier.* Import maps are not offered.
pub(super) fn resolve(ctx: &Ctx<'_>, base: &str, specifier: &str) -> Result<String> {
    let realm = state_of(ctx);
    let base = match (Url::parse(base), &realm) {
        (Ok(base), _) if !base.cannot_be_a_base() => Some(base),
        (_, Some(realm)) => Some(realm.base_url()),
        (base, None) => base.ok(),
    };
    let resolved = resolve_url(base.as_ref(), specifier);
    let resolved =
        resolved.filter(|url| matches!(url.scheme(), "http" | "https" | "data" | "blob"));
    resolved.map(String::from).ok_or_else(|| {
        let message = format!("Failed to resolve module specifier '{specifier}'");
        Exception::throw_type(ctx, &message)
    })
}

/// *Resolve a URL-like module specifier.*
fn resolve_url(base: Option<&Url>, specifier: &str) -> Option<Url> {
    let is_relative = ["/", "./", "../"]
        .iter()
        .any(|start| specifier.starts_with(start));
    if is_relative {
        return base?.join(specifier).ok();
    }
    Url::parse(specifier).ok()
}

/// *Fetch a single imported module script*, and create it.
pub(super) fn load<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    attributes: Option<&ImportAttributes<'js>>,
) -> Result<Module<'js, Declared>> {
    let refused = |message: &str| Exception::throw_type(ctx, message);
    let realm = state_of(ctx).ok_or_else(|| refused("this realm has no state"))?;
    let kind = attributes
        .map(ImportAttributes::get_type)
        .transpose()?
        .flatten();
    let url = Url::parse(name).map_err(|error| refused(&error.to_string()))?;
    let request = ScriptRequest {
        url,
        destination: if kind.is_some() {
            Destination::Json
        } else {
            Destination::Script
        },
        mode: RequestMode::Cors,
        credentials: CredentialsMode::SameOrigin,
        referrer: realm.referrer_source(),
    };
    let script = imported(&realm, request)
        .map_err(|error| refused(&format!("Failed to fetch module {name}: {error}")))?;
    match kind.as_deref() {
        None if script.is_javascript() => declare(ctx, name, script.text()),
        Some("json") if script.is_json() => {
            let value = ctx.json_parse(script.text())?;
            let text = ctx.json_stringify(value)?;
            let text = text.map(|text| text.to_string()).transpose()?;
            let source = format!("export default {};", text.unwrap_or_default());
            declare(ctx, name, source)
        }
        None | Some("json") => Err(refused(&format!(
            "{name} cannot be a module: its type is '{}'",
            script.essence
        ))),
        Some(other) => Err(refused(&format!(
            "modules of type '{other}' are not offered"
        ))),
    }
}

/// An imported script: of a service worker that was installed, the stored one.
fn imported(
    realm: &RealmState,
    request: ScriptRequest,
) -> std::result::Result<FetchedScript, String> {
    match super::imports::stored(realm, &request.url) {
        Some(found) => found,
        None => {
            let url = request.url.clone();
            let script = fetch_script(realm, request)?;
            super::imports::keep(realm, &url, &script);
            Ok(script)
        }
    }
}

/// *Create a JavaScript module script*, with its `import.meta`.
pub(super) fn declare<'js>(
    ctx: &Ctx<'js>,
    url: &str,
    source: String,
) -> Result<Module<'js, Declared>> {
    let module = Module::declare(ctx.clone(), url, source)?;
    let meta = module.meta()?;
    meta.set("url", url)?;
    let base = url.to_owned();
    let resolved = move |ctx: Ctx<'js>, specifier: String| resolve(&ctx, &base, &specifier);
    let resolved = Function::new(ctx.clone(), resolved)?.with_name("resolve")?;
    meta.set("resolve", resolved)?;
    Ok(module)
}

/// *Run a module script*: a promise of its evaluation.
pub(super) fn run<'js>(ctx: &Ctx<'js>, url: &str, source: String) -> Result<Promise<'js>> {
    let (_, promise) = declare(ctx, url, source)?.eval()?;
    Ok(promise)
}
