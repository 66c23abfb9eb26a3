//! [`parse`]: reads a style sheet that has `@font-face` rules and nothing else.

use super::{Face, UnicodeRange, UnicodeRangeError};

/// Reads the faces of a style sheet in their order.
///
/// Comments, strings with escapes, `url()` with and without quotes, and descriptors in any order
/// are read as CSS has them; descriptors other than `src` and `unicode-range` are passed over.
/// Of an `src` with several files the first is taken. The last of two equal descriptors counts.
///
/// # Errors
///
/// [`ParseError`] with the line, for what is not such a sheet. (A browser would skip a rule that
/// it cannot read, and draw nothing; here that is a failure to be seen.)
pub fn parse(css: &str) -> Result<Vec<Face>, ParseError> {
    let mut parser = Parser { css, at: 0 };
    let mut faces = Vec::new();
    loop {
        parser.skip_blanks()?;
        if parser.rest().is_empty() {
            return Ok(faces);
        }
        faces.push(parser.rule()?);
    }
}

/// Why a style sheet was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Something stands where something else should.
    #[error("line {line} of the style sheet: expected {expected}, found {found}")]
    Unexpected {
        /// Counted from 1.
        line: usize,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The rule has no such descriptor, and is nothing without it.
    #[error(
        "line {line} of the style sheet: the @font-face rule that ends here has no {descriptor}"
    )]
    Lacks {
        /// Where the rule ends, counted from 1.
        line: usize,
        /// `font-family` or `src`.
        descriptor: &'static str,
    },
    /// The value of a `unicode-range` is none.
    #[error("line {line} of the style sheet: {error}")]
    UnicodeRange {
        /// Where the value ends, counted from 1.
        line: usize,
        /// What is wrong with it.
        error: UnicodeRangeError,
    },
}

struct Parser<'a> {
    css: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    /// `@font-face { … }`
    fn rule(&mut self) -> Result<Face, ParseError> {
        const RULE: &str = "@font-face";
        let start = self.rest();
        if !start
            .get(..RULE.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(RULE))
            || start[RULE.len()..].starts_with(is_name)
        {
            return Err(self.unexpected("@font-face"));
        }
        self.at += RULE.len();
        self.skip_blanks()?;
        self.expect('{', "{ after @font-face")?;

        let (mut family, mut url, mut characters) = (false, None, None);
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some('}') => break,
                Some(';') => self.at += 1,
                _ => match self.descriptor()? {
                    Descriptor::Family => family = true,
                    Descriptor::Src(file) => url = Some(file),
                    Descriptor::Range(range) => characters = Some(range),
                    Descriptor::Other => {}
                },
            }
        }
        let lacks = |descriptor| ParseError::Lacks {
            line: self.line(),
            descriptor,
        };
        if !family {
            return Err(lacks("font-family"));
        }
        let url = url.ok_or_else(|| lacks("src"))?;
        self.at += 1;
        Ok(Face { url, characters })
    }

    /// `name: value`, up to the `;` or `}` after it.
    fn descriptor(&mut self) -> Result<Descriptor, ParseError> {
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected("a descriptor or }"));
        }
        self.skip_blanks()?;
        self.expect(':', ": after the name of the descriptor")?;
        self.skip_blanks()?;
        Ok(match name.to_ascii_lowercase().as_str() {
            "src" => {
                let url = self.src()?;
                self.value()?;
                Descriptor::Src(url)
            }
            "unicode-range" => {
                let value = self.value()?;
                let line = self.line();
                let range: UnicodeRange = value
                    .parse()
                    .map_err(|error| ParseError::UnicodeRange { line, error })?;
                Descriptor::Range(range)
            }
            "font-family" => {
                if self.value()?.trim().is_empty() {
                    return Err(self.unexpected("the name of the family"));
                }
                Descriptor::Family
            }
            _ => {
                self.value()?;
                Descriptor::Other
            }
        })
    }

    /// The address of the first file of an `src`.
    fn src(&mut self) -> Result<String, ParseError> {
        const URL: &str = "url(";
        if !self
            .rest()
            .get(..URL.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(URL))
        {
            return Err(self.unexpected("url(…)"));
        }
        self.at += URL.len();
        self.skip_white_space();
        let url = match self.peek() {
            Some('"' | '\'') => self.string()?,
            _ => self.bare_url()?,
        };
        self.skip_white_space();
        self.expect(')', ") after the address")?;
        if url.is_empty() {
            return Err(self.unexpected("an address in url(…)"));
        }
        Ok(url)
    }

    /// CSS Syntax, 4.3.6 "Consume a url token".
    fn bare_url(&mut self) -> Result<String, ParseError> {
        let mut url = String::new();
        while let Some(character) = self.peek() {
            match character {
                ')' | ' ' | '\t' | '\n' | '\r' | '\u{C}' => break,
                '\\' => url.extend(self.escape()?),
                '"' | '\'' | '(' => return Err(self.unexpected("an address without quotes")),
                _ if character.is_control() => {
                    return Err(self.unexpected("an address without control characters"));
                }
                _ => {
                    url.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
        Ok(url)
    }

    /// CSS Syntax, 4.3.5 "Consume a string token": its text.
    fn string(&mut self) -> Result<String, ParseError> {
        let quote = self.peek();
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                character if character == quote && quote.is_some() => {
                    self.at += 1;
                    return Ok(text);
                }
                None | Some('\n' | '\r' | '\u{C}') => {
                    return Err(self.unexpected("the end of the string"));
                }
                Some('\\') => text.extend(self.escape()?),
                Some(character) => {
                    text.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
    }

    /// CSS Syntax, 4.3.7 "Consume an escaped code point"; `None` for an escaped line break, which
    /// stands for nothing.
    fn escape(&mut self) -> Result<Option<char>, ParseError> {
        self.at += 1;
        let rest = self.rest();
        let digits = rest
            .bytes()
            .take(6)
            .take_while(u8::is_ascii_hexdigit)
            .count();
        if digits > 0 {
            let code = u32::from_str_radix(&rest[..digits], 16).unwrap_or(0);
            self.at += digits;
            if self.rest().starts_with("\r\n") {
                self.at += 2;
            } else if self.peek().is_some_and(is_white_space) {
                self.at += 1;
            }
            // Null, surrogates and what is too large are U+FFFD.
            let character = char::from_u32(code).filter(|character| *character != '\0');
            return Ok(character.or(Some(char::REPLACEMENT_CHARACTER)));
        }
        match self.peek() {
            None => Err(self.unexpected("a character after \\")),
            Some('\r') if rest.starts_with("\r\n") => {
                self.at += 2;
                Ok(None)
            }
            Some('\n' | '\r' | '\u{C}') => {
                self.at += 1;
                Ok(None)
            }
            Some(character) => {
                self.at += character.len_utf8();
                Ok(Some(character))
            }
        }
    }

    /// The value of a descriptor without its comments: all up to a `;` or `}` that is in no string
    /// and no brackets. What is in strings is left out: nothing that is read here has any.
    fn value(&mut self) -> Result<String, ParseError> {
        let mut value = String::new();
        let mut open = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.unexpected("}")),
                Some(';' | '}') if open.is_empty() => return Ok(value),
                Some('"' | '\'') => {
                    self.string()?;
                    value.push_str("\"\"");
                }
                Some('/') if self.rest().starts_with("/*") => {
                    self.skip_blanks()?;
                    // A comment parts what stands on its two sides.
                    value.push(' ');
                }
                Some('\\') => value.extend(self.escape()?),
                Some(character) => {
                    match character {
                        '(' => open.push(')'),
                        '[' => open.push(']'),
                        '{' => open.push('}'),
                        ')' | ']' | '}' if open.pop() != Some(character) => {
                            return Err(self.unexpected("brackets in pairs"));
                        }
                        _ => {}
                    }
                    value.push(character);
                    self.at += character.len_utf8();
                }
            }
        }
    }

    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        self.at += name.len();
        name
    }

    fn expect(&mut self, character: char, expected: &'static str) -> Result<(), ParseError> {
        if self.peek() == Some(character) {
            self.at += character.len_utf8();
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Passes over white space and comments.
    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        loop {
            self.skip_white_space();
            if !self.rest().starts_with("/*") {
                return Ok(());
            }
            match self.rest()[2..].find("*/") {
                Some(end) => self.at += end + 4,
                None => return Err(self.unexpected("the end of the comment")),
            }
        }
    }

    fn skip_white_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_white_space).len();
    }

    fn rest(&self) -> &'a str {
        &self.css[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn line(&self) -> usize {
        1 + self.css[..self.at].matches('\n').count()
    }

    fn unexpected(&self, expected: &'static str) -> ParseError {
        let found = match self.rest() {
            "" => "the end".to_owned(),
            rest => format!("{:?}", rest.chars().take(16).collect::<String>()),
        };
        ParseError::Unexpected {
            line: self.line(),
            expected,
            found,
        }
    }
}

enum Descriptor {
    Family,
    Src(String),
    Range(UnicodeRange),
    Other,
}

fn is_white_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{C}')
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_') || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_as_people_write_it_is_read() {
        let css = "/* latin */\n@Font-Face{FONT-FAMILY:'A;}b';src : URL( /a.woff2 ) format('woff2'), \
                   url(/a.ttf);UNICODE-RANGE:U+0-7f,/* all of it */ u+4??}\n\
                   @font-face { ; src: url(\"\\62.woff2\\\n?x\"); font-weight: 100 900;\r\n \
                   font-family: B; font-feature-settings: \"}\" 1, (;) }";
        let faces = parse(css).unwrap();
        assert_eq!(faces[0].url, "/a.woff2");
        assert_eq!(
            faces[0].characters.as_ref().unwrap().to_string(),
            "U+0-7F,U+400-4FF"
        );
        assert_eq!(faces[1].url, "b.woff2?x");
        assert_eq!(faces[1].characters, None);
        assert_eq!(faces.len(), 2);
    }

    #[test]
    fn what_is_no_such_sheet_is_refused_with_its_line() {
        for (css, line) in [
            ("body { color: red }", 1),
            ("<!DOCTYPE html>", 1),
            ("\n@import url(x);", 2),
            ("@font-faces { font-family: A; src: url(a) }", 1),
            ("@font-face { font-family: A;\n src: url(a)", 2),
            ("@font-face { font-family: A; src: url(a) } }", 1),
            ("@font-face { font-family: A; src: local(A) }", 1),
            ("@font-face { font-family: A; src: url() }", 1),
            ("@font-face { font-family: A; src: url(a b) }", 1),
            ("@font-face { font-family: A; src: url('a\n') }", 1),
            ("@font-face { font-family: A; src: url(a) format(] }", 1),
            ("@font-face { font-family: A; src: url(a); 1 }", 1),
            ("@font-face { src: url(a);\n\n }", 3),
            ("@font-face { font-family: A }", 1),
            ("@font-face { font-family: ; src: url(a) }", 1),
            (
                "@font-face { font-family: A; src: url(a); unicode-range: all }",
                1,
            ),
            ("/* and so on", 1),
            ("@font-face { font-family: A; src: url(a\\", 1),
        ] {
            let error = parse(css).expect_err(css);
            let (ParseError::Unexpected { line: found, .. }
            | ParseError::Lacks { line: found, .. }
            | ParseError::UnicodeRange { line: found, .. }) = error;
            assert_eq!(found, line, "{css:?}");
        }
    }

    #[test]
    fn every_beginning_of_a_sheet_is_read_or_refused() {
        let css = "/* 漢 */ @font-face { font-family: '漢\\6f22 字'; src: url(\"/あ\\\"\") \
                   format(\"woff2\"); unicode-range: U+6F22, U+5B57 }";
        for (end, _) in css.char_indices().skip(1) {
            // The comment alone is a sheet without faces.
            match parse(&css[..end]) {
                Ok(faces) => assert_eq!(faces, []),
                Err(error) => assert!(error.to_string().starts_with("line 1 ")),
            }
        }
        assert_eq!(parse(css).unwrap()[0].url, "/あ\"");
    }
}
