//! Of module scripts of documents.

use rquickjs::{Ctx, Object, Promise, Result};
use serde_json::json;
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use url::Url;

use super::{OpError, Ops, promise};
use crate::js::ConsoleLevel;
use crate::js::blob_urls::fetch_service;
use crate::js::blocking::{ScriptRequest, fetch};
use crate::js::import_map::ImportMaps;
use crate::js::json::Json;
use crate::js::module_scripts::{Created, ModuleScripts};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Register an import map; throws for what is none.
    let realm = ops.realm();
    ops.add(
        "op_register_import_map",
        move |ctx: Ctx<'js>, text: String| -> Result<()> {
            let registered = realm
                .local::<ImportMaps>()
                .register(&text, &realm.base_url());
            for warning in registered.map_err(|error| error.throw(&ctx))? {
                realm.log(ConsoleLevel::Warn, &format!("import map: {warning}"));
            }
            Ok(())
        },
    )?;

    // Fetch a single module script: `{ source, url }`. Without integrity metadata of its own, that of
    // the import map counts.
    let realm = ops.realm();
    ops.add(
        "op_fetch_module",
        move |ctx: Ctx<'js>,
              url: String,
              credentials: String,
              integrity: Option<String>|
              -> Result<Promise<'js>> {
            let url = Url::parse(&url)
                .map_err(|error| OpError::type_error(error.to_string()).throw(&ctx))?;
            let of_map = || realm.local::<ImportMaps>().integrity(&url);
            let request = ScriptRequest {
                integrity: integrity.unwrap_or_else(of_map),
                url,
                destination: Destination::Script,
                mode: RequestMode::Cors,
                credentials: CredentialsMode::from_keyword(&credentials)
                    .unwrap_or(CredentialsMode::SameOrigin),
                referrer: realm.referrer_source(),
            };
            let (service, params) = (fetch_service(&realm, &request.url), request.params(&realm));
            let fetched = async move {
                let service =
                    service.ok_or_else(|| OpError::type_error("this realm has no network"))?;
                let script = fetch(&service, params).await.map_err(OpError::type_error)?;
                if !script.is_javascript() {
                    let kind = &script.essence;
                    let message =
                        format!("{} cannot be a module: its type is {kind:?}", script.url);
                    return Err(OpError::type_error(message));
                }
                Ok(Json(
                    json!({ "source": script.text(), "url": script.url.as_str() }),
                ))
            };
            promise(&ctx, &realm, fetched)
        },
    )?;

    // Create a module script and link it: `{ script }`, `{ error }`, or null if something that it
    // imports cannot be fetched.
    let realm = ops.realm();
    ops.add(
        "op_create_module",
        move |ctx: Ctx<'js>, source: String, url: String| -> Result<Option<Object<'js>>> {
            let created = Object::new(ctx.clone())?;
            let scripts = realm.local::<ModuleScripts>();
            match scripts.create(&ctx, source, &url)? {
                Created::Script(script) => created.set("script", script)?,
                Created::Error(error) => created.set("error", error)?,
                Created::Failed(why) => {
                    realm.log(ConsoleLevel::Error, &why);
                    return Ok(None);
                }
            }
            Ok(Some(created))
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_run_module",
        move |ctx: Ctx<'js>, script: u32| -> Result<Promise<'js>> {
            let ran = realm.local::<ModuleScripts>().run(&ctx, script);
            ran.unwrap_or_else(|| Err(OpError::type_error("no such module").throw(&ctx)))
        },
    )
}
