//! Classic scripts: how one is run, and whether its source parses.

use std::ffi::CString;

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Value, qjs};

/// *Run a classic script*, with what it throws left pending.
pub(super) fn evaluate_script<'js>(
    ctx: &Ctx<'js>,
    source: String,
    url: &str,
) -> rquickjs::Result<Value<'js>> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(url.replace('\0', ""));
    ctx.eval_with_options::<Value<'_>, _>(source, options)
}

/// *Create a classic script*, step 11: whether there is no error to rethrow. Nothing is left pending.
#[expect(
    unsafe_code,
    reason = "rquickjs has no form of this call that compiles only"
)]
pub(super) fn parses(ctx: &Ctx<'_>, source: String) -> bool {
    let length = source.len() as qjs::size_t;
    let Ok(source) = CString::new(source) else {
        return false;
    };
    let flags = qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY;
    // SAFETY: `ctx` is alive and its runtime locked; the source has `length` bytes and a zero after
    // them, and neither it nor the name is kept. What the call gives is owned, by the `Value`.
    let compiled = unsafe {
        let name = c"script".as_ptr();
        let compiled = qjs::JS_Eval(
            ctx.as_raw().as_ptr(),
            source.as_ptr(),
            length,
            name,
            flags as std::ffi::c_int,
        );
        Value::from_raw(ctx.clone(), compiled)
    };
    let parses = !compiled.is_exception();
    if !parses {
        drop(ctx.catch());
    }
    parses
}
