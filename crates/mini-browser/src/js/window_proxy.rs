//! `WindowProxy`: one object for each navigable, which stands for whichever window is its active one.
//! (*HTML*, "the WindowProxy exotic object".)
//!
//! It is a `Proxy` whose traps are native, because a native function is called with the context of
//! its caller: that is who asks. To windows of the same origin it passes everything on; for others
//! the caller's realm carries out HTML's cross-origin algorithms (`prelude/cross_origin.js`).
//!
//! Deviation: a `Proxy` may not show a property as non-configurable that its target has not, so that
//! such properties of a window look configurable through it. And the engine shows accessors as data
//! properties when a `Proxy` is asked for their descriptors.

use rquickjs::context::intrinsic;
use rquickjs::function::{Constructor, Rest};
use rquickjs::{Context, Ctx, Exception, Function, Object, Persistent, Result, Runtime, Value};

use super::navigables::NavigableId;
use super::realm::{Realm, RealmState, state_of};
use super::task::RealmId;

/// What makes proxies, in a context that no script is in.
pub(super) struct WindowProxies {
    handler: Persistent<Object<'static>>,
    reflect: Persistent<Object<'static>>,
    proxy: Persistent<Constructor<'static>>,
    // Last, so that it is freed after its values.
    _context: Context,
}

/// A new proxy, and what it knows of its window.
pub(super) struct NewProxy {
    pub(super) proxy: Persistent<Value<'static>>,
    pub(super) target: Persistent<Object<'static>>,
}

impl WindowProxies {
    /// Called while no script runs.
    pub(super) fn new(runtime: &Runtime) -> Result<Self> {
        let context = Context::custom::<(intrinsic::Proxy, intrinsic::Eval)>(runtime)?;
        let (handler, reflect, proxy) = context.with(|ctx| {
            let handler = Object::new(ctx.clone())?;
            let reflect: Object<'_> = ctx.globals().get("Reflect")?;
            declare_traps(&ctx, &handler, &reflect)?;
            let proxy: Constructor<'_> = ctx.globals().get("Proxy")?;
            Ok::<_, rquickjs::Error>((
                Persistent::save(&ctx, handler),
                Persistent::save(&ctx, reflect),
                Persistent::save(&ctx, proxy),
            ))
        })?;
        Ok(Self {
            handler,
            reflect,
            proxy,
            _context: context,
        })
    }

    /// The `Reflect` of the proxies' own context.
    pub(super) fn reflect(&self) -> Persistent<Object<'static>> {
        self.reflect.clone()
    }

    /// The proxy of a navigable, without a window yet.
    pub(super) fn create(&self, ctx: &Ctx<'_>, id: NavigableId) -> Result<NewProxy> {
        let handler = self.handler.clone().restore(ctx)?;
        let target = Object::new_proto(handler.ctx().clone(), None)?;
        target.set("navigable", to_number(id.0))?;
        let proxy = self.proxy.clone().restore(ctx)?;
        let proxy: Value<'_> = proxy.construct((target.clone(), handler))?;
        Ok(NewProxy {
            proxy: Persistent::save(ctx, proxy),
            target: Persistent::save(ctx, target),
        })
    }

    /// What a value knows of its window, if it is a `WindowProxy`.
    fn target<'js>(&self, value: &Value<'js>) -> Option<Object<'js>> {
        let proxy = rquickjs::Proxy::from_value(value.clone()).ok()?;
        let handler = self.handler.clone().restore(value.ctx()).ok()?;
        (proxy.handler().ok()? == handler).then(|| proxy.target().ok())?
    }

    /// The navigable and the window of a `WindowProxy`; `None` for anything else.
    pub(super) fn window<'js>(&self, value: &Value<'js>) -> Option<(NavigableId, Object<'js>)> {
        let target = self.target(value)?;
        Some((navigable_of(&target).ok()?, target.get("window").ok()?))
    }
}

/// The proxy of `target` stands for the window of `realm` from now on.
pub(super) fn set_window<'js>(ctx: &Ctx<'js>, target: &Object<'js>, realm: &Realm) -> Result<()> {
    target.set("realm", to_number(realm.id().0))?;
    target.set("window", realm.state().global(ctx))
}

#[expect(clippy::cast_precision_loss, reason = "ids are counters below 2^53")]
const fn to_number(id: u64) -> f64 {
    id as f64
}

fn navigable_of(target: &Object<'_>) -> Result<NavigableId> {
    Ok(NavigableId(counter(target, "navigable")?))
}

fn realm_of(target: &Object<'_>) -> Result<RealmId> {
    Ok(RealmId(counter(target, "realm")?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are counters below 2^53 that were set here"
)]
fn counter(target: &Object<'_>, name: &str) -> Result<u64> {
    Ok(target.get::<_, f64>(name)? as u64)
}

/// How a window is looked at.
enum Access<'js> {
    /// By a script of its origin.
    Same(Object<'js>),
    /// By a script of another one, in the realm given.
    Cross(std::rc::Rc<RealmState>),
}

/// *IsPlatformObjectSameOrigin*, of the window and the realm that asks.
fn access<'js>(ctx: &Ctx<'js>, target: &Object<'js>) -> Result<Access<'js>> {
    let refused = || Exception::throw_type(ctx, "this window is not there for this realm");
    let caller = state_of(ctx).ok_or_else(refused)?;
    let realm = realm_of(target)?;
    let is_same = realm == caller.id() || {
        let window = caller.event_loop().state_by_id(realm).ok_or_else(refused)?;
        let origins = (caller.environment(), window.environment());
        origins.0.origin == origins.1.origin
    };
    Ok(if is_same {
        Access::Same(target.get("window")?)
    } else {
        Access::Cross(caller)
    })
}

/// The child navigable that an array index names.
fn child<'js>(ctx: &Ctx<'js>, target: &Object<'js>, key: &Value<'js>) -> Result<Child<'js>> {
    let Some(index) = key
        .as_string()
        .and_then(|key| array_index(&key.to_string().ok()?))
    else {
        return Ok(Child::NoIndex);
    };
    let Some(caller) = state_of(ctx) else {
        return Ok(Child::NoIndex);
    };
    let navigables = caller.event_loop().navigables();
    let children = navigables.get(navigable_of(target)?);
    let child = children.and_then(|navigable| navigable.children.get(index).copied());
    Ok(match child.and_then(|child| navigables.proxy(ctx, child)) {
        Some(proxy) => Child::Window(proxy),
        None => Child::Missing,
    })
}

enum Child<'js> {
    NoIndex,
    Missing,
    Window(Value<'js>),
}

fn array_index(key: &str) -> Option<usize> {
    let is_canonical = key == "0" || !key.starts_with(['0', '+']);
    key.parse::<u32>()
        .ok()
        .filter(|index| is_canonical && *index < u32::MAX)
        .map(|index| index as usize)
}

/// HTML's algorithm for another origin, in the caller's realm.
fn cross_origin<'js>(
    ctx: &Ctx<'js>,
    caller: &RealmState,
    target: &Object<'js>,
    trap: &'static str,
    mut args: Vec<Value<'js>>,
) -> Result<Value<'js>> {
    let id = navigable_of(target)?;
    args.insert(0, Value::new_number(ctx.clone(), to_number(id.0)));
    let done = caller.try_call(ctx, "crossOrigin", (trap, args));
    done.unwrap_or_else(|| Err(Exception::throw_type(ctx, "Blocked: of another origin")))
}

fn declare_traps<'js>(ctx: &Ctx<'js>, handler: &Object<'js>, reflect: &Object<'js>) -> Result<()> {
    // Those that only pass on, or refuse.
    for trap in [
        "has",
        "deleteProperty",
        "defineProperty",
        "isExtensible",
        "getPrototypeOf",
    ] {
        let ordinary = Reflect::of(reflect, trap)?;
        let function = move |ctx: Ctx<'js>, target: Object<'js>, rest: Rest<Value<'js>>| {
            pass_on(&ctx, &target, trap, rest.0, &ordinary)
        };
        handler.set(trap, Function::new(ctx.clone(), function)?)?;
    }
    let get = |ctx: Ctx<'js>, target: Object<'js>, key: Value<'js>| -> Result<Value<'js>> {
        match access(&ctx, &target)? {
            Access::Same(window) => match child(&ctx, &target, &key)? {
                Child::Window(proxy) => Ok(proxy),
                Child::NoIndex | Child::Missing => window.get(key),
            },
            Access::Cross(caller) => cross_origin(&ctx, &caller, &target, "get", vec![key]),
        }
    };
    handler.set("get", Function::new(ctx.clone(), get)?)?;

    let ordinary = Reflect::of(reflect, "set")?;
    let set =
        move |ctx: Ctx<'js>, target: Object<'js>, key: Value<'js>, value: Value<'js>| match access(
            &ctx, &target,
        )? {
            Access::Same(window) => match child(&ctx, &target, &key)? {
                Child::NoIndex => ordinary.call(&ctx, (window, key, value)),
                Child::Missing | Child::Window(_) => Ok(Value::new_bool(ctx, false)),
            },
            Access::Cross(caller) => cross_origin(&ctx, &caller, &target, "set", vec![key, value]),
        };
    handler.set("set", Function::new(ctx.clone(), set)?)?;

    let ordinary = Reflect::of(reflect, "getOwnPropertyDescriptor")?;
    let descriptor = move |ctx: Ctx<'js>, target: Object<'js>, key: Value<'js>| {
        let trap = "getOwnPropertyDescriptor";
        let found = match access(&ctx, &target)? {
            Access::Same(window) => match child(&ctx, &target, &key)? {
                Child::Window(proxy) => return indexed_descriptor(&ctx, proxy),
                Child::NoIndex => {
                    settle(&ctx, &target, &key)?;
                    ordinary.call(&ctx, (window, key))?
                }
                Child::Missing => Value::new_undefined(ctx),
            },
            Access::Cross(caller) => cross_origin(&ctx, &caller, &target, trap, vec![key])?,
        };
        if let Some(found) = found.as_object() {
            found.set("configurable", true)?;
        }
        Ok(found)
    };
    handler.set(
        "getOwnPropertyDescriptor",
        Function::new(ctx.clone(), descriptor)?,
    )?;

    let ordinary = Reflect::of(reflect, "ownKeys")?;
    let own_keys = move |ctx: Ctx<'js>, target: Object<'js>| -> Result<Value<'js>> {
        match access(&ctx, &target)? {
            Access::Same(window) => {
                let own = ordinary.call(&ctx, (window,))?;
                let id = navigable_of(&target)?;
                let children = state_of(&ctx).and_then(|caller| {
                    let navigables = caller.event_loop().navigables();
                    navigables.get(id).map(|navigable| navigable.children.len())
                });
                let keys = rquickjs::Array::new(ctx.clone())?;
                let indices = (0..children.unwrap_or(0)).map(|index| index.to_string());
                for index in indices {
                    keys.set(keys.len(), index)?;
                }
                if let Some(own) = own.as_array() {
                    for key in own.iter::<Value<'_>>() {
                        keys.set(keys.len(), key?)?;
                    }
                }
                Ok(keys.into_value())
            }
            Access::Cross(caller) => cross_origin(&ctx, &caller, &target, "ownKeys", Vec::new()),
        }
    };
    handler.set("ownKeys", Function::new(ctx.clone(), own_keys)?)?;

    // [[SetPrototypeOf]]: SetImmutablePrototype.
    let ordinary = Reflect::of(reflect, "getPrototypeOf")?;
    let set_prototype = move |ctx: Ctx<'js>, target: Object<'js>, wanted: Value<'js>| {
        let current = pass_on(&ctx, &target, "getPrototypeOf", Vec::new(), &ordinary)?;
        Ok::<_, rquickjs::Error>(current == wanted)
    };
    handler.set("setPrototypeOf", Function::new(ctx.clone(), set_prototype)?)?;
    handler.set("preventExtensions", Function::new(ctx.clone(), || false)?)
}

/// What an ordinary object does, or what is done across origins.
fn pass_on<'js>(
    ctx: &Ctx<'js>,
    target: &Object<'js>,
    trap: &'static str,
    args: Vec<Value<'js>>,
    ordinary: &Reflect,
) -> Result<Value<'js>> {
    let window = match access(ctx, target)? {
        Access::Same(window) => window,
        Access::Cross(caller) => return cross_origin(ctx, &caller, target, trap, args),
    };
    let key = args.first().cloned();
    let found = match key {
        Some(key) => child(ctx, target, &key)?,
        None => Child::NoIndex,
    };
    match (trap, found) {
        (_, Child::NoIndex) | ("has", Child::Missing) => {}
        ("has", Child::Window(_)) | ("deleteProperty", Child::Missing) => {
            return Ok(Value::new_bool(ctx.clone(), true));
        }
        // [[DefineOwnProperty]] and [[Delete]] of an index fail.
        _ => return Ok(Value::new_bool(ctx.clone(), false)),
    }
    let mut all = vec![window.into_value()];
    all.extend(args);
    ordinary.call(ctx, (Rest(all),))
}

/// A global of the window that its first use will make is made now.
fn settle<'js>(ctx: &Ctx<'js>, target: &Object<'js>, key: &Value<'js>) -> Result<()> {
    let Some(caller) = state_of(ctx) else {
        return Ok(());
    };
    let window = caller.event_loop().state_by_id(realm_of(target)?);
    let settled = window.and_then(|window| window.try_call(ctx, "settle", (key.clone(),)));
    settled.transpose().map(drop)
}

fn indexed_descriptor<'js>(ctx: &Ctx<'js>, proxy: Value<'js>) -> Result<Value<'js>> {
    let descriptor = Object::new(ctx.clone())?;
    descriptor.set("value", proxy)?;
    descriptor.set("writable", false)?;
    descriptor.set("enumerable", true)?;
    descriptor.set("configurable", true)?;
    Ok(descriptor.into_value())
}

/// A function of `Reflect`, by which a property of the global `Reflect` of the proxies' own context is
/// meant: found anew at each call, because a native function must not hold a value.
struct Reflect(&'static str);

impl Reflect {
    fn of(reflect: &Object<'_>, name: &'static str) -> Result<Self> {
        reflect.get::<_, Function<'_>>(name).map(|_| Self(name))
    }

    fn call<'js>(
        &self,
        ctx: &Ctx<'js>,
        args: impl rquickjs::function::IntoArgs<'js>,
    ) -> Result<Value<'js>> {
        let caller = state_of(ctx)
            .ok_or_else(|| Exception::throw_internal(ctx, "a realm without a state"))?;
        let event_loop = caller.event_loop();
        let function = event_loop.reflect(ctx, self.0)?;
        event_loop.with_asking(caller.id(), || function.call(args))
    }
}
