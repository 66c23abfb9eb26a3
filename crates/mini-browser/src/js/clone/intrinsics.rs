//! The functions of a realm that structured cloning calls, taken before any script could replace
//! them.

use rquickjs::function::{Args, This};
use rquickjs::{Constructor, Ctx, Function, JsLifetime, Object, Persistent, Result, Value};
use std::cell::OnceCell;

/// The errors whose type is kept. The position is what is written.
pub(super) const ERROR_NAMES: [&str; 7] = [
    "Error",
    "EvalError",
    "RangeError",
    "ReferenceError",
    "SyntaxError",
    "TypeError",
    "URIError",
];

/// The flags of a regular expression by the getter that tells it.
const REGEXP_FLAGS: [(&str, char); 8] = [
    ("hasIndices", 'd'),
    ("global", 'g'),
    ("ignoreCase", 'i'),
    ("multiline", 'm'),
    ("dotAll", 's'),
    ("unicode", 'u'),
    ("unicodeSets", 'v'),
    ("sticky", 'y'),
];

/// Of one realm: held in its state, which lets go of it before the realm is freed.
#[derive(Default)]
pub(super) struct Intrinsics(OnceCell<Taken>);

type Kept<T> = Persistent<T>;

struct Taken {
    number_value: Kept<Function<'static>>,
    string_value: Kept<Function<'static>>,
    boolean_value: Kept<Function<'static>>,
    bigint_value: Kept<Function<'static>>,
    bigint_digits: Kept<Function<'static>>,
    bigint: Kept<Function<'static>>,
    date_time: Kept<Function<'static>>,
    regexp: Kept<Constructor<'static>>,
    regexp_source: Kept<Function<'static>>,
    regexp_flags: Vec<(Kept<Function<'static>>, char)>,
    map: Kept<Constructor<'static>>,
    map_set: Kept<Function<'static>>,
    map_for_each: Kept<Function<'static>>,
    set: Kept<Constructor<'static>>,
    set_add: Kept<Function<'static>>,
    set_for_each: Kept<Function<'static>>,
    buffer: Kept<Constructor<'static>>,
    buffer_max: Kept<Function<'static>>,
    buffer_length: Kept<Function<'static>>,
    buffer_resizable: Kept<Function<'static>>,
    buffer_detached: Kept<Function<'static>>,
    buffer_resize: Kept<Function<'static>>,
    buffer_transfer: Kept<Function<'static>>,
    array_buffer_of: Kept<Function<'static>>,
    array_offset: Kept<Function<'static>>,
    array_length: Kept<Function<'static>>,
    data_view: Kept<Constructor<'static>>,
    view_buffer: Kept<Function<'static>>,
    view_offset: Kept<Function<'static>>,
    view_length: Kept<Function<'static>>,
    error_prototypes: Vec<Kept<Object<'static>>>,
    error_stack: Kept<Function<'static>>,
}

/// One of the functions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    NumberValue,
    StringValue,
    BooleanValue,
    BigIntValue,
    DateTime,
    RegExpSource,
    MapSet,
    MapForEach,
    SetAdd,
    SetForEach,
    BufferMax,
    BufferLength,
    BufferResizable,
    BufferDetached,
    BufferResize,
    BufferTransfer,
    ArrayBufferOf,
    ArrayOffset,
    ArrayLength,
    ViewBuffer,
    ViewOffset,
    ViewLength,
    ErrorStack,
}

/// One of the constructors.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interface {
    RegExp,
    Map,
    Set,
    ArrayBuffer,
    DataView,
}

impl Intrinsics {
    /// Takes them from the realm of `ctx`, in which no script has run.
    pub(super) fn take(&self, ctx: &Ctx<'_>) -> Result<()> {
        if self.0.get().is_none() {
            let taken = Taken::new(ctx)?;
            // It was empty just now, and taking runs no script.
            drop(self.0.set(taken));
        }
        Ok(())
    }

    fn taken(&self, ctx: &Ctx<'_>) -> Result<&Taken> {
        let missing = || rquickjs::Exception::throw_internal(ctx, "the realm was not prepared");
        self.0.get().ok_or_else(missing)
    }

    /// Call(`method`, `this`, `arguments`).
    pub(super) fn call<'js>(
        &self,
        method: Method,
        this: &Value<'js>,
        arguments: &[&Value<'js>],
    ) -> Result<Value<'js>> {
        let ctx = this.ctx();
        let function = self.taken(ctx)?.method(method).clone().restore(ctx)?;
        let mut args = Args::new(ctx.clone(), arguments.len());
        args.this(this.clone())?;
        for argument in arguments {
            args.push_arg((*argument).clone())?;
        }
        args.apply(&function)
    }

    /// As [`call`](Self::call), of what gives a number.
    pub(super) fn number(&self, method: Method, this: &Value<'_>) -> Result<f64> {
        Ok(self
            .call(method, this, &[])?
            .as_number()
            .unwrap_or(f64::NAN))
    }

    /// As [`call`](Self::call), of what gives a boolean.
    pub(super) fn is(&self, method: Method, this: &Value<'_>) -> Result<bool> {
        Ok(self.call(method, this, &[])?.as_bool().unwrap_or(false))
    }

    /// Construct(`interface`, `arguments`).
    pub(super) fn construct<'js>(
        &self,
        ctx: &Ctx<'js>,
        interface: Interface,
        arguments: &[&Value<'js>],
    ) -> Result<Value<'js>> {
        let taken = self.taken(ctx)?;
        let constructor = match interface {
            Interface::RegExp => &taken.regexp,
            Interface::Map => &taken.map,
            Interface::Set => &taken.set,
            Interface::ArrayBuffer => &taken.buffer,
            Interface::DataView => &taken.data_view,
        };
        let constructor = constructor.clone().restore(ctx)?;
        let mut args = Args::new(ctx.clone(), arguments.len());
        for argument in arguments {
            args.push_arg((*argument).clone())?;
        }
        constructor.construct_args(args)
    }

    /// The flags of a regular expression.
    pub(super) fn regexp_flags(&self, regexp: &Value<'_>) -> Result<String> {
        let ctx = regexp.ctx();
        let mut flags = String::new();
        for (getter, flag) in &self.taken(ctx)?.regexp_flags {
            let getter = getter.clone().restore(ctx)?;
            if getter.call((This(regexp.clone()),))? {
                flags.push(*flag);
            }
        }
        Ok(flags)
    }

    /// A bigint in hexadecimal digits.
    pub(super) fn bigint_digits(&self, bigint: &Value<'_>) -> Result<String> {
        let digits = self.taken(bigint.ctx())?.bigint_digits.clone();
        let digits = digits.restore(bigint.ctx())?;
        digits.call((This(bigint.clone()), 16))
    }

    /// The bigint that `literal` is.
    pub(super) fn bigint<'js>(&self, ctx: &Ctx<'js>, literal: &str) -> Result<Value<'js>> {
        let bigint = self.taken(ctx)?.bigint.clone().restore(ctx)?;
        bigint.call((literal,))
    }

    /// The prototype of errors of the type at `at` in [`ERROR_NAMES`].
    pub(super) fn error_prototype<'js>(&self, ctx: &Ctx<'js>, at: usize) -> Result<Object<'js>> {
        let prototypes = &self.taken(ctx)?.error_prototypes;
        let prototype = prototypes.get(at).or(prototypes.first());
        let missing = || rquickjs::Exception::throw_internal(ctx, "there are no errors");
        prototype.ok_or_else(missing)?.clone().restore(ctx)
    }
}

impl Taken {
    fn new(ctx: &Ctx<'_>) -> Result<Self> {
        let take = Take::new(ctx)?;
        let regexp_flags = REGEXP_FLAGS.iter();
        let regexp_flags = regexp_flags
            .map(|(name, flag)| Ok((take.getter("RegExp", name)?, *flag)))
            .collect::<Result<_>>()?;
        let error_prototypes = ERROR_NAMES.iter();
        let error_prototypes = error_prototypes
            .map(|name| Ok(Persistent::save(ctx, take.prototype(name)?)))
            .collect::<Result<_>>()?;
        let typed_array = take.prototype("Uint8Array")?.get_prototype();
        let typed_array = typed_array.ok_or(rquickjs::Error::Unknown)?;
        Ok(Self {
            number_value: take.method("Number", "valueOf")?,
            string_value: take.method("String", "valueOf")?,
            boolean_value: take.method("Boolean", "valueOf")?,
            bigint_value: take.method("BigInt", "valueOf")?,
            bigint_digits: take.method("BigInt", "toString")?,
            bigint: take.save(take.global::<Function<'_>>("BigInt")?)?,
            date_time: take.method("Date", "getTime")?,
            regexp: take.constructor("RegExp")?,
            regexp_source: take.getter("RegExp", "source")?,
            regexp_flags,
            map: take.constructor("Map")?,
            map_set: take.method("Map", "set")?,
            map_for_each: take.method("Map", "forEach")?,
            set: take.constructor("Set")?,
            set_add: take.method("Set", "add")?,
            set_for_each: take.method("Set", "forEach")?,
            buffer: take.constructor("ArrayBuffer")?,
            buffer_max: take.getter("ArrayBuffer", "maxByteLength")?,
            buffer_length: take.getter("ArrayBuffer", "byteLength")?,
            buffer_resizable: take.getter("ArrayBuffer", "resizable")?,
            buffer_detached: take.getter("ArrayBuffer", "detached")?,
            buffer_resize: take.method("ArrayBuffer", "resize")?,
            buffer_transfer: take.method("ArrayBuffer", "transfer")?,
            array_buffer_of: take.getter_of(&typed_array, "buffer")?,
            array_offset: take.getter_of(&typed_array, "byteOffset")?,
            array_length: take.getter_of(&typed_array, "length")?,
            data_view: take.constructor("DataView")?,
            view_buffer: take.getter("DataView", "buffer")?,
            view_offset: take.getter("DataView", "byteOffset")?,
            view_length: take.getter("DataView", "byteLength")?,
            error_prototypes,
            error_stack: take.getter("Error", "stack")?,
        })
    }

    const fn method(&self, method: Method) -> &Kept<Function<'static>> {
        match method {
            Method::NumberValue => &self.number_value,
            Method::StringValue => &self.string_value,
            Method::BooleanValue => &self.boolean_value,
            Method::BigIntValue => &self.bigint_value,
            Method::DateTime => &self.date_time,
            Method::RegExpSource => &self.regexp_source,
            Method::MapSet => &self.map_set,
            Method::MapForEach => &self.map_for_each,
            Method::SetAdd => &self.set_add,
            Method::SetForEach => &self.set_for_each,
            Method::BufferMax => &self.buffer_max,
            Method::BufferLength => &self.buffer_length,
            Method::BufferResizable => &self.buffer_resizable,
            Method::BufferDetached => &self.buffer_detached,
            Method::BufferResize => &self.buffer_resize,
            Method::BufferTransfer => &self.buffer_transfer,
            Method::ArrayBufferOf => &self.array_buffer_of,
            Method::ArrayOffset => &self.array_offset,
            Method::ArrayLength => &self.array_length,
            Method::ViewBuffer => &self.view_buffer,
            Method::ViewOffset => &self.view_offset,
            Method::ViewLength => &self.view_length,
            Method::ErrorStack => &self.error_stack,
        }
    }
}

/// Reads a realm's globals.
struct Take<'js> {
    ctx: Ctx<'js>,
    globals: Object<'js>,
    descriptor: Function<'js>,
}

impl<'js> Take<'js> {
    fn new(ctx: &Ctx<'js>) -> Result<Self> {
        let globals = ctx.globals();
        let object: Object<'js> = globals.get("Object")?;
        Ok(Self {
            ctx: ctx.clone(),
            globals,
            descriptor: object.get("getOwnPropertyDescriptor")?,
        })
    }

    fn global<T: rquickjs::FromJs<'js>>(&self, name: &str) -> Result<T> {
        self.globals.get(name)
    }

    fn constructor(&self, name: &str) -> Result<Kept<Constructor<'static>>> {
        let constructor: Constructor<'js> = self.global(name)?;
        self.save(constructor)
    }

    fn prototype(&self, interface: &str) -> Result<Object<'js>> {
        self.global::<Object<'js>>(interface)?.get("prototype")
    }

    fn method(&self, interface: &str, name: &str) -> Result<Kept<Function<'static>>> {
        let method: Function<'js> = self.prototype(interface)?.get(name)?;
        self.save(method)
    }

    fn getter(&self, interface: &str, name: &str) -> Result<Kept<Function<'static>>> {
        self.getter_of(&self.prototype(interface)?, name)
    }

    fn getter_of(&self, object: &Object<'js>, name: &str) -> Result<Kept<Function<'static>>> {
        let descriptor: Object<'js> = self.descriptor.call((object.clone(), name))?;
        let getter: Function<'js> = descriptor.get("get")?;
        self.save(getter)
    }

    fn save<T: JsLifetime<'js>>(&self, value: T) -> Result<Kept<T::Changed<'static>>> {
        Ok(Persistent::save(&self.ctx, value))
    }
}
