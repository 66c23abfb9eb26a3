//! Structured cloning: values of a realm as bytes and ports, and back. (*HTML*, "Safe passing of
//! structured data".)
//!
//! [`structured_serialize_with_transfer`] makes a [`Serialized`], which may go to any thread, into a
//! port or, without ports, to a disk; [`structured_deserialize_with_transfer`] makes a value of a
//! realm of it, and believes nothing of what it reads. The bytes are described in `format.rs`.
//! Platform objects are known to the prelude (`serializable.js`), which is asked through hooks of
//! the realm: `platform serialize`, `platform deserialize`, `transferable`, `transfer`, `receive`.

mod class;
mod deserialize;
mod format;
mod intrinsics;
mod memory;
mod platform;
mod raw;
mod serialize;
mod transfer;
mod unread;

use bytes::Bytes;
use rquickjs::{Ctx, Error, Exception, Result, Value};
use service_worker::message_port::{Message, TransferredPort};

use super::realm::RealmState;

pub(super) use memory::IdentityHasher;
pub(super) use transfer::{
    structured_clone, structured_deserialize_with_transfer, structured_serialize_with_transfer,
};
pub(super) use unread::Unread;

/// The longest record, in bytes: what one message may weigh.
const LONGEST_RECORD: usize = 1 << 30;

/// A serialized value with what was transferred.
#[derive(Debug, Default)]
pub(super) struct Serialized {
    /// The record.
    pub(super) bytes: Bytes,
    /// The ports that travel with it.
    pub(super) ports: Vec<TransferredPort>,
}

impl Serialized {
    /// A record without ports.
    pub(super) const fn of_record(bytes: Bytes) -> Self {
        Self {
            bytes,
            ports: Vec::new(),
        }
    }
}

impl From<Serialized> for Message {
    fn from(serialized: Serialized) -> Self {
        let mut message = Self::new(serialized.bytes);
        message.ports = serialized.ports;
        message
    }
}

impl From<Message> for Serialized {
    fn from(message: Message) -> Self {
        Self {
            bytes: message.payload,
            ports: message.ports,
        }
    }
}

/// Why a value was not cloned.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloneError {
    /// A script threw, or the engine did; the exception is pending.
    #[error("a script threw")]
    Thrown(#[from] Error),
    /// A `DataCloneError`.
    #[error("{0}")]
    DataClone(String),
    /// A record that no serialization made.
    #[error("the record is damaged: {0}")]
    Damaged(&'static str),
}

impl CloneError {
    fn data_clone(what: &str) -> Self {
        Self::DataClone(format!("{what} could not be cloned"))
    }

    /// Throws it in the realm: the script's own exception, or a `DataCloneError` of the realm.
    pub(super) fn throw(self, ctx: &Ctx<'_>, realm: &RealmState) -> Error {
        let message = match self {
            Self::Thrown(error) => return error,
            error => error.to_string(),
        };
        let made = realm.try_call(ctx, "data clone error", (message.as_str(),));
        match made {
            Some(Ok(exception)) => ctx.throw(exception),
            Some(Err(error)) => error,
            None => Exception::throw_type(ctx, &message),
        }
    }
}

/// Whether a value is a `MessageEventSource`; or, with a tag, that transferable object.
///
/// # Errors
/// What the engine threw.
pub(super) fn is_message_source<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
    tag: Option<&str>,
) -> std::result::Result<bool, CloneError> {
    if !value.is_object() {
        return Ok(false);
    }
    if let Some(found) = platform::transferable(ctx, realm, value)? {
        return Ok(found.tag.get::<String>()? == tag.unwrap_or("MessagePort"));
    }
    Ok(tag.is_none() && platform::is_window_or_worker(ctx, realm, value))
}

/// Takes what cloning needs of a realm in which no script has run yet.
pub(super) fn prepare(ctx: &Ctx<'_>, realm: &RealmState) -> Result<()> {
    realm.local::<intrinsics::Intrinsics>().take(ctx)
}

/// StructuredSerialize, or StructuredSerializeForStorage.
///
/// # Errors
/// What a script threw, or a `DataCloneError`.
pub(super) fn structured_serialize<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
    for_storage: bool,
) -> std::result::Result<Bytes, CloneError> {
    let mut serializer = serialize::Serializer::new(ctx, realm, for_storage);
    serializer.serialize(value)?;
    Ok(serializer.into_record())
}

/// StructuredDeserialize.
///
/// # Errors
/// [`CloneError::Damaged`], or what a platform object's steps threw.
pub(super) fn structured_deserialize<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    record: &[u8],
) -> std::result::Result<Value<'js>, CloneError> {
    let serialized = Serialized::of_record(Bytes::copy_from_slice(record));
    Ok(structured_deserialize_with_transfer(ctx, realm, serialized)?.value)
}

#[cfg(test)]
mod tests;
