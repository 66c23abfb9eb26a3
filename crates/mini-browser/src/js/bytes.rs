//! Bytes between Rust and JavaScript.

use bytes::Bytes;
use rquickjs::{Ctx, FromJs, IntoJs, Result, TypedArray, Value};

/// A copy of a `Uint8Array`'s bytes, or the bytes of a new one.
///
/// Both ways copy: what a script can change never stays shared, and what a script holds counts in
/// its memory limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "nothing but bytes")]
pub struct JsBytes(pub Bytes);

impl<'js> FromJs<'js> for JsBytes {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        TypedArray::<u8>::from_value(value).map(|array| Self(copy(&array)))
    }
}

impl<'js> IntoJs<'js> for JsBytes {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        TypedArray::<u8>::new_copy(ctx.clone(), &self.0).map(TypedArray::into_value)
    }
}

#[expect(unsafe_code, reason = "rquickjs lends an array's bytes only unsafely")]
fn copy(array: &TypedArray<'_, u8>) -> Bytes {
    // SAFETY: the bytes are copied before anything else happens on this thread; no script runs in
    // between that could detach, resize or write the buffer, and no other thread sees it (buffers
    // are not shared between agents).
    let bytes = unsafe { array.as_bytes() };
    // A detached array has no bytes.
    Bytes::copy_from_slice(bytes.unwrap_or_default())
}
