//! StructuredDeserialize, without recursion, from bytes that are not trusted.

use std::cell::OnceCell;
use std::rc::Rc;

use rquickjs::{Array, ArrayBuffer, Ctx, Object, Value};

use super::CloneError;
use super::class::Class;
use super::format::{self, ReadText, Reader};
use super::intrinsics::{ERROR_NAMES, Interface, Intrinsics, Method};
use super::platform;
use super::raw::{self, Key, Text};
use super::serialize::index_of;
use crate::js::realm::RealmState;

type Result<T> = std::result::Result<T, CloneError>;

/// One run of StructuredDeserialize.
pub(super) struct Deserializer<'a, 'js> {
    ctx: &'a Ctx<'js>,
    realm: &'a RealmState,
    /// Looked for once it is needed.
    intrinsics: OnceCell<Rc<Intrinsics>>,
    /// What was received, by place among the transfers.
    transferred: &'a [Value<'js>],
    /// Objects by place; `None` for one that is not made yet.
    memory: Vec<Option<Value<'js>>>,
    frames: Vec<Frame<'js>>,
}

/// What is being deserialized.
enum Frame<'js> {
    /// An object, and the key of the value that follows.
    Object(Value<'js>, Option<Key<'js>>),
    /// An array, its declared length, the next index, and the key of the value that follows.
    Array(Array<'js>, f64, u32, Option<Key<'js>>),
    /// A map, and the key whose value follows.
    Map(Value<'js>, Option<Value<'js>>),
    Set(Value<'js>),
    /// An error whose cause follows.
    Cause(Value<'js>),
    /// A view whose buffer follows.
    View(View),
    /// A platform object whose data follow: its tag and place.
    Platform(String, usize),
}

struct View {
    kind: u8,
    offset: f64,
    /// `None`: it tracks the length of the buffer.
    length: Option<f64>,
    place: usize,
}

/// What was read.
enum Item<'js> {
    Value(Value<'js>),
    /// Something that has parts, which follow.
    Opened,
}

impl<'a, 'js> Deserializer<'a, 'js> {
    pub(super) fn new(
        ctx: &'a Ctx<'js>,
        realm: &'a RealmState,
        transferred: &'a [Value<'js>],
    ) -> Self {
        Self {
            ctx,
            realm,
            intrinsics: OnceCell::new(),
            transferred,
            memory: Vec::new(),
            frames: Vec::new(),
        }
    }

    fn intrinsics(&self) -> &Intrinsics {
        self.intrinsics.get_or_init(|| self.realm.local())
    }

    /// Reads one value and all that it refers to.
    pub(super) fn value(&mut self, reader: &mut Reader<'_>) -> Result<Value<'js>> {
        let mut item = self.open(reader)?;
        loop {
            item = match item {
                Item::Opened => self.next(reader)?,
                Item::Value(value) if self.frames.is_empty() => return Ok(value),
                Item::Value(value) => self.attach(value)?,
            };
        }
    }

    /// Reads the next part of what is being read, or its end.
    fn next(&mut self, reader: &mut Reader<'_>) -> Result<Item<'js>> {
        let ended = reader.peek() == Some(format::END);
        match self.frames.last_mut() {
            Some(Frame::Object(..) | Frame::Array(..) | Frame::Set(_)) if ended => {
                return self.close(reader);
            }
            Some(Frame::Map(_, key)) if ended => {
                if key.is_some() {
                    return Err(CloneError::Damaged("a map ends after a key"));
                }
                return self.close(reader);
            }
            Some(Frame::Object(_, key)) => {
                *key = Some(Key::new(self.ctx, reader.text()?.as_text())?);
            }
            Some(Frame::Array(_, _, next, key)) => {
                if reader.peek() == Some(format::KEY) {
                    reader.byte()?;
                    let text = reader.text()?;
                    if let Some(index) = index_of(text.as_text()) {
                        *next = index.saturating_add(1);
                    }
                    *key = Some(Key::new(self.ctx, text.as_text())?);
                } else {
                    *key = Some(Key::index(self.ctx, *next)?);
                    *next = next.saturating_add(1);
                }
            }
            _ => {}
        }
        self.open(reader)
    }

    /// Takes the end of an object, array, map or set.
    fn close(&mut self, reader: &mut Reader<'_>) -> Result<Item<'js>> {
        reader.byte()?;
        Ok(Item::Value(match self.frames.pop() {
            Some(Frame::Object(value, _) | Frame::Map(value, _) | Frame::Set(value)) => value,
            Some(Frame::Array(array, length, ..)) => {
                // Holes at the end.
                if (array.len() as f64) < length {
                    array.as_object().set("length", length)?;
                }
                array.into_value()
            }
            _ => return Err(CloneError::Damaged("there is an end of nothing")),
        }))
    }

    /// Gives a value to what it is a part of.
    fn attach(&mut self, value: Value<'js>) -> Result<Item<'js>> {
        let (realm, intrinsics) = (self.realm, &self.intrinsics);
        let intrinsics = || intrinsics.get_or_init(|| realm.local());
        match self.frames.last_mut() {
            Some(Frame::Object(object, key)) => {
                if let Some(key) = key.take() {
                    key.define(object, value)?;
                }
            }
            Some(Frame::Array(array, _, _, key)) => {
                if let Some(key) = key.take() {
                    key.define(array.as_value(), value)?;
                }
            }
            Some(Frame::Map(map, key)) => match key.take() {
                None => *key = Some(value),
                Some(key) => drop(intrinsics().call(Method::MapSet, map, &[&key, &value])?),
            },
            Some(Frame::Set(set)) => {
                intrinsics().call(Method::SetAdd, set, &[&value])?;
            }
            _ => return self.complete(value),
        }
        Ok(Item::Opened)
    }

    /// Makes what had only one part.
    fn complete(&mut self, value: Value<'js>) -> Result<Item<'js>> {
        let made = match self.frames.pop() {
            Some(Frame::Cause(error)) => {
                let key = Key::new(self.ctx, Text::Utf8("cause"))?;
                key.define_hidden(&error, value)?;
                error
            }
            Some(Frame::View(view)) => {
                let made = self.view(&view, &value)?;
                self.memory[view.place] = Some(made.clone());
                made
            }
            Some(Frame::Platform(tag, place)) => {
                let made = platform::deserialize(self.ctx, self.realm, tag, value)?;
                self.memory[place] = Some(made.clone());
                made
            }
            _ => return Err(CloneError::Damaged("there is a value too much")),
        };
        Ok(Item::Value(made))
    }

    fn open(&mut self, reader: &mut Reader<'_>) -> Result<Item<'js>> {
        let ctx = self.ctx;
        let tag = reader.byte()?;
        let value = match tag {
            format::UNDEFINED => Value::new_undefined(ctx.clone()),
            format::NULL => Value::new_null(ctx.clone()),
            format::TRUE => Value::new_bool(ctx.clone(), true),
            format::FALSE => Value::new_bool(ctx.clone(), false),
            format::INTEGER => Value::new_number(ctx.clone(), reader.zigzag()? as f64),
            format::NUMBER => Value::new_float(ctx.clone(), reader.double()?),
            format::BIGINT | format::LARGE_BIGINT => self.bigint(reader, tag)?,
            format::TEXT | format::WIDE_TEXT => {
                raw::new_string(ctx, reader.text_after(tag)?.as_text())?
            }
            format::PLACE => {
                let place = usize::try_from(reader.count()?).unwrap_or(usize::MAX);
                let known = self.memory.get(place).cloned().flatten();
                known.ok_or(CloneError::Damaged("it refers to what is not there"))?
            }
            format::TRANSFERRED => {
                let at = usize::try_from(reader.count()?).unwrap_or(usize::MAX);
                let known = self.transferred.get(at).cloned();
                known.ok_or(CloneError::Damaged("it refers to what was not transferred"))?
            }
            _ => return self.object(reader, tag),
        };
        Ok(Item::Value(value))
    }

    fn object(&mut self, reader: &mut Reader<'_>, tag: u8) -> Result<Item<'js>> {
        let ctx = self.ctx;
        let place = self.memory.len();
        self.memory.push(None);
        let (value, frame) = match tag {
            format::OBJECT => {
                let object = Object::new(ctx.clone())?.into_value();
                (object.clone(), Some(Frame::Object(object, None)))
            }
            format::ARRAY => {
                let length = reader.count()?;
                if length > u32::MAX.into() {
                    return Err(CloneError::Damaged("an array is too long"));
                }
                let array = Array::new(ctx.clone())?;
                let value = array.clone().into_value();
                (value, Some(Frame::Array(array, length as f64, 0, None)))
            }
            format::MAP => {
                let map = self.intrinsics().construct(ctx, Interface::Map, &[])?;
                (map.clone(), Some(Frame::Map(map, None)))
            }
            format::SET => {
                let set = self.intrinsics().construct(ctx, Interface::Set, &[])?;
                (set.clone(), Some(Frame::Set(set)))
            }
            format::DATE => (raw::new_date(ctx, reader.double()?)?, None),
            format::TRUE_OBJECT | format::FALSE_OBJECT => {
                let boolean = Value::new_bool(ctx.clone(), tag == format::TRUE_OBJECT);
                (raw::to_object(ctx, &boolean)?, None)
            }
            format::NUMBER_OBJECT => {
                let number = Value::new_float(ctx.clone(), reader.double()?);
                (raw::to_object(ctx, &number)?, None)
            }
            format::STRING_OBJECT => {
                let string = raw::new_string(ctx, reader.text()?.as_text())?;
                (raw::to_object(ctx, &string)?, None)
            }
            format::BIGINT_OBJECT => {
                let tag = reader.byte()?;
                let bigint = self.bigint(reader, tag)?;
                (raw::to_object(ctx, &bigint)?, None)
            }
            format::REGEXP => (self.regexp(reader)?, None),
            format::ERROR => self.error(reader)?,
            format::BUFFER => (read_buffer(ctx, self.intrinsics(), reader)?, None),
            format::VIEW => {
                let frame = Frame::View(read_view(reader, place)?);
                self.frames.push(frame);
                return Ok(Item::Opened);
            }
            format::PLATFORM => {
                let tag = reader.text()?.utf8()?.to_owned();
                self.frames.push(Frame::Platform(tag, place));
                return Ok(Item::Opened);
            }
            _ => return Err(CloneError::Damaged("it has a byte that means nothing")),
        };
        self.memory[place] = Some(value.clone());
        Ok(match frame {
            Some(frame) => {
                self.frames.push(frame);
                Item::Opened
            }
            None => Item::Value(value),
        })
    }

    fn bigint(&self, reader: &mut Reader<'_>, tag: u8) -> Result<Value<'js>> {
        match tag {
            format::BIGINT => Ok(Value::new_big_int(self.ctx.clone(), reader.zigzag()?)?),
            format::LARGE_BIGINT => {
                let text = reader.text()?;
                let digits = text.utf8()?;
                let (minus, digits) = match digits.strip_prefix('-') {
                    Some(digits) => (true, digits),
                    None => (false, digits),
                };
                let is_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                if digits.is_empty() || !is_digits {
                    return Err(CloneError::Damaged("a bigint is not a number"));
                }
                let bigint = self.intrinsics().bigint(self.ctx, &format!("0x{digits}"));
                let bigint = self.undamaged(bigint)?;
                if !minus {
                    return Ok(bigint);
                }
                let negated = self.realm.try_call(self.ctx, "negate", (bigint,));
                Ok(negated.ok_or_else(|| CloneError::data_clone("A bigint"))??)
            }
            _ => Err(CloneError::Damaged(
                "there is no bigint where one is needed",
            )),
        }
    }

    fn regexp(&self, reader: &mut Reader<'_>) -> Result<Value<'js>> {
        let source = raw::new_string(self.ctx, reader.text()?.as_text())?;
        let flags = raw::new_string(self.ctx, reader.text()?.as_text())?;
        let arguments = [&source, &flags];
        let made = self
            .intrinsics()
            .construct(self.ctx, Interface::RegExp, &arguments);
        self.undamaged(made)
    }

    fn error(&self, reader: &mut Reader<'_>) -> Result<(Value<'js>, Option<Frame<'js>>)> {
        let kind = usize::from(reader.byte()?);
        if kind >= ERROR_NAMES.len() {
            return Err(CloneError::Damaged("an error has no type"));
        }
        let bits = reader.byte()?;
        let prototype = self.intrinsics().error_prototype(self.ctx, kind)?;
        let error = raw::new_error(self.ctx, &prototype, Class::Error.id())?;
        for (bit, name) in [
            (format::HAS_MESSAGE, "message"),
            (format::HAS_STACK, "stack"),
        ] {
            if bits & bit != 0 {
                let text: ReadText<'_> = reader.text()?;
                let text = raw::new_string(self.ctx, text.as_text())?;
                Key::new(self.ctx, Text::Utf8(name))?.define_hidden(&error, text)?;
            }
        }
        let cause = bits & format::HAS_CAUSE != 0;
        let frame = cause.then(|| Frame::Cause(error.clone()));
        Ok((error, frame))
    }

    fn view(&self, view: &View, buffer: &Value<'js>) -> Result<Value<'js>> {
        if Class::of(buffer) != Class::ArrayBuffer {
            return Err(CloneError::Damaged("a view has no buffer"));
        }
        let Some(object) = buffer.as_object() else {
            return Err(CloneError::Damaged("a view has no buffer"));
        };
        let made = if view.kind == format::DATA_VIEW {
            let number = |number: f64| Value::new_number(self.ctx.clone(), number);
            let offset = number(view.offset);
            let length = view
                .length
                .map_or_else(|| Value::new_undefined(self.ctx.clone()), number);
            let arguments = [buffer, &offset, &length];
            self.intrinsics()
                .construct(self.ctx, Interface::DataView, &arguments)
        } else {
            raw::new_typed_array(self.ctx, view.kind, object, view.offset, view.length)
        };
        self.undamaged(made)
    }

    /// What the engine refuses to make, no serialization wrote.
    fn undamaged(&self, made: rquickjs::Result<Value<'js>>) -> Result<Value<'js>> {
        made.map_err(|_| {
            if self.realm.is_killed() {
                return CloneError::Thrown(rquickjs::Error::Exception);
            }
            drop(self.ctx.catch());
            CloneError::Damaged("the engine refuses a part of it")
        })
    }
}

/// Reads what [`write_buffer`](super::serialize::write_buffer) wrote after the tag.
pub(super) fn read_buffer<'js>(
    ctx: &Ctx<'js>,
    intrinsics: &Intrinsics,
    reader: &mut Reader<'_>,
) -> Result<Value<'js>> {
    let bits = reader.byte()?;
    let length = reader.count()?;
    if bits & format::RESIZABLE == 0 {
        let bytes = reader.bytes(length)?;
        return Ok(ArrayBuffer::new_copy(ctx.clone(), bytes)?.into_value());
    }
    let longest = reader.count()?;
    let bytes = reader.bytes(length)?;
    if longest < length || longest > 1 << 53 {
        return Err(CloneError::Damaged("a buffer is longer than it may be"));
    }
    let options = Object::new(ctx.clone())?;
    options.set("maxByteLength", longest as f64)?;
    let length = Value::new_number(ctx.clone(), length as f64);
    let arguments = [&length, options.as_value()];
    let buffer = intrinsics.construct(ctx, Interface::ArrayBuffer, &arguments)?;
    let made = buffer
        .as_object()
        .and_then(|object| ArrayBuffer::from_object(object.clone()));
    if let Some(made) = made {
        raw::write_bytes(&made, bytes);
    }
    Ok(buffer)
}

fn read_view(reader: &mut Reader<'_>, place: usize) -> Result<View> {
    let kind = reader.byte()?;
    if kind > format::DATA_VIEW {
        return Err(CloneError::Damaged("a view has no type"));
    }
    let tracks = reader.byte()? & format::TRACKS_LENGTH != 0;
    let offset = reader.count()? as f64;
    let length = if tracks {
        None
    } else {
        Some(reader.count()? as f64)
    };
    Ok(View {
        kind,
        offset,
        length,
        place,
    })
}
