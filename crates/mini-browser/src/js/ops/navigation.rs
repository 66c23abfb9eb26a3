//! Of navigation: `location`, `history`, `window.open`, and the attributes of frames.

use std::rc::Rc;

use http::Method;
use rquickjs::{Ctx, Object, Result};
use service_worker::types::fetch::Destination;
use url::Url;

use super::windows::{navigable_id, realm_numbered, to_number};
use super::{OpError, Ops};
use crate::fetch::policy_of_meta;
use crate::js::JsBytes;
use crate::js::navigables::NavigableId;
use crate::js::navigation::{History, Navigate, without_fragment};
use crate::js::realm::RealmState;
use crate::js::sandbox::Sandbox;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    declare_urls(ops)?;
    declare_navigation(ops)?;
    declare_history(ops)
}

fn declare_urls<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_document_url", move || realm.url().as_str().to_owned())?;

    let realm = ops.realm();
    ops.add("op_base_url", move || realm.base_url().to_string())?;

    // The URL of the first base element, or null if there is none.
    let realm = ops.realm();
    ops.add("op_set_base_url", move |url: Option<String>| {
        let url = url.and_then(|url| Url::parse(&url).ok());
        realm.set_base_url(url.or_else(|| realm.options().base_url.clone()));
    })?;

    // What `<meta name=referrer>` says.
    let realm = ops.realm();
    ops.add("op_set_referrer_policy", move |content: String| {
        if let Some(policy) = policy_of_meta(&content) {
            realm.set_referrer_policy(policy);
        }
    })?;

    // Encoding-parse a URL relative to a realm: the entry settings object. Null if it is none.
    let realm = ops.realm();
    ops.add("op_resolve_url", move |by: f64, url: String| {
        let by = realm_numbered(&realm, by)?;
        by.base_url().join(&url).ok().map(String::from)
    })?;

    // Whether this window's document or one above it has that URL, fragments aside.
    let realm = ops.realm();
    ops.add("op_is_shown_above", move |url: String| {
        let (Some(own), Ok(url)) = (realm.navigable(), Url::parse(&url)) else {
            return false;
        };
        let above = realm.event_loop().navigables().ancestors(own);
        std::iter::once(own).chain(above).any(|id| {
            let active = realm.event_loop().active(id);
            active.is_some_and(|active| {
                without_fragment(&active.state().url()) == without_fragment(&url)
            })
        })
    })
}

fn declare_navigation<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Navigate. `how` may have: resource (a srcdoc), replace, noReferrer, method, body,
    // bodyType.
    let realm = ops.realm();
    ops.add(
        "op_navigate",
        move |ctx: Ctx<'js>, id: f64, by: f64, url: String, how: Object<'js>| -> Result<()> {
            let refused = |name: &str, message: &str| OpError::new(name, message).throw(&ctx);
            let id = navigable_id(id);
            let url =
                Url::parse(&url).map_err(|error| refused("SyntaxError", &error.to_string()))?;
            let Some(by) = realm_numbered(&realm, by) else {
                return Ok(());
            };
            // Step 5: allowed to navigate.
            if !may_navigate(&by, id) {
                return Err(refused(
                    "SecurityError",
                    "the document may not navigate that window",
                ));
            }
            let is_set = |name: &str| {
                how.get::<_, Option<bool>>(name)
                    .map(Option::unwrap_or_default)
            };
            let history = if is_set("replace")? {
                History::Replace
            } else {
                History::Push
            };
            let mut to = Navigate::to(url, history);
            to.resource = how.get("resource")?;
            to.no_referrer = is_set("noReferrer")?;
            if let Some(method) = how.get::<_, Option<String>>("method")? {
                to.method = Method::from_bytes(method.as_bytes())
                    .map_err(|error| refused("TypeError", &error.to_string()))?;
            }
            if let Some(body) = how.get::<_, Option<JsBytes>>("body")? {
                let kind: Option<String> = how.get("bodyType")?;
                to.body = Some((body.0, kind.unwrap_or_default()));
            }
            realm.event_loop().navigate(&ctx, id, &by, to);
            Ok(())
        },
    )?;

    // Reload this window's document.
    let realm = ops.realm();
    ops.add("op_reload", move |ctx: Ctx<'js>| {
        if let Some(id) = realm.navigable() {
            realm.event_loop().reload(&ctx, id);
        }
    })?;

    // The rules for choosing a navigable: its number, or null for a new page.
    let realm = ops.realm();
    ops.add("op_choose_navigable", move |by: f64, name: String| {
        let by = realm_numbered(&realm, by)?;
        let own = by.navigable()?;
        let navigables = realm.event_loop().navigables();
        let chosen = match name.to_ascii_lowercase().as_str() {
            "" | "_self" => own,
            "_parent" => navigables.get(own)?.parent.unwrap_or(own),
            "_top" => navigables.top(own),
            "_blank" => return None,
            _ => navigables.named(own, &name)?,
        };
        Some(to_number(chosen.0))
    })?;

    // A new page, opened by a realm; null if its document may not open any.
    let realm = ops.realm();
    ops.add(
        "op_open_page",
        move |ctx: Ctx<'js>, by: f64, name: String, no_opener: bool| -> Result<Option<f64>> {
            let Some(by) = realm_numbered(&realm, by) else {
                return Ok(None);
            };
            let sandbox = by.options().sandbox;
            if sandbox.popups {
                return Ok(None);
            }
            let event_loop = Rc::clone(realm.event_loop());
            let created = event_loop.create_navigable(
                &ctx,
                &by,
                (None, Destination::Document),
                name,
                Sandbox::of_popup(sandbox),
            );
            let id =
                created.map_err(|message| OpError::new("OperationError", message).throw(&ctx))?;
            if let Some(navigable) = event_loop.navigables_mut().get_mut(id) {
                navigable.opener = by.own_navigable().filter(|_| !no_opener);
            }
            Ok(Some(to_number(id.0)))
        },
    )
}

/// *Allowed by sandboxing to navigate*, and no more: a page may navigate any window that it holds.
fn may_navigate(by: &RealmState, id: NavigableId) -> bool {
    let sandbox = by.options().sandbox;
    let Some(own) = by.own_navigable() else {
        return true;
    };
    let navigables = by.event_loop().navigables();
    let is_below = navigables.subtree(own).contains(&id);
    is_below || !(sandbox.top_navigation && navigables.top(own) == id)
}

fn declare_history<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // The shared history push/replace state steps, step 10: URL and history update steps.
    let realm = ops.realm();
    ops.add(
        "op_update_history",
        move |url: String, state: Option<String>, replace: bool| {
            let (Some(id), Ok(url)) = (realm.navigable(), Url::parse(&url)) else {
                return;
            };
            let Some(active) = realm.event_loop().active(id) else {
                return;
            };
            let history = if replace {
                History::Replace
            } else {
                History::Push
            };
            realm
                .event_loop()
                .update_url_and_history(id, &active, url, state, history);
        },
    )?;

    // Traverse the history by a delta: a task of its own.
    let realm = ops.realm();
    ops.add("op_traverse", move |delta: i32| {
        let Some(id) = realm.navigable() else {
            return;
        };
        realm.queue(crate::js::TaskSource::Navigation, move |realm| {
            realm.with(|ctx| {
                let event_loop = realm.state().event_loop();
                event_loop.traverse(ctx, id, i64::from(delta));
            });
        });
    })?;

    let realm = ops.realm();
    ops.add("op_history_length", move || {
        let Some(id) = realm.navigable() else {
            return 0;
        };
        let navigables = realm.event_loop().navigables();
        navigables.get(id).map_or(0, |found| found.entries.len())
    })?;

    let realm = ops.realm();
    ops.add("op_history_state", move || {
        let navigables = realm.event_loop().navigables();
        let navigable = navigables.get(realm.navigable()?)?;
        navigable.entries.get(navigable.current)?.state.clone()
    })
}
