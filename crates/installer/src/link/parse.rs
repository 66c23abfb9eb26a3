//! The syntax of a `Link` header. (RFC 8288, appendix B.)

use crate::Malformed;

/// The bytes that a header's value may have; preloads share the header with us.
const VALUE_LIMIT: usize = 16 * 1024;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// What stands between the angle brackets.
    pub(super) target: String,
    /// Names in lower case; a name that comes twice is here twice.
    parameters: Vec<(String, String)>,
}

impl Link {
    /// The value of a parameter: of several, the first. (RFC 8288, §3.3.)
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(its, _)| its == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// The links of one header value, up to the first that is none. (Appendix B.2.)
pub(super) fn links(value: &[u8]) -> Vec<Result<Link, Malformed>> {
    let text = match std::str::from_utf8(value) {
        _ if value.len() > VALUE_LIMIT => return vec![Err(Malformed::TooLong)],
        Ok(text) => text,
        Err(_) => return vec![Err(Malformed::Byte)],
    };
    let mut rest = Rest(text);
    let mut links = Vec::new();
    loop {
        // Empty elements of a list are none. (RFC 9110, §5.6.1.)
        rest.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if rest.0.is_empty() {
            return links;
        }
        let link = rest.link();
        let ends = link.is_err();
        links.push(link);
        if ends {
            return links;
        }
    }
}

/// What is not parsed yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn link(&mut self) -> Result<Link, Malformed> {
        let target = self
            .0
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'));
        let Some((target, rest)) = target else {
            return Err(Malformed::NoLink);
        };
        self.0 = rest;
        let mut link = Link {
            target: target.trim_ascii().to_owned(),
            parameters: Vec::new(),
        };
        // Appendix B.3, "Parsing Parameters".
        loop {
            self.skip_white_space();
            if !self.takes(b';') {
                break;
            }
            self.skip_white_space();
            let name = self.until(|byte| matches!(byte, b' ' | b'\t' | b'=' | b';' | b','));
            let name = name.to_ascii_lowercase();
            self.skip_white_space();
            let value = match self.takes(b'=') {
                false => String::new(),
                true => {
                    self.skip_white_space();
                    self.value()?
                }
            };
            if !name.is_empty() {
                link.parameters.push((name, value));
            }
        }
        match self.0.as_bytes().first() {
            None | Some(b',') => Ok(link),
            Some(_) => Err(Malformed::NoLink),
        }
    }

    fn value(&mut self) -> Result<String, Malformed> {
        if self.takes(b'"') {
            return self.quoted();
        }
        let value = self.until(|byte| matches!(byte, b';' | b','));
        Ok(value.trim_ascii().to_owned())
    }

    /// Appendix B.4, "Parsing a Quoted String"; one that never ends is an error here.
    fn quoted(&mut self) -> Result<String, Malformed> {
        let mut value = String::new();
        let mut chars = self.0.chars();
        loop {
            match chars.next() {
                None => return Err(Malformed::NoLink),
                Some('"') => break,
                Some('\\') => value.push(chars.next().ok_or(Malformed::NoLink)?),
                Some(other) => value.push(other),
            }
        }
        self.0 = chars.as_str();
        Ok(value)
    }

    fn skip_white_space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn skip(&mut self, skips: impl Fn(u8) -> bool) {
        let at = self.0.bytes().position(|byte| !skips(byte));
        self.0 = &self.0[at.unwrap_or(self.0.len())..];
    }

    /// Takes one byte, if it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        match self.0.as_bytes().first() {
            Some(first) if *first == byte => {
                self.0 = &self.0[1..];
                true
            }
            _ => false,
        }
    }

    /// What comes before the first of some ASCII bytes.
    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'a str {
        let at = self.0.bytes().position(ends).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(at);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Vec<Result<Link, Malformed>> {
        links(value.as_bytes())
    }

    fn link(target: &str, parameters: &[(&str, &str)]) -> Result<Link, Malformed> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(Link {
            target: target.to_owned(),
            parameters: parameters.iter().map(own).collect(),
        })
    }

    #[test]
    fn links_are_separated_by_commas_outside_of_brackets_and_quotes() {
        assert_eq!(
            parsed(r#"</a,b>; rel="x, y" ;title=t,, <c>;Rel=z"#),
            [
                link("/a,b", &[("rel", "x, y"), ("title", "t")]),
                link("c", &[("rel", "z")])
            ]
        );
        assert_eq!(parsed(" , \t,"), []);
        assert_eq!(parsed(""), []);
    }

    #[test]
    fn parameters_may_lack_a_value_or_a_name_and_escape_what_they_quote() {
        assert_eq!(
            parsed(r#"<a>;crossorigin; ;=x; n = "q\"\\;>" ; m= v w"#),
            [link(
                "a",
                &[("crossorigin", ""), ("n", "q\"\\;>"), ("m", "v w")]
            )]
        );
    }

    #[test]
    fn what_is_no_link_ends_the_value() {
        for value in [
            "a",
            "<a",
            "<a>b",
            "<a>;n=\"x",
            "<a>;n=\"x\\",
            "<a>;n=\"x\"y",
        ] {
            assert_eq!(parsed(value), [Err(Malformed::NoLink)], "{value}");
        }
        assert_eq!(
            parsed("<a>, b, <c>"),
            [link("a", &[]), Err(Malformed::NoLink)]
        );
        assert_eq!(links(b"<\xff>"), [Err(Malformed::Byte)]);
        assert_eq!(links(&vec![b' '; 16_385]), [Err(Malformed::TooLong)]);
    }
}
