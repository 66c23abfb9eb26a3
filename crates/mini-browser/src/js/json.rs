//! Plain data between Rust and JavaScript.

use rquickjs::{Array, Ctx, FromJs, IntoJs, Object, Result, Value};

/// How deep a value from a script may nest.
const DEPTH: usize = 64;

/// A JSON value as a plain object, and back. Unlike `JSON.stringify`, reading runs no `toJSON`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Json(pub(super) serde_json::Value);

impl<'js> IntoJs<'js> for Json {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        to_js(ctx, self.0)
    }
}

impl<'js> FromJs<'js> for Json {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        from_js(&value, DEPTH).map(Self)
    }
}

fn to_js<'js>(ctx: &Ctx<'js>, value: serde_json::Value) -> Result<Value<'js>> {
    use serde_json::Value as V;
    match value {
        V::Null => Ok(Value::new_null(ctx.clone())),
        V::Bool(value) => Ok(Value::new_bool(ctx.clone(), value)),
        V::Number(value) => Ok(Value::new_number(
            ctx.clone(),
            value.as_f64().unwrap_or(f64::NAN),
        )),
        V::String(value) => value.into_js(ctx),
        V::Array(values) => {
            let array = Array::new(ctx.clone())?;
            for (index, value) in values.into_iter().enumerate() {
                array.set(index, to_js(ctx, value)?)?;
            }
            Ok(array.into_value())
        }
        V::Object(entries) => {
            let object = Object::new(ctx.clone())?;
            for (key, value) in entries {
                object.prop(
                    key,
                    rquickjs::object::Property::from(to_js(ctx, value)?)
                        .writable()
                        .enumerable()
                        .configurable(),
                )?;
            }
            Ok(object.into_value())
        }
    }
}

fn from_js(value: &Value<'_>, depth: usize) -> Result<serde_json::Value> {
    use serde_json::Value as V;
    let unfit = |message: &str| rquickjs::Error::new_from_js_message("value", "JSON", message);
    if depth == 0 {
        return Err(unfit("it nests too deeply"));
    }
    if value.is_null() || value.is_undefined() {
        return Ok(V::Null);
    }
    if let Some(value) = value.as_bool() {
        return Ok(V::Bool(value));
    }
    if let Some(value) = value.as_int() {
        return Ok(V::from(value));
    }
    if let Some(value) = value.as_number() {
        // An integer stays one where it can.
        #[expect(clippy::cast_possible_truncation, reason = "checked by the comparison")]
        let integer = value as i64;
        #[expect(clippy::cast_precision_loss, reason = "checked by the comparison")]
        let exact = integer as f64 == value && integer.unsigned_abs() < 1 << 53;
        return Ok(if exact {
            V::from(integer)
        } else {
            serde_json::Number::from_f64(value).map_or(V::Null, V::Number)
        });
    }
    if let Some(value) = value.as_string() {
        return Ok(V::String(value.to_string()?));
    }
    if let Some(array) = value.as_array() {
        let items = array.iter::<Value<'_>>();
        let items: Result<Vec<_>> = items.map(|item| from_js(&item?, depth - 1)).collect();
        return items.map(V::Array);
    }
    match value.as_object() {
        Some(object) if !value.is_function() => {
            let entries = object.props::<String, Value<'_>>();
            let entries: Result<serde_json::Map<_, _>> = entries
                .map(|entry| entry.and_then(|(key, value)| Ok((key, from_js(&value, depth - 1)?))))
                .collect();
            entries.map(V::Object)
        }
        _ => Err(unfit(value.type_name())),
    }
}
