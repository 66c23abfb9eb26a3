//! StructuredSerializeInternal, without recursion: however deep a value nests, the native stack
//! does not.

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;
use rquickjs::{ArrayBuffer, Ctx, Function, Persistent, Value};

use super::class::Class;
use super::format::{self, HEADER, Writer};
use super::intrinsics::{ERROR_NAMES, Intrinsics, Method};
use super::memory::{Memory, Place};
use super::platform;
use super::raw::{self, Keys, Text};
use super::{CloneError, LONGEST_RECORD};
use crate::js::realm::RealmState;

type Result<T> = std::result::Result<T, CloneError>;

/// One run of StructuredSerializeInternal.
pub(super) struct Serializer<'a, 'js> {
    pub(super) ctx: &'a Ctx<'js>,
    pub(super) realm: &'a RealmState,
    /// Looked for once it is needed.
    intrinsics: OnceCell<Rc<Intrinsics>>,
    for_storage: bool,
    /// Whether ports in the value are transferred without being in any list: in the data of what is
    /// transferred itself.
    implied: Option<Vec<Value<'js>>>,
    memory: Memory<'js>,
    frames: Vec<Frame<'js>>,
    pub(super) out: Writer,
}

/// What is being serialized.
enum Frame<'js> {
    /// An object, its keys, and the next of them.
    Object(Value<'js>, Keys<'js>, u32),
    /// An array, its keys, the next of them, and the index after the last element.
    Array(Value<'js>, Keys<'js>, u32, u32),
    /// The copied entries of a map or set.
    Entries(std::vec::IntoIter<Value<'js>>),
    /// One value that belongs to what was written last.
    One(Option<Value<'js>>),
}

impl<'a, 'js> Serializer<'a, 'js> {
    pub(super) fn new(ctx: &'a Ctx<'js>, realm: &'a RealmState, for_storage: bool) -> Self {
        Self {
            ctx,
            realm,
            intrinsics: OnceCell::new(),
            for_storage,
            implied: None,
            memory: Memory::default(),
            frames: Vec::new(),
            out: Writer::with_header(),
        }
    }

    /// A serializer of data in which every port is transferred.
    pub(super) fn of_transfer_data(ctx: &'a Ctx<'js>, realm: &'a RealmState) -> Self {
        Self {
            implied: Some(Vec::new()),
            ..Self::new(ctx, realm, false)
        }
    }

    fn intrinsics(&self) -> &Intrinsics {
        self.intrinsics.get_or_init(|| self.realm.local())
    }

    /// Remembers an object of the transfer list. False if it is there already.
    pub(super) fn expect_transfer(&mut self, transferable: &Value<'js>, at: u32) -> bool {
        self.memory.insert(transferable, Place::Transfer(at))
    }

    /// The transferables that were met in the data, in the order of their numbers.
    pub(super) fn take_implied(&mut self) -> Vec<Value<'js>> {
        self.implied.take().unwrap_or_default()
    }

    /// The record of a value without transfers.
    pub(super) fn into_record(self) -> Bytes {
        self.realm.event_loop().record(self.out.into_bytes())
    }

    /// What was written of the value.
    pub(super) fn value_bytes(&self) -> &[u8] {
        self.out.0.get(HEADER.len()..).unwrap_or_default()
    }

    /// Writes a value and all that it refers to.
    pub(super) fn serialize(&mut self, value: &Value<'js>) -> Result<()> {
        self.value(value)?;
        while let Some(frame) = self.frames.last_mut() {
            let next = match frame {
                Frame::Object(object, keys, at) => {
                    next_property(&mut self.out, object, keys, at, None)?
                }
                Frame::Array(array, keys, at, index) => {
                    next_property(&mut self.out, array, keys, at, Some(index))?
                }
                Frame::Entries(entries) => entries.next(),
                Frame::One(value) => value.take(),
            };
            match next {
                Some(value) => self.value(&value)?,
                None => {
                    if !matches!(self.frames.pop(), Some(Frame::One(_))) {
                        self.out.byte(format::END);
                    }
                }
            }
            if self.out.0.len() > LONGEST_RECORD {
                return Err(CloneError::data_clone("A value that is too large"));
            }
        }
        Ok(())
    }

    /// Steps 1 to 25, without what an object refers to.
    fn value(&mut self, value: &Value<'js>) -> Result<()> {
        // Step 4: primitives, and step 5: symbols.
        if let Some(number) = value.as_int() {
            self.out.byte(format::INTEGER);
            self.out.zigzag(number.into());
        } else if let Some(number) = value.as_float() {
            self.out.byte(format::NUMBER);
            self.out.double(number);
        } else if value.is_string() {
            self.text(value)?;
        } else if value.is_undefined() {
            self.out.byte(format::UNDEFINED);
        } else if value.is_null() {
            self.out.byte(format::NULL);
        } else if let Some(boolean) = value.as_bool() {
            let byte = if boolean { format::TRUE } else { format::FALSE };
            self.out.byte(byte);
        } else if value.is_big_int() {
            self.bigint(value)?;
        } else if value.is_object() {
            return self.object(value);
        } else {
            return Err(CloneError::data_clone("A symbol"));
        }
        Ok(())
    }

    fn object(&mut self, value: &Value<'js>) -> Result<()> {
        // Step 2: if memory[value] exists …
        match self.memory.find(value) {
            Some(Place::Memory(at)) => {
                self.out.byte(format::PLACE);
                self.out.count(at.into());
                return Ok(());
            }
            Some(Place::Transfer(at)) => return self.transferred(at),
            None => {}
        }
        let class = Class::of(value);
        // Step 19 comes first: a platform object is of the engine's ordinary class.
        let keys = if class == Class::Object {
            let keys = Keys::of(value)?;
            if may_be_platform_object(value, &keys) && self.platform(value)? {
                return Ok(());
            }
            Some(keys)
        } else {
            None
        };
        self.memory.add(value);
        match (class, keys) {
            (Class::Object, Some(keys)) => {
                // Step 24, and step 26.4: keys are looked up once.
                self.out.byte(format::OBJECT);
                self.frames.push(Frame::Object(value.clone(), keys, 0));
            }
            (Class::Array, _) => {
                // Step 18.
                let keys = Keys::of(value)?;
                let length = raw::own_data(value, "length")?;
                let length = length.and_then(|length| length.as_number()).unwrap_or(0.0);
                self.out.byte(format::ARRAY);
                self.out.count(length as u64);
                self.frames.push(Frame::Array(value.clone(), keys, 0, 0));
            }
            (Class::Boolean, _) => {
                let boolean = self.intrinsics().is(Method::BooleanValue, value)?;
                let byte = if boolean {
                    format::TRUE_OBJECT
                } else {
                    format::FALSE_OBJECT
                };
                self.out.byte(byte);
            }
            (Class::Number, _) => {
                self.out.byte(format::NUMBER_OBJECT);
                let number = self.intrinsics().number(Method::NumberValue, value)?;
                self.out.double(number);
            }
            (Class::BigInt, _) => {
                self.out.byte(format::BIGINT_OBJECT);
                let bigint = self.intrinsics().call(Method::BigIntValue, value, &[])?;
                self.bigint(&bigint)?;
            }
            (Class::String, _) => {
                self.out.byte(format::STRING_OBJECT);
                let string = self.intrinsics().call(Method::StringValue, value, &[])?;
                self.text(&string)?;
            }
            (Class::Date, _) => {
                self.out.byte(format::DATE);
                let time = self.intrinsics().number(Method::DateTime, value)?;
                self.out.double(time);
            }
            (Class::RegExp, _) => {
                self.out.byte(format::REGEXP);
                let source = self.intrinsics().call(Method::RegExpSource, value, &[])?;
                self.text(&source)?;
                let flags = self.intrinsics().regexp_flags(value)?;
                self.out.text(Text::Utf8(&flags));
            }
            (Class::ArrayBuffer, _) => {
                {
                    let intrinsics = self.realm.local();
                    write_buffer(&intrinsics, value, &mut self.out, format::BUFFER)?;
                };
            }
            (Class::SharedArrayBuffer, _) => {
                // Step 13.1: no realm of this browser is cross-origin isolated.
                return Err(CloneError::DataClone(
                    "A SharedArrayBuffer can be cloned only where crossOriginIsolated is true"
                        .to_owned(),
                ));
            }
            (Class::TypedArray | Class::DataView, _) => self.view(value, class)?,
            (Class::Map, _) => {
                // Step 26.1: a copy, since what follows may change the map.
                self.out.byte(format::MAP);
                let entries = self.entries(value, Method::MapForEach)?;
                self.frames.push(Frame::Entries(entries));
            }
            (Class::Set, _) => {
                self.out.byte(format::SET);
                let entries = self.entries(value, Method::SetForEach)?;
                self.frames.push(Frame::Entries(entries));
            }
            (Class::Error, _) => self.error(value)?,
            (Class::Object | Class::Other, _) => return Err(uncloneable(value)),
        }
        Ok(())
    }

    fn transferred(&mut self, at: u32) -> Result<()> {
        self.out.byte(format::TRANSFERRED);
        self.out.count(at.into());
        Ok(())
    }

    fn text(&mut self, string: &Value<'js>) -> Result<()> {
        let out = &mut self.out;
        Ok(raw::read_string(string, |text| out.text(text))?)
    }

    fn bigint(&mut self, bigint: &Value<'js>) -> Result<()> {
        if let Some(number) = raw::small_bigint(bigint) {
            self.out.byte(format::BIGINT);
            self.out.zigzag(number);
        } else {
            self.out.byte(format::LARGE_BIGINT);
            let digits = self.intrinsics().bigint_digits(bigint)?;
            self.out.text(Text::Utf8(&digits));
        }
        Ok(())
    }

    /// Step 14: a view, whose buffer follows.
    fn view(&mut self, view: &Value<'js>, class: Class) -> Result<()> {
        let of = if class == Class::DataView {
            &OF_DATA_VIEW
        } else {
            &OF_TYPED_ARRAY
        };
        // Step 14.1: if IsArrayBufferViewOutOfBounds(value) is true …
        let kind = if class == Class::DataView {
            // Its length throws if it is.
            if self.intrinsics().number(Method::ViewLength, view).is_err() {
                drop(self.ctx.catch());
                return Err(CloneError::data_clone("A DataView that is out of bounds"));
            }
            format::DATA_VIEW
        } else {
            if raw::is_out_of_bounds(view) {
                return Err(CloneError::data_clone(
                    "A typed array that is out of bounds",
                ));
            }
            raw::typed_array_type(view).unwrap_or_default()
        };
        let buffer = self.intrinsics().call(of.buffer, view, &[])?;
        let tracks = self.tracks_length(view, &buffer, of)?;
        self.out.byte(format::VIEW);
        self.out.byte(kind);
        self.out
            .byte(if tracks { format::TRACKS_LENGTH } else { 0 });
        let offset = self.intrinsics().number(of.offset, view)?;
        self.out.count(offset as u64);
        if !tracks {
            let length = self.intrinsics().number(of.length, view)?;
            self.out.count(length as u64);
        }
        self.frames.push(Frame::One(Some(buffer)));
        Ok(())
    }

    /// Whether \[\[ArrayLength]] or \[\[ByteLength]] is auto. Nothing tells, so the buffer is made
    /// longer, or if it cannot be, shorter, for a moment.
    fn tracks_length(&self, view: &Value<'js>, buffer: &Value<'js>, of: &View) -> Result<bool> {
        let intrinsics = self.intrinsics();
        if Class::of(buffer) != Class::ArrayBuffer
            || !intrinsics.is(Method::BufferResizable, buffer)?
        {
            return Ok(false);
        }
        let longest = intrinsics.number(Method::BufferMax, buffer)?;
        let length = intrinsics.number(Method::BufferLength, buffer)?;
        let seen = intrinsics.number(of.length, view)?;
        let resize = |length: f64| {
            let length = Value::new_number(self.ctx.clone(), length);
            intrinsics.call(Method::BufferResize, buffer, &[&length])
        };
        // No element is wider.
        if length + 8.0 <= longest {
            resize(length + 8.0)?;
            let tracks = intrinsics.number(of.length, view)? != seen;
            resize(length)?;
            return Ok(tracks);
        }
        let shorter = (length - 8.0).max(0.0);
        let mut bytes = Vec::new();
        let kept = buffer
            .as_object()
            .and_then(|object| ArrayBuffer::from_object(object.clone()));
        let Some(kept) = kept else { return Ok(false) };
        raw::copy_bytes(&kept, &mut bytes).ok_or_else(too_large)?;
        resize(shorter)?;
        // A view of a fixed length that ends where the buffer did is out of bounds now.
        let tracks = match intrinsics.number(of.length, view) {
            Ok(now) => now != seen && (class_is_view(view) || !raw::is_out_of_bounds(view)),
            Err(_) => {
                drop(self.ctx.catch());
                false
            }
        };
        resize(length)?;
        raw::write_bytes(&kept, &bytes);
        Ok(tracks)
    }

    /// Step 17: an object with \[\[ErrorData]].
    fn error(&mut self, error: &Value<'js>) -> Result<()> {
        // Steps 17.1 and 17.2: the name, if it is one of the seven.
        let name: Value<'js> = error.as_object().map_or_else(
            || Ok(Value::new_undefined(self.ctx.clone())),
            |object| object.get("name"),
        )?;
        let mut kind = 0;
        if name.is_string() {
            let known = raw::read_string(&name, |text| match text {
                Text::Utf8(name) => ERROR_NAMES.iter().position(|known| *known == name),
                Text::Utf16(_) => None,
            })?;
            kind = known.unwrap_or(0);
        }
        // Steps 17.3 and 17.4: the message, if it is a data property.
        let message = match raw::own_data(error, "message")? {
            Some(message) => Some(message.get::<rquickjs::Coerced<rquickjs::String<'js>>>()?.0),
            None => None,
        };
        // Step 17.6: interesting accompanying data: the stack and the cause.
        let stack = match raw::own_data(error, "stack")? {
            Some(stack) => stack,
            None => self.intrinsics().call(Method::ErrorStack, error, &[])?,
        };
        let cause = raw::own_data(error, "cause")?;
        let mut bits = 0;
        for (there, bit) in [
            (message.is_some(), format::HAS_MESSAGE),
            (stack.is_string(), format::HAS_STACK),
            (cause.is_some(), format::HAS_CAUSE),
        ] {
            bits |= if there { bit } else { 0 };
        }
        self.out.byte(format::ERROR);
        self.out.byte(u8::try_from(kind).unwrap_or_default());
        self.out.byte(bits);
        if let Some(message) = message {
            self.text(message.as_value())?;
        }
        if stack.is_string() {
            self.text(&stack)?;
        }
        if cause.is_some() {
            self.frames.push(Frame::One(cause));
        }
        Ok(())
    }

    /// The entries of a map (key, value, …) or set, by what no script can replace.
    fn entries(
        &self,
        value: &Value<'js>,
        for_each: Method,
    ) -> Result<std::vec::IntoIter<Value<'js>>> {
        let entries: Rc<std::cell::RefCell<Vec<Persistent<Value<'static>>>>> = Rc::default();
        let sink = Rc::clone(&entries);
        let with_keys = matches!(for_each, Method::MapForEach);
        let collect = move |ctx: Ctx<'js>, value: Value<'js>, key: Value<'js>| {
            let mut sink = sink.borrow_mut();
            if with_keys {
                sink.push(Persistent::save(&ctx, key));
            }
            sink.push(Persistent::save(&ctx, value));
        };
        let collect = Function::new(self.ctx.clone(), collect)?;
        self.intrinsics()
            .call(for_each, value, &[collect.as_value()])?;
        let entries = entries.take().into_iter();
        let entries: rquickjs::Result<Vec<_>> =
            entries.map(|entry| entry.restore(self.ctx)).collect();
        Ok(entries?.into_iter())
    }

    /// Steps 19 and 20: asks the prelude. False if it is no platform object.
    fn platform(&mut self, value: &Value<'js>) -> Result<bool> {
        if self.implied.is_some() && platform::transferable(self.ctx, self.realm, value)?.is_some()
        {
            let implied = self.implied.get_or_insert_default();
            let at = u32::try_from(implied.len()).unwrap_or(u32::MAX);
            implied.push(value.clone());
            self.memory.insert(value, Place::Transfer(at));
            self.transferred(at)?;
            return Ok(true);
        }
        let found = platform::serialize(self.ctx, self.realm, value, self.for_storage)?;
        let Some((tag, data)) = found else {
            return Ok(false);
        };
        self.memory.add(value);
        self.out.byte(format::PLATFORM);
        self.text(&tag)?;
        self.frames.push(Frame::One(Some(data)));
        Ok(true)
    }
}

/// Step 26.4: writes the next key that is still there, and gives its value.
fn next_property<'js>(
    out: &mut Writer,
    object: &Value<'js>,
    keys: &Keys<'js>,
    at: &mut u32,
    mut index: Option<&mut u32>,
) -> Result<Option<Value<'js>>> {
    while *at < keys.len() {
        let key = *at;
        *at += 1;
        // HasOwnProperty and Get in one.
        let Some(value) = keys.get(key, object)? else {
            continue;
        };
        match &mut index {
            Some(index) if keys.is_index(key, **index) => **index += 1,
            Some(index) => {
                out.byte(format::KEY);
                let position = keys.read(key, |text| {
                    out.text(text);
                    index_of(text)
                })?;
                if let Some(position) = position {
                    **index = position.saturating_add(1);
                }
            }
            None => keys.read(key, |text| out.text(text))?,
        }
        return Ok(Some(value));
    }
    Ok(None)
}

/// The array index that a key is.
pub(super) fn index_of(key: Text<'_>) -> Option<u32> {
    let Text::Utf8(key) = key else { return None };
    let index: u32 = key.parse().ok()?;
    (index < u32::MAX && (key == "0" || !key.starts_with(['0', '+']))).then_some(index)
}

/// Writes a buffer after `tag`, or its kind among transfers.
pub(super) fn write_buffer(
    intrinsics: &Intrinsics,
    buffer: &Value<'_>,
    out: &mut Writer,
    tag: u8,
) -> Result<()> {
    // Step 13.2.1: if IsDetachedBuffer(value) is true …
    if intrinsics.is(Method::BufferDetached, buffer)? {
        return Err(CloneError::data_clone("An ArrayBuffer that is detached"));
    }
    let array_buffer = buffer
        .as_object()
        .and_then(|object| ArrayBuffer::from_object(object.clone()));
    let Some(array_buffer) = array_buffer else {
        return Err(uncloneable(buffer));
    };
    let length = intrinsics.number(Method::BufferLength, buffer)?;
    out.byte(tag);
    if intrinsics.is(Method::BufferResizable, buffer)? {
        out.byte(format::RESIZABLE);
        out.count(length as u64);
        out.count(intrinsics.number(Method::BufferMax, buffer)? as u64);
    } else {
        out.byte(0);
        out.count(length as u64);
    }
    if length as usize > LONGEST_RECORD {
        return Err(too_large());
    }
    raw::copy_bytes(&array_buffer, &mut out.0).ok_or_else(too_large)
}

/// How a view is asked.
struct View {
    buffer: Method,
    offset: Method,
    length: Method,
}

const OF_TYPED_ARRAY: View = View {
    buffer: Method::ArrayBufferOf,
    offset: Method::ArrayOffset,
    length: Method::ArrayLength,
};

const OF_DATA_VIEW: View = View {
    buffer: Method::ViewBuffer,
    offset: Method::ViewOffset,
    length: Method::ViewLength,
};

fn class_is_view(view: &Value<'_>) -> bool {
    Class::of(view) == Class::DataView
}

/// Whether the prelude must be asked: not about an object that inherits directly from an
/// `Object.prototype`, or from nothing, and has no private elements.
fn may_be_platform_object(object: &Value<'_>, keys: &Keys<'_>) -> bool {
    if keys.has_private() {
        return true;
    }
    let prototype = object.as_object().and_then(rquickjs::Object::get_prototype);
    prototype.is_some_and(|prototype| prototype.is_proxy() || prototype.get_prototype().is_some())
}

fn too_large() -> CloneError {
    CloneError::data_clone("An ArrayBuffer that is too large")
}

/// Steps 21 to 23.
fn uncloneable(value: &Value<'_>) -> CloneError {
    CloneError::data_clone(if value.is_function() {
        "A function"
    } else if value.is_proxy() {
        "A Proxy"
    } else if value.is_promise() {
        "A Promise"
    } else {
        "An object with internal state"
    })
}
