//! Of windows: who stands where in the tree of navigables, and what one does to another.

use std::rc::Rc;

use rquickjs::function::{Opt, Rest, This};
use rquickjs::{Ctx, Function, Result, Value};
use service_worker::types::fetch::Destination;

use super::{OpError, Ops};
use crate::js::classic_script::evaluate_script;
use crate::js::navigables::NavigableId;
use crate::js::realm::{RealmState, state_of};
use crate::js::sandbox::Sandbox;
use crate::js::task::{RealmId, TaskSource};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    declare_global(ops)?;
    declare_tree(ops)?;
    declare_frames(ops)?;
    declare_scripts(ops)
}

/// The number of a navigable or realm, for the prelude.
#[expect(clippy::cast_precision_loss, reason = "ids are counters below 2^53")]
pub(super) const fn to_number(id: u64) -> f64 {
    id as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^53 that the prelude got from here"
)]
pub(super) const fn navigable_id(id: f64) -> NavigableId {
    NavigableId(id as u64)
}

/// The realm of that number, while it lives.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^53 that the prelude got from here"
)]
pub(super) fn realm_numbered(realm: &RealmState, id: f64) -> Option<Rc<RealmState>> {
    realm.event_loop().state_by_id(RealmId(id as u64))
}

fn declare_global<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add("op_global", move |ctx: Ctx<'js>| realm.global(&ctx))?;

    let realm = ops.realm();
    ops.add("op_own_proxy", move |ctx: Ctx<'js>| {
        let id = realm.own_navigable()?;
        realm.event_loop().navigables().proxy(&ctx, id)
    })?;

    // The raw global behind a WindowProxy; null for anything else.
    let realm = ops.realm();
    ops.add("op_unproxied", move |value: Value<'js>| {
        let found = realm.event_loop().window_of(&value);
        found.map(|(_, window)| window)
    })?;

    // A function that tells the hook of its name which realm called it: the incumbent one.
    let realm = ops.realm();
    ops.add(
        "op_incumbent_function",
        move |ctx: Ctx<'js>, name: String, length: usize| -> Result<Function<'js>> {
            let (realm, hook) = (Rc::clone(&realm), name.clone());
            let called = move |ctx: Ctx<'js>, this: This<Value<'js>>, args: Rest<Value<'js>>| {
                // Called by a WindowProxy: whoever asked that.
                let incumbent = state_of(&ctx).map(|state| state.id());
                let incumbent = incumbent.or_else(|| realm.event_loop().asking());
                let incumbent = incumbent.map_or(0, |id| id.0);
                let args = (to_number(incumbent), this.0, args.0);
                realm
                    .try_call(&ctx, &hook, args)
                    .unwrap_or_else(|| Ok(Value::new_undefined(ctx.clone())))
            };
            Function::new(ctx, called)?
                .with_name(name)?
                .with_length(length)
        },
    )
}

fn declare_tree<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // The number of this window's navigable; null once the document is no longer its active one.
    let realm = ops.realm();
    ops.add("op_navigable", move || {
        realm.navigable().map(|id| to_number(id.0))
    })?;

    let realm = ops.realm();
    ops.add(
        "op_related",
        move |ctx: Ctx<'js>, id: f64, what: String| -> Option<Value<'js>> {
            let id = navigable_id(id);
            let navigables = realm.event_loop().navigables();
            let navigable = navigables.get(id)?;
            let related = match what.as_str() {
                "parent" => navigable.parent.unwrap_or(id),
                "top" => navigables.top(id),
                "opener" => navigable.opener?,
                _ => id,
            };
            navigables.proxy(&ctx, related)
        },
    )?;

    let realm = ops.realm();
    ops.add("op_set_opener", move |id: f64, opener: Option<f64>| {
        let mut navigables = realm.event_loop().navigables_mut();
        if let Some(navigable) = navigables.get_mut(navigable_id(id)) {
            navigable.opener = opener.map(navigable_id);
        }
    })?;

    let realm = ops.realm();
    ops.add("op_child_count", move |id: f64| {
        let navigables = realm.event_loop().navigables();
        navigables
            .get(navigable_id(id))
            .map_or(0, |navigable| navigable.children.len())
    })?;

    let realm = ops.realm();
    ops.add(
        "op_child",
        move |ctx: Ctx<'js>, id: f64, index: usize| -> Option<Value<'js>> {
            let navigables = realm.event_loop().navigables();
            let child = *navigables.get(navigable_id(id))?.children.get(index)?;
            navigables.proxy(&ctx, child)
        },
    )?;

    // A document-tree child navigable by its target name. Across origins only by the name that its
    // container gave it, which is the only one that is kept.
    let realm = ops.realm();
    ops.add(
        "op_child_named",
        move |ctx: Ctx<'js>, id: f64, name: String| -> Option<Value<'js>> {
            let navigables = realm.event_loop().navigables();
            let children = &navigables.get(navigable_id(id))?.children;
            let child = children.iter().find(|child| {
                let child = navigables.get(**child);
                !name.is_empty() && child.is_some_and(|child| child.name == name)
            })?;
            navigables.proxy(&ctx, *child)
        },
    )?;

    let realm = ops.realm();
    ops.add("op_name", move |id: f64| -> String {
        let navigables = realm.event_loop().navigables();
        let navigable = navigables.get(navigable_id(id));
        navigable.map_or_else(String::new, |navigable| navigable.name.clone())
    })?;

    let realm = ops.realm();
    ops.add("op_set_name", move |id: f64, name: String| {
        let mut navigables = realm.event_loop().navigables_mut();
        if let Some(navigable) = navigables.get_mut(navigable_id(id)) {
            navigable.name = name;
        }
    })?;

    let realm = ops.realm();
    ops.add("op_is_closed", move |id: f64| {
        let navigables = realm.event_loop().navigables();
        let navigable = navigables.get(navigable_id(id));
        navigable.is_none_or(|navigable| navigable.is_closing)
    })?;

    // The focusing steps, of a navigable.
    let realm = ops.realm();
    ops.add("op_focus", move |ctx: Ctx<'js>, id: f64| {
        realm.event_loop().focus(&ctx, navigable_id(id));
    })?;

    // Has focus steps, of a navigable.
    let realm = ops.realm();
    ops.add("op_has_focus", move |id: f64| {
        realm.event_loop().navigables().has_focus(navigable_id(id))
    })?;

    // Location, ancestorOrigins.
    let realm = ops.realm();
    ops.add("op_ancestor_origins", move || -> Vec<String> {
        let Some(id) = realm.navigable() else {
            return Vec::new();
        };
        let ancestors = realm.event_loop().navigables().ancestors(id);
        let realms = ancestors
            .into_iter()
            .filter_map(|id| realm.event_loop().active(id));
        realms
            .map(|realm| realm.state().environment().origin.as_str().to_owned())
            .collect()
    })?;

    // What a hook of the active document's realm gives, if its origin is that of the realm given.
    let realm = ops.realm();
    ops.add(
        "op_ask_window",
        move |ctx: Ctx<'js>, id: f64, hook: String, argument: Value<'js>| -> Option<Value<'js>> {
            let active = realm.event_loop().active(navigable_id(id))?;
            let is_same = active.state().environment().origin == realm.environment().origin;
            is_same.then(|| active.state().call(&ctx, &hook, (argument,)))?
        },
    )?;

    let realm = ops.realm();
    ops.add(
        "op_frame_element",
        move |ctx: Ctx<'js>| -> Option<Value<'js>> {
            let id = realm.navigable()?;
            let parent = realm.event_loop().navigables().get(id)?.parent?;
            let parent = realm.event_loop().active(parent)?;
            let is_same = parent.state().environment().origin == realm.environment().origin;
            is_same.then(|| {
                let id = to_number(id.0);
                parent.state().call(&ctx, "frameElement", (id,))
            })?
        },
    )
}

fn declare_frames<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Create a new child navigable, of a container in this window's document.
    let realm = ops.realm();
    ops.add(
        "op_create_frame",
        move |ctx: Ctx<'js>,
              name: String,
              sandbox: Option<String>,
              container: String|
              -> Result<f64> {
            let refused = |message: String| OpError::new("OperationError", message).throw(&ctx);
            let parent = realm.navigable();
            let parent = parent.ok_or_else(|| refused("the document is not shown".to_owned()))?;
            let sandbox = sandbox.as_deref().map(Sandbox::parse).unwrap_or_default();
            let destination = match container.as_str() {
                "embed" => Destination::Embed,
                "frame" => Destination::Frame,
                "object" => Destination::Object,
                _ => Destination::Iframe,
            };
            realm
                .event_loop()
                .create_navigable(&ctx, &realm, (Some(parent), destination), name, sandbox)
                .map(|id| to_number(id.0))
                .map_err(refused)
        },
    )?;

    // Destroy a child navigable.
    let realm = ops.realm();
    ops.add("op_destroy_frame", move |ctx: Ctx<'js>, id: f64| {
        realm.event_loop().unload(&ctx, navigable_id(id));
        realm.event_loop().destroy_navigable(navigable_id(id));
    })?;

    // What its next documents may not do.
    let realm = ops.realm();
    ops.add("op_set_sandbox", move |id: f64, sandbox: Option<String>| {
        let mut navigables = realm.event_loop().navigables_mut();
        if let Some(navigable) = navigables.get_mut(navigable_id(id)) {
            navigable.sandbox = sandbox.as_deref().map(Sandbox::parse).unwrap_or_default();
        }
    })?;

    // This window's document, and all in it that delays its load event, has loaded.
    let realm = ops.realm();
    ops.add("op_loaded", move |ctx: Ctx<'js>| {
        if let Some(id) = realm.navigable() {
            realm.event_loop().loaded(&ctx, id);
        }
    })?;

    // Whether scripts may run in its document.
    let realm = ops.realm();
    ops.add("op_is_scripting", move || !realm.options().sandbox.scripts)?;

    // Close a page.
    let realm = ops.realm();
    ops.add("op_close", move |ctx: Ctx<'js>, id: f64| {
        let id = navigable_id(id);
        {
            let mut navigables = realm.event_loop().navigables_mut();
            let Some(navigable) = navigables.get_mut(id) else {
                return;
            };
            // window.close(), step 2 and 3: only pages, only once, only those that scripts opened.
            if navigable.parent.is_some() || navigable.is_closing || navigable.opener.is_none() {
                return;
            }
            navigable.is_closing = true;
        }
        let active = realm.event_loop().active(id);
        drop(ctx);
        if let Some(active) = active {
            active.state().queue(TaskSource::Dom, move |realm| {
                realm.with(|ctx| {
                    let event_loop = Rc::clone(realm.state().event_loop());
                    event_loop.unload(ctx, id);
                    event_loop.destroy_navigable(id);
                });
            });
        }
    })
}

fn declare_scripts<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Run a classic script, with its error reporting; true if it did not throw. With muted errors
    // nothing is shown of what it threw.
    let realm = ops.realm();
    ops.add(
        "op_run_classic",
        move |ctx: Ctx<'js>, source: String, url: String, is_muted: Opt<Option<bool>>| {
            if realm.options().sandbox.scripts {
                return Ok(true);
            }
            let is_muted = is_muted.0.flatten() == Some(true);
            realm.set_muted(&url, is_muted);
            let ran = evaluate_script(&ctx, source, &url);
            // Interrupted: so is what runs the scripts of the document.
            if realm.is_killed() {
                return Err(rquickjs::Error::Exception);
            }
            if ran.is_err() {
                if is_muted {
                    realm.report_muted(&ctx);
                } else {
                    realm.report(&ctx);
                }
            }
            Result::Ok(ran.is_ok())
        },
    )
}
