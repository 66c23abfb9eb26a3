//! URL patterns without regular expressions of their author's, compiled once and matched without
//! allocation. (*URL Pattern*, "build a URL pattern from a Web IDL value", "match".)

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use sw_types::ScriptUrl;
use url::{Url, quirks};
use urlpattern::component::Component as Parsed;
use urlpattern::matcher::InnerMatcher;
use urlpattern::quirks::{StringOrInit, process_construct_pattern_input};
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPatternOptions};

use super::{UrlPatternArguments, UrlPatternCompatible, UrlPatternInit, UrlPatternInput};

/// How long the strings of a pattern may be together, in bytes.
const MAX_LENGTH: usize = 64 << 10;

/// Why a `urlPattern` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlPatternError {
    /// It is no URL pattern.
    #[error("it is not a valid URL pattern: {0}")]
    Invalid(String),
    /// It has groups with regular expressions of their own.
    #[error("it has regular expression groups, which static routes may not have")]
    HasRegExpGroups,
    /// It is longer than what is compiled here.
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

/// *Build a URL pattern from a Web IDL value*, up to the arguments of *create*: the base URL is the
/// script's unless there is one, or the pattern is an object of its own.
pub(super) fn create_arguments(
    pattern: UrlPatternCompatible,
    script_url: &ScriptUrl,
) -> UrlPatternArguments {
    let base_url = || Some(script_url.url().as_str().to_owned());
    match pattern {
        UrlPatternCompatible::Pattern(arguments) => arguments,
        UrlPatternCompatible::Init(mut init) => {
            init.base_url = init.base_url.or_else(base_url);
            UrlPatternArguments {
                input: UrlPatternInput::Init(init),
                base_url: None,
                ignore_case: false,
            }
        }
        UrlPatternCompatible::String(input) => UrlPatternArguments {
            input: UrlPatternInput::String(input),
            base_url: base_url(),
            ignore_case: false,
        },
    }
}

/// A compiled URL pattern.
#[derive(Debug)]
pub(super) struct UrlPattern {
    protocol: Component,
    username: Component,
    password: Component,
    hostname: Component,
    port: Component,
    pathname: Component,
    search: Component,
    hash: Component,
}

impl UrlPattern {
    /// *Create a URL pattern*.
    pub(super) fn create(arguments: &UrlPatternArguments) -> Result<Self, UrlPatternError> {
        if length(arguments) > MAX_LENGTH {
            return Err(UrlPatternError::TooLong);
        }
        let invalid = |error: urlpattern::Error| UrlPatternError::Invalid(error.to_string());
        let input = match &arguments.input {
            UrlPatternInput::String(input) => StringOrInit::String(input.as_str().into()),
            UrlPatternInput::Init(init) => StringOrInit::Init(quirks_init(init)),
        };
        let init = process_construct_pattern_input(input, arguments.base_url.as_deref());
        let options = UrlPatternOptions {
            regex_syntax: RegexSyntax::Rust,
            ignore_case: arguments.ignore_case,
        };
        let pattern = urlpattern::UrlPattern::<LazyRegex>::parse(init.map_err(invalid)?, options)
            .map_err(invalid)?;
        if pattern.has_regexp_groups() {
            return Err(UrlPatternError::HasRegExpGroups);
        }
        Ok(Self {
            protocol: Component::of(pattern.protocol)?,
            username: Component::of(pattern.username)?,
            password: Component::of(pattern.password)?,
            hostname: Component::of(pattern.hostname)?,
            port: Component::of(pattern.port)?,
            pathname: Component::of(pattern.pathname)?,
            search: Component::of(pattern.search)?,
            hash: Component::of(pattern.hash)?,
        })
    }

    /// *Match*, for a URL: whether there is a match.
    pub(super) fn matches(&self, url: &Url) -> bool {
        self.protocol.matches(url.scheme())
            && self.username.matches(url.username())
            && self.password.matches(url.password().unwrap_or_default())
            && self.hostname.matches(url.host_str().unwrap_or_default())
            && self.port.matches(quirks::port(url))
            && self.pathname.matches(quirks::pathname(url))
            && self.search.matches(url.query().unwrap_or_default())
            && self.hash.matches(url.fragment().unwrap_or_default())
    }
}

/// A component's pattern. Most are one of the first three, and need no regular expression.
#[derive(Debug)]
enum Component {
    /// `*`
    Any,
    /// Fixed text.
    Literal(String),
    /// Fixed text around one wildcard.
    Around {
        prefix: String,
        suffix: String,
        /// What the wildcard does not match, if anything.
        delimiter: Option<char>,
        allow_empty: bool,
    },
    /// Anything else. Linear in time, as `regex` is.
    Regex(Regex),
}

impl Component {
    fn of(parsed: Parsed<LazyRegex>) -> Result<Self, UrlPatternError> {
        if parsed.pattern_string == "*" {
            return Ok(Self::Any);
        }
        let matcher = parsed.matcher;
        // What ignores case is left to the regular expression, which knows how.
        match matcher.inner {
            InnerMatcher::Literal { literal } if !matcher.ignore_case => Ok(Self::Literal(literal)),
            InnerMatcher::SingleCapture {
                filter,
                allow_empty,
            } if !matcher.ignore_case => Ok(Self::Around {
                prefix: matcher.prefix,
                suffix: matcher.suffix,
                delimiter: filter,
                allow_empty,
            }),
            InnerMatcher::Literal { .. }
            | InnerMatcher::SingleCapture { .. }
            | InnerMatcher::RegExp { .. } => {
                let lazy = parsed.regexp;
                let lazy = lazy.map_err(|error| UrlPatternError::Invalid(error.to_string()))?;
                let regex = lazy.compiled().cloned();
                Ok(Self::Regex(regex.ok_or(UrlPatternError::TooLong)?))
            }
        }
    }

    fn matches(&self, input: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => input == literal,
            Self::Around {
                prefix,
                suffix,
                delimiter,
                allow_empty,
            } => {
                let inner = input
                    .strip_prefix(prefix.as_str())
                    .and_then(|rest| rest.strip_suffix(suffix.as_str()));
                inner.is_some_and(|inner| {
                    (*allow_empty || !inner.is_empty())
                        && delimiter.is_none_or(|delimiter| !inner.contains(delimiter))
                })
            }
            Self::Regex(regex) => regex.is_match(input),
        }
    }
}

/// A regular expression that is compiled when it is asked for the first time: of the two for each
/// component most are never asked.
#[derive(Debug)]
struct LazyRegex {
    pattern: String,
    ignore_case: bool,
    compiled: OnceLock<Option<Regex>>,
}

impl LazyRegex {
    /// `None` if it becomes too great.
    fn compiled(&self) -> Option<&Regex> {
        let compile = || {
            RegexBuilder::new(&self.pattern)
                .case_insensitive(self.ignore_case)
                .size_limit(1 << 20)
                .build()
                .ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

impl RegExp for LazyRegex {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, flags: &str, _force_eval: bool) -> Result<Self, ()> {
        Ok(Self {
            pattern: pattern.to_owned(),
            ignore_case: flags.contains('i'),
            compiled: OnceLock::new(),
        })
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = self.compiled()?.captures(text)?;
        let groups = captures.iter().skip(1);
        Some(groups.map(|group| group.map(|it| it.as_str())).collect())
    }

    fn pattern_string(&self) -> &str {
        &self.pattern
    }
}

fn quirks_init(init: &UrlPatternInit) -> urlpattern::quirks::UrlPatternInit {
    let init = init.clone();
    urlpattern::quirks::UrlPatternInit {
        protocol: init.protocol,
        username: init.username,
        password: init.password,
        hostname: init.hostname,
        port: init.port,
        pathname: init.pathname,
        search: init.search,
        hash: init.hash,
        base_url: init.base_url,
    }
}

fn length(arguments: &UrlPatternArguments) -> usize {
    let input = match &arguments.input {
        UrlPatternInput::String(input) => input.len(),
        UrlPatternInput::Init(init) => [
            &init.protocol,
            &init.username,
            &init.password,
            &init.hostname,
            &init.port,
            &init.pathname,
            &init.search,
            &init.hash,
            &init.base_url,
        ]
        .into_iter()
        .flatten()
        .map(String::len)
        .sum(),
    };
    input + arguments.base_url.as_ref().map_or(0, String::len)
}
