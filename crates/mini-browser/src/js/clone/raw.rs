//! What structured cloning asks of the engine and rquickjs does not offer: classes that no script
//! can forge, own properties by key, strings with lone surrogates. All `unsafe` of this folder.
#![expect(
    unsafe_code,
    reason = "rquickjs has no safe form of these calls, and they are in the path of every message"
)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use rquickjs::{ArrayBuffer, Ctx, Error, Object, Result, Value, qjs};

/// The class of an object, or a number that no class has.
pub(super) fn class_id(value: &Value<'_>) -> u32 {
    // SAFETY: the call only reads the tag and the object's header; `value` is alive.
    unsafe { qjs::JS_GetClassID(value.as_raw()) }
}

/// What tells an object from every other that is alive.
pub(super) fn identity(object: &Value<'_>) -> usize {
    debug_assert!(object.is_object());
    // SAFETY: the value is an object, so its payload is a pointer.
    unsafe { qjs::JS_VALUE_GET_PTR(object.as_raw()) as usize }
}

/// The keys that an object had at one moment: own, enumerable, strings; in the standard's order.
pub(super) struct Keys<'js> {
    ctx: Ctx<'js>,
    table: *mut qjs::JSPropertyEnum,
    /// How many entries the table has.
    entries: u32,
    /// How many of them are strings; the others are private names.
    strings: u32,
}

impl<'js> Keys<'js> {
    pub(super) fn of(object: &Value<'js>) -> Result<Self> {
        let ctx = object.ctx().clone();
        let mut table = ptr::null_mut();
        let mut len = 0;
        let flags = qjs::JS_GPN_STRING_MASK | qjs::JS_GPN_PRIVATE_MASK | qjs::JS_GPN_ENUM_ONLY;
        // SAFETY: `object` is alive; on success `table` has `len` entries, and is ours.
        let status = unsafe {
            qjs::JS_GetOwnPropertyNames(
                ctx.as_raw().as_ptr(),
                &raw mut table,
                &raw mut len,
                object.as_raw(),
                flags as c_int,
            )
        };
        if status < 0 {
            return Err(Error::Exception);
        }
        let mut keys = Self {
            ctx,
            table,
            entries: len,
            strings: len,
        };
        // Private names come last.
        while keys.strings > 0 && keys.is_private(keys.strings - 1) {
            keys.strings -= 1;
        }
        Ok(keys)
    }

    /// How many keys there are.
    pub(super) const fn len(&self) -> u32 {
        self.strings
    }

    /// Whether the object has private elements: it is of a class of the prelude's, or a script's.
    pub(super) const fn has_private(&self) -> bool {
        self.strings < self.entries
    }

    /// Whether the key at `at` is the array index `index`.
    pub(super) fn is_index(&self, at: u32, index: u32) -> bool {
        // Larger indices are atoms that are counted; there are no such dense arrays.
        if index >= 1 << 30 {
            return false;
        }
        // SAFETY: an atom of a number below 2^31 is the number itself: nothing is allocated.
        let atom = unsafe { qjs::JS_NewAtomUInt32(self.raw_ctx(), index) };
        self.atom(at) == atom
    }

    /// Gives the key at `at` to `read`, as UTF-8, or as UTF-16 if it has lone surrogates.
    pub(super) fn read<R>(&self, at: u32, read: impl FnOnce(Text<'_>) -> R) -> Result<R> {
        let mut len = 0;
        // SAFETY: the atom is alive as long as the table is; the text is freed by `CText`.
        let text = unsafe { qjs::JS_AtomToCStringLen(self.raw_ctx(), &raw mut len, self.atom(at)) };
        let text = CText::new(&self.ctx, text, len as usize)?;
        match std::str::from_utf8(text.bytes()) {
            Ok(utf8) => Ok(read(Text::Utf8(utf8))),
            Err(_) => {
                // SAFETY: as above; the value is ours.
                let value = unsafe {
                    let value = qjs::JS_AtomToString(self.raw_ctx(), self.atom(at));
                    owned(&self.ctx, value)?
                };
                read_string(&value, read)
            }
        }
    }

    /// Get(`object`, key), if `object` still has that property of its own.
    pub(super) fn get(&self, at: u32, object: &Value<'js>) -> Result<Option<Value<'js>>> {
        get_own(&self.ctx, object, self.atom(at), true)
    }

    fn is_private(&self, at: u32) -> bool {
        // SAFETY: the atom is alive; the value is ours.
        let value = unsafe { qjs::JS_AtomToValue(self.raw_ctx(), self.atom(at)) };
        // SAFETY: as above.
        unsafe { owned(&self.ctx, value) }.is_ok_and(|value| value.is_symbol())
    }

    fn atom(&self, at: u32) -> qjs::JSAtom {
        assert!(at < self.entries, "a key that the object does not have");
        // SAFETY: the table has that many entries.
        unsafe { (*self.table.add(at as usize)).atom }
    }

    fn raw_ctx(&self) -> *mut qjs::JSContext {
        self.ctx.as_raw().as_ptr()
    }
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        // SAFETY: the table came from JS_GetOwnPropertyNames with this length.
        unsafe { qjs::JS_FreePropertyEnum(self.raw_ctx(), self.table, self.entries) };
    }
}

/// The value of `object`'s own data property `name`; `None` if it is none, or an accessor.
pub(super) fn own_data<'js>(object: &Value<'js>, name: &str) -> Result<Option<Value<'js>>> {
    let ctx = object.ctx();
    let atom = Key::new(ctx, Text::Utf8(name))?;
    get_own(ctx, object, atom.atom, false)
}

fn get_own<'js>(
    ctx: &Ctx<'js>,
    object: &Value<'js>,
    atom: qjs::JSAtom,
    call_getter: bool,
) -> Result<Option<Value<'js>>> {
    let raw = ctx.as_raw().as_ptr();
    let mut descriptor = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
    // SAFETY: object and atom are alive; the descriptor is written if the answer is positive.
    let found =
        unsafe { qjs::JS_GetOwnProperty(raw, descriptor.as_mut_ptr(), object.as_raw(), atom) };
    match found {
        0 => return Ok(None),
        1.. => {}
        _ => return Err(Error::Exception),
    }
    // SAFETY: it was written; its three values are ours.
    let (flags, value, getter) = unsafe {
        let descriptor = descriptor.assume_init();
        let setter = Value::from_raw(ctx.clone(), descriptor.setter);
        drop(setter);
        let value = Value::from_raw(ctx.clone(), descriptor.value);
        let getter = Value::from_raw(ctx.clone(), descriptor.getter);
        (descriptor.flags, value, getter)
    };
    if flags as u32 & qjs::JS_PROP_TMASK != qjs::JS_PROP_GETSET {
        return Ok(Some(value));
    }
    if !call_getter {
        return Ok(None);
    }
    if getter.is_undefined() {
        return Ok(Some(getter));
    }
    // SAFETY: getter and object are alive; no arguments are read; the result is ours.
    let got = unsafe {
        let got = qjs::JS_Call(raw, getter.as_raw(), object.as_raw(), 0, ptr::null_mut());
        owned(ctx, got)?
    };
    Ok(Some(got))
}

/// A property key.
pub(super) struct Key<'js> {
    ctx: Ctx<'js>,
    atom: qjs::JSAtom,
}

impl<'js> Key<'js> {
    pub(super) fn new(ctx: &Ctx<'js>, text: Text<'_>) -> Result<Self> {
        let raw = ctx.as_raw().as_ptr();
        let atom = match text {
            // SAFETY: the bytes are valid UTF-8 of that length.
            Text::Utf8(text) => unsafe {
                qjs::JS_NewAtomLen(raw, text.as_ptr().cast(), text.len() as _)
            },
            Text::Utf16(_) => {
                let string = new_string(ctx, text)?;
                // SAFETY: `string` is alive.
                unsafe { qjs::JS_ValueToAtom(raw, string.as_raw()) }
            }
        };
        Self::check(ctx, atom)
    }

    pub(super) fn index(ctx: &Ctx<'js>, index: u32) -> Result<Self> {
        // SAFETY: no preconditions.
        let atom = unsafe { qjs::JS_NewAtomUInt32(ctx.as_raw().as_ptr(), index) };
        Self::check(ctx, atom)
    }

    fn check(ctx: &Ctx<'js>, atom: qjs::JSAtom) -> Result<Self> {
        if atom == qjs::JS_ATOM_NULL as qjs::JSAtom {
            return Err(Error::Exception);
        }
        let ctx = ctx.clone();
        Ok(Self { ctx, atom })
    }

    /// CreateDataProperty(`object`, key, `value`).
    pub(super) fn define(&self, object: &Value<'js>, value: Value<'js>) -> Result<()> {
        self.define_with(object, value, qjs::JS_PROP_C_W_E)
    }

    /// Defines a data property that is not enumerable.
    pub(super) fn define_hidden(&self, object: &Value<'js>, value: Value<'js>) -> Result<()> {
        let flags = qjs::JS_PROP_CONFIGURABLE | qjs::JS_PROP_WRITABLE;
        self.define_with(object, value, flags)
    }

    fn define_with(&self, object: &Value<'js>, value: Value<'js>, flags: u32) -> Result<()> {
        let flags = flags as c_int;
        let raw = self.ctx.as_raw().as_ptr();
        // SAFETY: object and atom are alive. The call takes one count of the value's, which is
        // added for it; `value` gives up its own when it is dropped here.
        let status = unsafe {
            let value = qjs::JS_DupValue(raw, value.as_raw());
            qjs::JS_DefinePropertyValue(raw, object.as_raw(), self.atom, value, flags)
        };
        if status < 0 {
            Err(Error::Exception)
        } else {
            Ok(())
        }
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        // SAFETY: the atom is ours.
        unsafe { qjs::JS_FreeAtom(self.ctx.as_raw().as_ptr(), self.atom) };
    }
}

/// Text as it is written: what is well-formed as UTF-8, the rest as code units.
#[derive(Clone, Copy)]
pub(super) enum Text<'a> {
    Utf8(&'a str),
    Utf16(&'a [u16]),
}

/// Gives a string's text to `read`.
pub(super) fn read_string<R>(string: &Value<'_>, read: impl FnOnce(Text<'_>) -> R) -> Result<R> {
    debug_assert!(string.is_string());
    let ctx = string.ctx();
    let raw = ctx.as_raw().as_ptr();
    let mut len = 0;
    // SAFETY: `string` is alive; the text is freed by `CText`.
    let text = unsafe { qjs::JS_ToCStringLen2(raw, &raw mut len, string.as_raw(), false) };
    let text = CText::new(ctx, text, len as usize)?;
    if let Ok(utf8) = std::str::from_utf8(text.bytes()) {
        return Ok(read(Text::Utf8(utf8)));
    }
    drop(text);
    let mut len = 0;
    // SAFETY: as above.
    let units = unsafe { qjs::JS_ToCStringLenUTF16(raw, &raw mut len, string.as_raw()) };
    if units.is_null() {
        return Err(Error::Exception);
    }
    // SAFETY: `units` are `len` code units that stay until they are freed below.
    let result = read(Text::Utf16(unsafe {
        slice::from_raw_parts(units, len as usize)
    }));
    // SAFETY: they came from JS_ToCStringLenUTF16, and are not used any more.
    unsafe { qjs::JS_FreeCStringUTF16(raw, units) };
    Ok(result)
}

/// A string of the engine's.
pub(super) fn new_string<'js>(ctx: &Ctx<'js>, text: Text<'_>) -> Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: pointer and length are those of a slice; the result is ours.
    unsafe {
        let string = match text {
            Text::Utf8(text) => qjs::JS_NewStringLen(raw, text.as_ptr().cast(), text.len() as _),
            Text::Utf16(units) => qjs::JS_NewStringUTF16(raw, units.as_ptr(), units.len() as _),
        };
        owned(ctx, string)
    }
}

/// UTF-8 (or nearly: of a string with lone surrogates) that the engine lends.
struct CText<'a, 'js> {
    ctx: &'a Ctx<'js>,
    text: *const std::ffi::c_char,
    len: usize,
}

impl<'a, 'js> CText<'a, 'js> {
    fn new(ctx: &'a Ctx<'js>, text: *const std::ffi::c_char, len: usize) -> Result<Self> {
        if text.is_null() {
            return Err(Error::Exception);
        }
        Ok(Self { ctx, text, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `text` has `len` bytes until it is freed, and nobody writes them.
        unsafe { slice::from_raw_parts(self.text.cast(), self.len) }
    }
}

impl Drop for CText<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: it came from a call that lends a C string.
        unsafe { qjs::JS_FreeCString(self.ctx.as_raw().as_ptr(), self.text) };
    }
}

/// ToObject: a wrapper of a primitive, of the realm of `ctx`.
pub(super) fn to_object<'js>(ctx: &Ctx<'js>, primitive: &Value<'js>) -> Result<Value<'js>> {
    // SAFETY: `primitive` is alive; the result is ours.
    unsafe {
        owned(
            ctx,
            qjs::JS_ToObject(ctx.as_raw().as_ptr(), primitive.as_raw()),
        )
    }
}

/// A `Date` of the realm of `ctx`.
pub(super) fn new_date<'js>(ctx: &Ctx<'js>, time: f64) -> Result<Value<'js>> {
    // SAFETY: the result is ours.
    unsafe { owned(ctx, qjs::JS_NewDate(ctx.as_raw().as_ptr(), time)) }
}

/// An object of class `Error` without properties, and without the stack that the engine's own way
/// of making one would ask a script for.
pub(super) fn new_error<'js>(
    ctx: &Ctx<'js>,
    prototype: &Object<'js>,
    error_class: u32,
) -> Result<Value<'js>> {
    let raw = ctx.as_raw().as_ptr();
    // SAFETY: the prototype is alive, the class is that of an error; the result is ours.
    unsafe {
        let error = qjs::JS_NewObjectProtoClass(raw, prototype.as_raw(), error_class);
        owned(ctx, error)
    }
}

/// A bigint as a 64-bit number, if it fits.
pub(super) fn small_bigint(bigint: &Value<'_>) -> Option<i64> {
    debug_assert!(bigint.is_big_int());
    let raw = bigint.ctx().as_raw().as_ptr();
    let mut number = 0;
    // SAFETY: the value is a bigint that is alive, so that nothing is converted and nothing
    // throws; the second bigint is ours.
    unsafe {
        if qjs::JS_ToBigInt64(raw, &raw mut number, bigint.as_raw()) < 0 {
            drop(bigint.ctx().catch());
            return None;
        }
        let same = owned(bigint.ctx(), qjs::JS_NewBigInt64(raw, number)).ok()?;
        qjs::JS_IsStrictEqual(raw, same.as_raw(), bigint.as_raw()).then_some(number)
    }
}

/// A copy of the bytes of an `ArrayBuffer`; empty if it is detached. `None` if there is no memory.
pub(super) fn copy_bytes(buffer: &ArrayBuffer<'_>, into: &mut Vec<u8>) -> Option<()> {
    // SAFETY: the bytes are copied before anything else happens on this thread.
    let bytes = unsafe { buffer.as_bytes() }.unwrap_or_default();
    into.try_reserve(bytes.len()).ok()?;
    into.extend_from_slice(bytes);
    Some(())
}

/// Overwrites the first bytes of an `ArrayBuffer` that is at least as long as `bytes`.
pub(super) fn write_bytes(buffer: &ArrayBuffer<'_>, bytes: &[u8]) {
    let Some(raw) = buffer.as_raw() else { return };
    assert!(raw.len() >= bytes.len(), "the buffer was made that long");
    // SAFETY: the buffer is alive, not shared, and as long as the copy is; nothing else runs.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), raw.cast().as_ptr(), bytes.len()) };
}

/// Which typed array class an object has, as the engine numbers them.
pub(super) fn typed_array_type(view: &Value<'_>) -> Option<u8> {
    // SAFETY: the call only reads the object's class.
    u8::try_from(unsafe { qjs::JS_GetTypedArrayType(view.as_raw()) }).ok()
}

/// IsTypedArrayOutOfBounds; so is one whose buffer is detached.
pub(super) fn is_out_of_bounds(array: &Value<'_>) -> bool {
    let ctx = array.ctx();
    let none = ptr::null_mut();
    // SAFETY: the array is alive, nothing is written through the null pointers, and the buffer is
    // ours.
    let buffer = unsafe {
        let raw = ctx.as_raw().as_ptr();
        owned(
            ctx,
            qjs::JS_GetTypedArrayBuffer(raw, array.as_raw(), none, none, none),
        )
    };
    if buffer.is_err() {
        drop(ctx.catch());
    }
    buffer.is_err()
}

/// A typed array of the realm of `ctx`: `kind` as [`typed_array_type`] gave it, below 12.
pub(super) fn new_typed_array<'js>(
    ctx: &Ctx<'js>,
    kind: u8,
    buffer: &Object<'js>,
    offset: f64,
    length: Option<f64>,
) -> Result<Value<'js>> {
    let length = match length {
        Some(length) => Value::new_number(ctx.clone(), length),
        None => Value::new_undefined(ctx.clone()),
    };
    let offset = Value::new_number(ctx.clone(), offset);
    let mut arguments = [buffer.as_raw(), offset.as_raw(), length.as_raw()];
    // SAFETY: the three arguments are alive, the call takes none of their counts and checks
    // `kind`; the result is ours.
    unsafe {
        let array = qjs::JS_NewTypedArray(
            ctx.as_raw().as_ptr(),
            3,
            arguments.as_mut_ptr(),
            kind.into(),
        );
        owned(ctx, array)
    }
}

/// A value that a call gave us, or its exception.
///
/// # Safety
/// The caller owns one count of `value`, and gives it up.
unsafe fn owned<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Result<Value<'js>> {
    // SAFETY: the caller's promise.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    if value.is_exception() {
        return Err(Error::Exception);
    }
    Ok(value)
}
