//! Of dedicated and shared workers, and of the scripts that workers import.

use rquickjs::{Ctx, Object, Result, Value};
use service_worker::types::WorkerType;
use service_worker::types::fetch::{CredentialsMode, Destination, RequestMode};
use url::Url;

use super::{OpError, Ops};
use crate::js::ConsoleLevel;
use crate::js::blob_urls::{OwnBlobs, ResolvedBlob};
use crate::js::blocking::{FetchedScript, ScriptRequest, fetch_with, import_for_service_worker};
use crate::js::classic_script::evaluate_script;
use crate::js::dedicated::{ParentLink, Workers};
use crate::js::error::Exception;
use crate::js::realm::{RealmKind, RealmState, WorkerOptions};
use crate::js::shared::{self, ScopeLink};
use crate::js::worker_start::NewWorker;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    declare_parent(ops)?;
    declare_worker(ops)?;
    declare_scripts(ops)
}

fn declare_parent<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // `[worker, outside port]`, by number.
    let realm = ops.realm();
    ops.add(
        "op_start_worker",
        move |ctx: Ctx<'js>, url: String, kind: String, credentials: String, name: String| {
            let new = new_worker(&ctx, &url, &kind, &credentials, name)?;
            let workers = realm.local::<Workers>();
            let refused = || OpError::new("QuotaExceededError", "there are too many workers");
            let started = workers.start(&realm, new);
            let (worker, port) = started.ok_or_else(|| refused().throw(&ctx))?;
            Result::Ok(vec![worker, port])
        },
    )?;

    // `[object, outside port]`, by number.
    let realm = ops.realm();
    ops.add(
        "op_connect_shared_worker",
        move |ctx: Ctx<'js>, url: String, kind: String, credentials: String, name: String| {
            let new = new_worker(&ctx, &url, &kind, &credentials, name)?;
            let (object, port) = shared::connect(&realm, new);
            Result::Ok(vec![object, port])
        },
    )?;

    let realm = ops.realm();
    ops.add("op_terminate_worker", move |worker: u32| {
        realm.local::<Workers>().terminate(worker);
    })?;

    // An error that nobody handled goes on: to the console, and to whoever started this worker.
    let realm = ops.realm();
    ops.add(
        "op_escalate",
        move |text: String, file: String, line: u32, column: u32| {
            let exception = Exception {
                text: text.trim_start_matches("Uncaught ").to_owned(),
                file,
                line,
                column,
            };
            realm.log(ConsoleLevel::Error, &format!("Uncaught {exception}"));
            if let Some(parent) = realm.service::<ParentLink>() {
                parent.error(exception);
            }
        },
    )
}

fn new_worker(
    ctx: &Ctx<'_>,
    url: &str,
    kind: &str,
    credentials: &str,
    name: String,
) -> Result<NewWorker> {
    let url = Url::parse(url)
        .map_err(|error| OpError::new("SyntaxError", error.to_string()).throw(ctx))?;
    let credentials = CredentialsMode::from_keyword(credentials);
    Ok(NewWorker {
        url,
        options: WorkerOptions {
            name,
            is_module: kind == "module",
            credentials: credentials.unwrap_or(CredentialsMode::SameOrigin),
        },
    })
}

fn declare_worker<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_worker_name", move || match realm.kind() {
        RealmKind::DedicatedWorker(options) | RealmKind::SharedWorker(options) => {
            options.name.clone()
        }
        RealmKind::ServiceWorker(_) | RealmKind::Window => String::new(),
    })?;

    let realm = ops.realm();
    ops.add("op_is_module_worker", move || match realm.kind() {
        RealmKind::DedicatedWorker(options) | RealmKind::SharedWorker(options) => options.is_module,
        RealmKind::ServiceWorker(start) => start.worker_type == WorkerType::Module,
        RealmKind::Window => false,
    })?;

    // Close a worker: its event loop runs no more tasks.
    let realm = ops.realm();
    ops.add("op_close_worker", move || {
        realm.event_loop().close_after_task();
        if let RealmKind::SharedWorker(_) = realm.kind()
            && let Some(link) = realm.service::<ScopeLink>()
        {
            link.closing();
        }
    })
}

fn declare_scripts<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Fetch a classic worker-imported script: `{ source, url, muted }`.
    let realm = ops.realm();
    ops.add(
        "op_fetch_import",
        move |ctx: Ctx<'js>, url: String, blob: Option<f64>| -> Result<Object<'js>> {
            let refused = |message: String| OpError::new("NetworkError", message).throw(&ctx);
            let url = Url::parse(&url).map_err(|error| refused(error.to_string()))?;
            let blob = blob.map(super::fetch::number);
            let blob = blob.and_then(|id| realm.local::<OwnBlobs>().resolved(id));
            let script = import(&realm, url, blob).map_err(refused)?;
            let found = Object::new(ctx.clone())?;
            found.set("source", script.text())?;
            found.set("url", script.url.as_str())?;
            found.set("muted", script.muted_errors)?;
            Ok(found)
        },
    )?;

    ops.add(
        "op_evaluate",
        |ctx: Ctx<'js>, source: String, url: String| -> Result<Value<'js>> {
            evaluate_script(&ctx, source, &url)
        },
    )
}

fn import(
    realm: &RealmState,
    url: Url,
    blob: Option<ResolvedBlob>,
) -> std::result::Result<FetchedScript, String> {
    if let Some(imported) = import_for_service_worker(realm, &url) {
        return imported;
    }
    let request = ScriptRequest {
        url: url.clone(),
        destination: Destination::Script,
        mode: RequestMode::NoCors,
        credentials: CredentialsMode::Include,
        referrer: realm.referrer_source(),
        integrity: String::new(),
    };
    let script = fetch_with(realm, request.params(realm), blob)?;
    // Fetch a classic worker-imported script, step 5: whatever the URL's scheme.
    if !script.is_javascript() {
        return Err(format!("{url}: its type is {:?}", script.essence));
    }
    Ok(script)
}
