//! StructuredSerializeWithTransfer and StructuredDeserializeWithTransfer.

use rquickjs::{ArrayBuffer, Ctx, Value};
use service_worker::message_port::TransferredPort;

use super::class::Class;
use super::deserialize::{Deserializer, read_buffer};
use super::format::{self, Reader, Writer};
use super::intrinsics::{Intrinsics, Method};
use super::platform::{self, Found};
use super::raw;
use super::serialize::{Serializer, write_buffer};
use super::{CloneError, Serialized};
use crate::js::ports;
use crate::js::realm::RealmState;

type Result<T> = std::result::Result<T, CloneError>;

/// A deserialized value with what was transferred.
pub(in crate::js) struct Received<'js> {
    /// The value.
    pub(in crate::js) value: Value<'js>,
    /// What was transferred, in the order of the list.
    pub(in crate::js) transferred: Vec<Value<'js>>,
}

/// StructuredSerializeWithTransfer.
///
/// # Errors
/// What a script threw, or a `DataCloneError`. What stands in the list before the object that could
/// not be transferred is detached then, and lost.
pub(in crate::js) fn structured_serialize_with_transfer<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    value: &Value<'js>,
    transfer: &[Value<'js>],
) -> Result<Serialized> {
    let mut serializer = Serializer::new(ctx, realm, false);
    // Step 2: for each transferable of transferList.
    let list = expect(&mut serializer, transfer)?;
    // Step 3.
    serializer.serialize(value)?;
    if list.is_empty() {
        let bytes = serializer.into_record();
        return Ok(Serialized {
            bytes,
            ports: Vec::new(),
        });
    }
    // Step 5: for each transferable of transferList.
    let mut out = Writer::default();
    let mut ports = Vec::new();
    out.byte(format::VERSION);
    out.count(list.len() as u64);
    for transferable in &list {
        transferable.write(ctx, realm, &mut out, &mut ports)?;
    }
    out.0.extend_from_slice(serializer.value_bytes());
    Ok(Serialized {
        bytes: realm.event_loop().record(out.into_bytes()),
        ports,
    })
}

/// StructuredSerializeWithTransfer and StructuredDeserializeWithTransfer in one heap: buffers change
/// hands as they are.
///
/// # Errors
/// As those two.
pub(in crate::js) fn structured_clone<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    target: (&Ctx<'js>, &RealmState),
    value: &Value<'js>,
    transfer: &[Value<'js>],
) -> Result<Value<'js>> {
    let mut serializer = Serializer::new(ctx, realm, false);
    let list = expect(&mut serializer, transfer)?;
    serializer.serialize(value)?;
    let (target_ctx, target_realm) = target;
    let mut transferred = Vec::with_capacity(list.len());
    for transferable in &list {
        transferred.push(match transferable {
            Transferable::Buffer(buffer) => hand_over(target_realm, buffer)?,
            Transferable::Platform(..) => {
                let (mut out, mut ports) = (Writer::default(), Vec::new());
                transferable.write(ctx, realm, &mut out, &mut ports)?;
                let mut ports: Vec<_> = ports.into_iter().map(Some).collect();
                let mut reader = Reader::new(&out.0);
                receive(target_ctx, target_realm, &mut reader, &mut ports)?
            }
        });
    }
    let mut reader = Reader::new(serializer.value_bytes());
    Deserializer::new(target_ctx, target_realm, &transferred).value(&mut reader)
}

/// Detaches a buffer, and gives one of the realm with its memory.
fn hand_over<'js>(realm: &RealmState, buffer: &Value<'js>) -> Result<Value<'js>> {
    let intrinsics = realm.local::<Intrinsics>();
    if intrinsics.is(Method::BufferDetached, buffer)? {
        return Err(CloneError::data_clone("An ArrayBuffer that is detached"));
    }
    Ok(intrinsics.call(Method::BufferTransfer, buffer, &[])?)
}

/// StructuredDeserializeWithTransfer.
///
/// # Errors
/// [`CloneError::Damaged`]; a `DataCloneError` if the realm does not know a platform object; what
/// the engine threw.
pub(in crate::js) fn structured_deserialize_with_transfer<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    serialized: Serialized,
) -> Result<Received<'js>> {
    let Serialized { bytes, ports } = serialized;
    let mut reader = Reader::new(&bytes);
    if reader.byte()? != format::VERSION {
        return Err(CloneError::Damaged("it is of another version"));
    }
    let mut ports: Vec<_> = ports.into_iter().map(Some).collect();
    let count = reader.count()?;
    let mut transferred = Vec::new();
    // Step 3: for each transferDataHolder.
    for _ in 0..count {
        transferred.push(receive(ctx, realm, &mut reader, &mut ports)?);
    }
    // Step 4.
    let value = Deserializer::new(ctx, realm, &transferred).value(&mut reader)?;
    if !reader.is_at_end() {
        return Err(CloneError::Damaged("something follows it"));
    }
    Ok(Received { value, transferred })
}

/// An object of the transfer list.
enum Transferable<'js> {
    Buffer(Value<'js>),
    Platform(Value<'js>, Found<'js>),
}

/// Step 2 of StructuredSerializeWithTransfer.
fn expect<'js>(
    serializer: &mut Serializer<'_, 'js>,
    transfer: &[Value<'js>],
) -> Result<Vec<Transferable<'js>>> {
    let mut list = Vec::with_capacity(transfer.len());
    for value in transfer {
        // Steps 2.1 and 2.2: neither [[ArrayBufferData]] nor [[Detached]], or shared.
        let transferable = if !value.is_object() {
            return Err(CloneError::DataClone(
                "Only objects can be transferred".to_owned(),
            ));
        } else if Class::of(value) == Class::ArrayBuffer {
            Transferable::Buffer(value.clone())
        } else {
            match platform::transferable(serializer.ctx, serializer.realm, value)? {
                Some(found) => Transferable::Platform(value.clone(), found),
                None => {
                    let message = "An object that is not transferable is in the transfer list";
                    return Err(CloneError::DataClone(message.to_owned()));
                }
            }
        };
        // Steps 2.3 and 2.4.
        let at = u32::try_from(list.len()).unwrap_or(u32::MAX);
        if !serializer.expect_transfer(value, at) {
            let message = "An object is twice in the transfer list";
            return Err(CloneError::DataClone(message.to_owned()));
        }
        list.push(transferable);
    }
    Ok(list)
}

impl<'js> Transferable<'js> {
    /// Step 5 of StructuredSerializeWithTransfer, for one of the list.
    fn write(
        &self,
        ctx: &Ctx<'js>,
        realm: &RealmState,
        out: &mut Writer,
        ports: &mut Vec<TransferredPort>,
    ) -> Result<()> {
        match self {
            Self::Buffer(buffer) => {
                let intrinsics = realm.local::<Intrinsics>();
                // Steps 5.1 and 5.4.
                write_buffer(&intrinsics, buffer, out, format::TRANSFERRED_BUFFER)?;
                detach(&intrinsics, buffer)
            }
            Self::Platform(value, found) => {
                // Steps 5.2 and 5.5.
                let data = found.transfer(ctx, value)?;
                if let Some(port) = ports::transferred(realm, &data) {
                    // The transfer steps of message ports.
                    out.byte(format::TRANSFERRED_PORT);
                    out.count(ports.len() as u64);
                    ports.push(port.map_err(|why| CloneError::DataClone(why.to_string()))?);
                    return Ok(());
                }
                out.byte(format::TRANSFERRED_PLATFORM);
                raw::read_string(&found.tag, |tag| out.text(tag))?;
                write_transfer_data(ctx, realm, &data, out, ports)
            }
        }
    }
}

/// The data of a transferred object, after what is transferred in it.
fn write_transfer_data<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    data: &Value<'js>,
    out: &mut Writer,
    ports: &mut Vec<TransferredPort>,
) -> Result<()> {
    let mut serializer = Serializer::of_transfer_data(ctx, realm);
    serializer.serialize(data)?;
    let implied = serializer.take_implied();
    out.count(implied.len() as u64);
    for transferable in implied {
        let Some(found) = platform::transferable(ctx, realm, &transferable)? else {
            return Err(CloneError::data_clone("A platform object"));
        };
        Transferable::Platform(transferable, found).write(ctx, realm, out, ports)?;
    }
    out.0.extend_from_slice(serializer.value_bytes());
    Ok(())
}

/// DetachArrayBuffer.
fn detach(intrinsics: &Intrinsics, buffer: &Value<'_>) -> Result<()> {
    let object = buffer
        .as_object()
        .and_then(|object| ArrayBuffer::from_object(object.clone()));
    if let Some(mut buffer) = object {
        buffer.detach();
    }
    if intrinsics.is(Method::BufferDetached, buffer)? {
        return Ok(());
    }
    Err(CloneError::DataClone(
        "An ArrayBuffer could not be detached".to_owned(),
    ))
}

/// How deep transferred objects may hold others.
const NESTED_TRANSFERS: u32 = 4;

fn receive<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    reader: &mut Reader<'_>,
    ports: &mut [Option<TransferredPort>],
) -> Result<Value<'js>> {
    receive_at(ctx, realm, reader, ports, NESTED_TRANSFERS)
}

/// Step 3 of StructuredDeserializeWithTransfer, for one of the list.
fn receive_at<'js>(
    ctx: &Ctx<'js>,
    realm: &RealmState,
    reader: &mut Reader<'_>,
    ports: &mut [Option<TransferredPort>],
    depth: u32,
) -> Result<Value<'js>> {
    match reader.byte()? {
        format::TRANSFERRED_BUFFER => read_buffer(ctx, &realm.local::<Intrinsics>(), reader),
        format::TRANSFERRED_PORT => {
            let at = usize::try_from(reader.count()?).unwrap_or(usize::MAX);
            let port = ports.get_mut(at).and_then(Option::take);
            let port = port.ok_or(CloneError::Damaged("a port is missing"))?;
            ports::receive(ctx, realm, port)
        }
        format::TRANSFERRED_PLATFORM if depth > 0 => {
            let tag = reader.text()?.utf8()?.to_owned();
            let mut nested = Vec::new();
            for _ in 0..reader.count()? {
                nested.push(receive_at(ctx, realm, reader, ports, depth - 1)?);
            }
            let data = Deserializer::new(ctx, realm, &nested).value(reader)?;
            platform::receive(ctx, realm, tag, data)
        }
        _ => Err(CloneError::Damaged(
            "something that was transferred is unknown",
        )),
    }
}
