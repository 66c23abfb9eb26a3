//! Which class an object is of, as the engine knows it: nothing that a script can forge.

use std::sync::OnceLock;

use rquickjs::{Context, Runtime, Value};

use super::raw;

/// The classes that structured cloning tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// An ordinary object, or an `arguments` object.
    Object,
    Array,
    Error,
    Number,
    String,
    Boolean,
    BigInt,
    Date,
    RegExp,
    ArrayBuffer,
    SharedArrayBuffer,
    TypedArray,
    DataView,
    Map,
    Set,
    /// Everything that has other internal slots, or internal methods of its own.
    Other,
}

impl Class {
    /// The class of an object.
    pub(super) fn of(object: &Value<'_>) -> Self {
        let id = raw::class_id(object) as usize;
        table().get(id).copied().unwrap_or(Self::Other)
    }

    /// The engine's number of this class.
    pub(super) fn id(self) -> u32 {
        let at = table().iter().position(|class| *class == self);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
    }
}

/// One object of each class, made in a realm that no script has seen.
const SAMPLES: &[(Class, &str)] = &[
    (Class::Object, "({})"),
    // HTML would refuse both as exotic or slotted objects; all browsers clone them as ordinary ones.
    (
        Class::Object,
        "new Function('mapped', 'return arguments')(1)",
    ),
    (
        Class::Object,
        "(function () { 'use strict'; return arguments; })(1)",
    ),
    (Class::Array, "[]"),
    (Class::Error, "new Error()"),
    (Class::Number, "new Number(0)"),
    (Class::String, "new String('')"),
    (Class::Boolean, "new Boolean(true)"),
    (Class::BigInt, "Object(0n)"),
    (Class::Date, "new Date(0)"),
    (Class::RegExp, "/x/"),
    (Class::ArrayBuffer, "new ArrayBuffer(0)"),
    (Class::SharedArrayBuffer, "new SharedArrayBuffer(0)"),
    (Class::TypedArray, "new Uint8ClampedArray(0)"),
    (Class::TypedArray, "new Int8Array(0)"),
    (Class::TypedArray, "new Uint8Array(0)"),
    (Class::TypedArray, "new Int16Array(0)"),
    (Class::TypedArray, "new Uint16Array(0)"),
    (Class::TypedArray, "new Int32Array(0)"),
    (Class::TypedArray, "new Uint32Array(0)"),
    (Class::TypedArray, "new BigInt64Array(0)"),
    (Class::TypedArray, "new BigUint64Array(0)"),
    (Class::TypedArray, "new Float16Array(0)"),
    (Class::TypedArray, "new Float32Array(0)"),
    (Class::TypedArray, "new Float64Array(0)"),
    (Class::DataView, "new DataView(new ArrayBuffer(0))"),
    (Class::Map, "new Map()"),
    (Class::Set, "new Set()"),
];

/// Classes by the engine's numbers, which are the same in every runtime of the process.
fn table() -> &'static [Class] {
    static TABLE: OnceLock<Vec<Class>> = OnceLock::new();
    TABLE.get_or_init(|| match made() {
        Ok(table) => table,
        // No memory for a small runtime: nothing is recognized, everything is refused.
        Err(error) => {
            tracing::error!(%error, "the classes of the engine could not be found out");
            Vec::new()
        }
    })
}

fn made() -> rquickjs::Result<Vec<Class>> {
    let runtime = Runtime::new()?;
    let context = Context::full(&runtime)?;
    context.with(|ctx| {
        let mut table = Vec::new();
        for (class, source) in SAMPLES {
            let sample: Value<'_> = ctx.eval(*source)?;
            let id = raw::class_id(&sample) as usize;
            if table.len() <= id {
                table.resize(id + 1, Class::Other);
            }
            table[id] = *class;
        }
        Ok(table)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_number_of_its_own() {
        let table = table();
        let named = table.iter().filter(|class| **class != Class::Other);
        assert_eq!(named.count(), SAMPLES.len());
        assert_eq!(table[Class::Error.id() as usize], Class::Error);
    }
}
