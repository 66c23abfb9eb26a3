//! Platform objects, which only the prelude knows: that of the realm that asks, and for an object of
//! another realm of the agent, that one's. (`prelude/serializable.js`.)

use std::rc::Rc;

use rquickjs::function::IntoArgs;
use rquickjs::{Ctx, Object, Value};

use super::CloneError;
use crate::js::realm::{Realm, RealmState};

type Result<T> = std::result::Result<T, CloneError>;

/// The module that registers the hooks.
const MODULE: &str = "structured_clone.js";

/// A transferable object, known to its own realm.
pub(super) struct Found<'js> {
    /// What the prelude calls its class.
    pub(super) tag: Value<'js>,
    owner: Option<Realm>,
}

/// `[[Serializable]]`: the tag and the data of a platform object; `None` if the object is none.
pub(super) fn serialize<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
    for_storage: bool,
) -> Result<Option<(Value<'js>, Value<'js>)>> {
    prepare(ctx, realm)?;
    let args = || (value.clone(), for_storage);
    let answer = ask(ctx, realm, "platform serialize", args, |answer| {
        !answer.is_undefined()
    })?;
    let Some((answer, _)) = answer else {
        return Ok(None);
    };
    match answer.as_array() {
        Some(answer) => Ok(Some((answer.get(0)?, answer.get(1)?))),
        // Step 20: not serializable.
        None => Err(CloneError::data_clone("An object of the browser's")),
    }
}

/// A new object for the data that [`serialize`] gave.
pub(super) fn deserialize<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    tag: String,
    data: Value<'js>,
) -> Result<Value<'js>> {
    prepare(ctx, realm)?;
    call(ctx, realm, "platform deserialize", (tag, data))
}

/// The tag of an object that has \[\[Detached]].
pub(super) fn transferable<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
) -> Result<Option<Found<'js>>> {
    prepare(ctx, realm)?;
    let found = ask(
        ctx,
        realm,
        "transferable",
        || (value.clone(),),
        Value::is_string,
    )?;
    Ok(found.map(|(tag, owner)| Found { tag, owner }))
}

impl<'js> Found<'js> {
    /// The transfer steps: the data.
    pub(super) fn transfer(&self, ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Value<'js>> {
        let args = (value.clone(), self.tag.clone());
        let data = match &self.owner {
            Some(owner) => {
                owner.enter(ctx, |owner, ctx| call(ctx, owner.state(), "transfer", args))
            }
            None => {
                let realm = crate::js::realm::state_of(ctx);
                let realm: Rc<RealmState> = realm.ok_or_else(unknown)?;
                call(ctx, &realm, "transfer", args)
            }
        }?;
        if data.is_undefined() {
            let message = "An object that is detached could not be transferred";
            return Err(CloneError::DataClone(message.to_owned()));
        }
        Ok(data)
    }
}

/// The transfer-receiving steps.
pub(super) fn receive<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    tag: String,
    data: Value<'js>,
) -> Result<Value<'js>> {
    prepare(ctx, realm)?;
    call(ctx, realm, "receive", (tag, data))
}

/// Whether a value is a window, as its global object or as the proxy of it, or a `ServiceWorker`.
pub(super) fn is_window_or_worker<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
) -> bool {
    let event_loop = realm.event_loop();
    if event_loop.window_of(value).is_some() || event_loop.realm_of_global(ctx, value).is_some() {
        return true;
    }
    let class = ctx.globals().get::<_, Option<Object<'js>>>("ServiceWorker");
    let Some(object) = value.as_object() else {
        return false;
    };
    matches!(class, Ok(Some(class)) if object.is_instance_of(&class))
}

fn prepare(ctx: &Ctx<'_>, realm: &RealmState) -> Result<()> {
    if !realm.has_hook("platform serialize") && !realm.has_ended() {
        realm.module(ctx, MODULE)?;
    }
    Ok(())
}

/// Asks this realm and then the others, until one knows.
fn ask<'js, A: IntoArgs<'js>>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    hook: &str,
    args: impl Fn() -> A,
    knows: impl Fn(&Value<'js>) -> bool,
) -> Result<Option<(Value<'js>, Option<Realm>)>> {
    if let Some(answer) = realm.try_call(ctx, hook, args()) {
        let answer = answer?;
        if knows(&answer) {
            return Ok(Some((answer, None)));
        }
    }
    for other in realm.event_loop().other_realms(realm.id()) {
        let answer = other.enter(ctx, |other, ctx| other.state().try_call(ctx, hook, args()));
        if let Some(answer) = answer {
            let answer = answer?;
            if knows(&answer) {
                return Ok(Some((answer, Some(other))));
            }
        }
    }
    Ok(None)
}

fn call<'js, A: IntoArgs<'js>>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    hook: &str,
    args: A,
) -> Result<Value<'js>> {
    let answer = realm.try_call(ctx, hook, args).ok_or_else(unknown)?;
    Ok(answer?)
}

fn unknown() -> CloneError {
    CloneError::data_clone("An object of the browser's")
}
