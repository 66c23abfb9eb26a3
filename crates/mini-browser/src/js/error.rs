//! An exception as a line of text with file, line and column.

use rquickjs::{Ctx, Object, Value};

use super::loader;

/// An exception or rejection of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// It threw, did not parse, or its promise was rejected: `url:line:column: Name: message`.
    #[error("{0}")]
    Threw(String),
    /// What it evaluated to cannot be written as JSON.
    #[error("the script's value cannot be written as JSON: {0}")]
    Unserializable(String),
    /// Its agent is gone.
    #[error("the page is gone: {0}")]
    Gone(String),
}

/// An exception, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exception {
    /// `Name: message`, or the thrown value as a string.
    pub(super) text: String,
    /// The script, or empty.
    pub(super) file: String,
    /// From 1; 0 when unknown.
    pub(super) line: u32,
    /// From 1; 0 when unknown.
    pub(super) column: u32,
}

impl Exception {
    /// Takes the pending exception of `ctx`.
    pub(super) fn take(ctx: &Ctx<'_>, script: &str) -> Self {
        Self::of(&ctx.catch(), script)
    }

    /// Takes `thrown` apart; `script` is named where its stack names no script.
    pub(super) fn of(thrown: &Value<'_>, script: &str) -> Self {
        let object = thrown.as_object().filter(|_| !thrown.is_function());
        let text = object.and_then(name_and_message);
        let text = text.unwrap_or_else(|| format!("Uncaught {}", plain(thrown)));
        let position = object.and_then(position);
        // Everything after the execution of this code is best-effort: a script may have put
        // anything on the object, and what it threw there must not stay pending.
        drop(thrown.ctx().catch());
        let (file, line, column) = position.unwrap_or_else(|| (script.to_owned(), 0, 0));
        Self {
            text: one_line(&text),
            file,
            line,
            column,
        }
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.text)
    }
}

fn name_and_message(object: &Object<'_>) -> Option<String> {
    let message: String = string(object, "message")?;
    let name = string(object, "name").filter(|name| !name.is_empty());
    Some(match name {
        Some(name) if message.is_empty() => name,
        Some(name) => format!("{name}: {message}"),
        None => message,
    })
}

fn string(object: &Object<'_>, key: &str) -> Option<String> {
    let value: Value<'_> = object.get(key).ok()?;
    value.as_string()?.to_string().ok()
}

/// The first place in the stack that is in a script of the author's.
fn position(object: &Object<'_>) -> Option<(String, u32, u32)> {
    let stack = string(object, "stack")?;
    stack.lines().filter_map(frame).find(|(file, ..)| {
        !file.starts_with(loader::SCHEME) && file != "native" && !file.is_empty()
    })
}

/// `    at name (file:line:column)` or `    at file:line:column`.
fn frame(line: &str) -> Option<(String, u32, u32)> {
    let place = line.trim().strip_prefix("at ")?;
    let place = match place.rfind(" (") {
        Some(start) => place[start + 2..].strip_suffix(')')?,
        None => place,
    };
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?, column.parse().ok()?))
}

fn plain(thrown: &Value<'_>) -> String {
    let text = thrown.get::<rquickjs::Coerced<String>>();
    text.map_or_else(|_| thrown.type_name().to_owned(), |text| text.0)
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
