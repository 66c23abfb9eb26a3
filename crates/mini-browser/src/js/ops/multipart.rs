//! Bodies of forms. (*Fetch*, "multipart/form-data parser"; RFC 7578.)

use rquickjs::{Ctx, Result};
use serde_json::json;

use super::{OpError, Ops};
use crate::js::JsBytes;
use crate::js::json::Json;

/// How many parts a form may have.
const MOST_PARTS: usize = 100_000;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // Each part as `{ name, filename, type, start, end }`, where its bytes lie.
    ops.add(
        "op_multipart_parse",
        |ctx: Ctx<'js>, bytes: JsBytes, boundary: String| -> Result<Json> {
            let parts = parse(&bytes.0, boundary.as_bytes());
            let parts = parts.ok_or_else(|| {
                OpError::type_error("formData: the body is no multipart/form-data").throw(&ctx)
            })?;
            let parts = parts.into_iter().map(|part| {
                json!({
                    "name": part.name,
                    "filename": part.filename,
                    "type": part.content_type,
                    "start": part.start,
                    "end": part.end,
                })
            });
            Ok(Json(parts.collect()))
        },
    )
}

#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    start: usize,
    end: usize,
}

/// *multipart/form-data parser*; `None` is failure.
fn parse(input: &[u8], boundary: &[u8]) -> Option<Vec<Part>> {
    let delimiter = [b"--", boundary].concat();
    let between = [b"\r\n--", boundary].concat();
    let mut parts = Vec::new();
    let mut position = 0;
    loop {
        // Step 5.1.
        let rest = input.get(position..)?.strip_prefix(&delimiter[..])?;
        // Step 5.2: the end. What comes after it does not count.
        if let Some(after) = rest.strip_prefix(b"--") {
            return (after.is_empty() || after.starts_with(b"\r\n")).then_some(parts);
        }
        // Steps 5.3 to 5.6.
        position = input.len() - rest.strip_prefix(b"\r\n")?.len();
        let mut part = Headers::default();
        loop {
            let line = &input[position..];
            let end = find(line, b"\r\n")?;
            position += end + 2;
            if end == 0 {
                break;
            }
            part.header(&line[..end])?;
        }
        // Steps 5.7 to 5.9.
        let end = position.checked_add(find(&input[position..], &between)?)?;
        let (name, filename) = part.name?;
        if parts.len() == MOST_PARTS {
            return None;
        }
        parts.push(Part {
            name,
            filename,
            content_type: part.content_type,
            start: position,
            end,
        });
        position = end + 2;
    }
}

#[derive(Default)]
struct Headers {
    /// The name, and the file's name.
    name: Option<(String, Option<String>)>,
    content_type: Option<String>,
}

impl Headers {
    /// *Parse multipart/form-data headers*, one of them.
    fn header(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-disposition") {
            self.name = Some(disposition(value)?);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let text = value.iter().map(|byte| char::from(*byte)).collect();
            self.content_type = Some(text);
        }
        Some(())
    }
}

/// `form-data; name="…"; filename="…"`
fn disposition(value: &[u8]) -> Option<(String, Option<String>)> {
    let kind = value.get(..9)?;
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let (mut name, mut filename) = (None, None);
    let mut rest = trim(&value[9..]);
    while !rest.is_empty() {
        rest = trim(rest.strip_prefix(b";")?);
        if rest.is_empty() {
            break;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let key = trim(&rest[..equals]);
        let (text, after) = parameter(trim(&rest[equals + 1..]))?;
        if key.eq_ignore_ascii_case(b"name") {
            name = Some(text);
        } else if key.eq_ignore_ascii_case(b"filename") {
            filename = Some(text);
        }
        rest = trim(after);
    }
    Some((name?, filename))
}

/// *Parse a multipart/form-data name*, in quotes; or a token. And what follows.
fn parameter(value: &[u8]) -> Option<(String, &[u8])> {
    let (raw, after) = match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|byte| *byte == b'"')?;
            (&quoted[..end], &quoted[end + 1..])
        }
        None => {
            let end = value.iter().position(|byte| *byte == b';');
            let end = end.unwrap_or(value.len());
            (trim(&value[..end]), &value[end..])
        }
    };
    let text = String::from_utf8_lossy(raw);
    let text = text
        .replace("%0A", "\n")
        .replace("%0D", "\r")
        .replace("%22", "\"");
    Some((text, after))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !is_blank(byte));
    let end = bytes.iter().rposition(|byte| !is_blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => &bytes[start..=end],
        _ => &[],
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Where `wanted` begins. Looks at the first byte before all: input may be long.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, others) = wanted.split_first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| byte == first)?;
        if bytes[at + 1..].starts_with(others) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"a%22\"\r\n\r\n1\r\n2\r\n\
        --b\r\ncontent-disposition: form-data; name=f; filename=\"x.txt\"\r\n\
        Content-Type: text/x\r\n\r\n\r\n--b--\r\n";

    #[test]
    fn parts_have_names_types_and_places() {
        let parts = parse(FORM, b"b").unwrap();
        let [text, file] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!(
            (text.name.as_str(), &text.filename, &FORM[text.start..text.end]),
            ("a\"", &None, &b"1\r\n2"[..])
        );
        assert_eq!(
            (file.name.as_str(), file.filename.as_deref(), file.content_type.as_deref()),
            ("f", Some("x.txt"), Some("text/x"))
        );
        assert_eq!(file.start, file.end);
    }

    #[test]
    fn what_is_cut_anywhere_is_no_form() {
        for end in 0..FORM.len() - 2 {
            assert_eq!(parse(&FORM[..end], b"b"), None, "{end}");
        }
        assert!(parse(&FORM[..FORM.len() - 2], b"b").is_some());
        assert_eq!(parse(b"--b--", b"b"), Some(Vec::new()));
    }

    #[test]
    fn what_is_odd_is_no_form() {
        for odd in [
            &b"--c\r\n"[..],
            b"--b\r\n\r\nx\r\n--b--",
            b"--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--b--",
            b"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b--",
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
            b"--b\r\nno header\r\n\r\nx\r\n--b--",
            b"--b\r\n: x\r\n\r\nx\r\n--b--",
            b"--bx",
        ] {
            assert_eq!(parse(odd, b"b"), None, "{}", String::from_utf8_lossy(odd));
        }
    }

    #[test]
    fn mutated_forms_never_panic() {
        let seed = 0x5eed_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..20_000 {
            let mut form = FORM.to_vec();
            for _ in 0..=random(3) {
                let at = random(form.len());
                match random(3) {
                    0 => form[at] = u8::try_from(random(256)).unwrap(),
                    1 => drop(form.remove(at)),
                    _ => form.insert(at, b"\r\n-b;=\""[random(7)]),
                }
            }
            for part in parse(&form, b"b").unwrap_or_default() {
                assert!(part.start <= part.end && part.end <= form.len());
            }
        }
    }
}
