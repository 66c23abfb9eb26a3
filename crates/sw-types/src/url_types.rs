//! URLs that cannot be wrong: a scope, a script.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::Origin;

/// Why a scope or script URL is refused; a `TypeError` for the script that gave it.
/// (*Service Workers*, `register`, steps 3 to 8.)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It does not parse against its base.
    #[error("{0:?} is not a valid URL")]
    Unparsable(String),
    /// Its scheme is neither `http` nor `https`.
    #[error("{0} has a scheme other than http and https")]
    Scheme(Url),
    /// A path segment holds an escaped `/` or `\`.
    #[error("{0} has an escaped slash or backslash in its path")]
    EscapedSlash(Url),
}

/// A scope: an http(s) URL without fragment and without escaped slashes in its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct ScopeUrl(Url);

/// A service worker's script: an http(s) URL without fragment and without escaped slashes in its
/// path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Url", into = "Url")]
pub struct ScriptUrl(Url);

impl ScopeUrl {
    /// The scope that a script has by default: `./` against its URL.
    #[must_use]
    pub fn default_for(script: &ScriptUrl) -> Self {
        let mut url = script.0.clone();
        url.set_query(None);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().push("");
        }
        Self(url)
    }

    /// Whether a URL is in this scope: a plain string prefix of the serialized URL.
    /// (*Match Service Worker Registration*: `/prefix` matches `/prefix-of/x`.)
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        url.as_str().starts_with(self.0.as_str())
    }
}

macro_rules! checked_url {
    ($name:ident) => {
        impl $name {
            /// Parses against `base`, drops the fragment, and checks.
            ///
            /// # Errors
            /// As [`UrlError`] says.
            pub fn parse(input: &str, base: Option<&Url>) -> Result<Self, UrlError> {
                Url::options()
                    .base_url(base)
                    .parse(input)
                    .map_err(|_| UrlError::Unparsable(input.to_owned()))?
                    .try_into()
            }

            /// The URL.
            #[must_use]
            pub const fn url(&self) -> &Url {
                &self.0
            }

            /// The serialized URL.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The URL's origin, never opaque.
            #[must_use]
            pub fn origin(&self) -> Origin {
                Origin::of(&self.0)
            }
        }

        impl TryFrom<Url> for $name {
            type Error = UrlError;

            fn try_from(mut url: Url) -> Result<Self, UrlError> {
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(UrlError::Scheme(url));
                }
                if has_escaped_slash(&url) {
                    return Err(UrlError::EscapedSlash(url));
                }
                url.set_fragment(None);
                Ok(Self(url))
            }
        }

        impl From<$name> for Url {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

checked_url!(ScopeUrl);
checked_url!(ScriptUrl);

/// "Any of the strings in url's path contains either ASCII case-insensitive `%2f` or `%5c`."
fn has_escaped_slash(url: &Url) -> bool {
    url.path()
        .as_bytes()
        .windows(3)
        .any(|window| window.eq_ignore_ascii_case(b"%2f") || window.eq_ignore_ascii_case(b"%5c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_scope_is_the_folder_of_the_script() {
        let scope = |script| ScopeUrl::default_for(&ScriptUrl::parse(script, None).unwrap());
        assert_eq!(
            scope("https://a.test/js/sw.js?v=1#x").as_str(),
            "https://a.test/js/"
        );
        assert_eq!(scope("https://a.test/").as_str(), "https://a.test/");
        assert_eq!(scope("https://a.test").as_str(), "https://a.test/");
    }

    #[test]
    fn a_scope_matches_as_a_plain_prefix_and_has_no_fragment() {
        let scope = ScopeUrl::parse(
            "/prefix#part",
            Some(&Url::parse("https://a.test/x/").unwrap()),
        )
        .unwrap();
        assert_eq!(scope.as_str(), "https://a.test/prefix");
        assert!(scope.matches(&Url::parse("https://a.test/prefix-of/x").unwrap()));
        assert!(!scope.matches(&Url::parse("https://a.test/").unwrap()));
    }

    #[test]
    fn bad_urls_are_refused_by_name() {
        assert!(matches!(
            ScopeUrl::parse("x", None),
            Err(UrlError::Unparsable(_))
        ));
        assert!(matches!(
            ScriptUrl::parse("data:,1", None),
            Err(UrlError::Scheme(_))
        ));
        for url in ["https://a.test/a%2Fb", "https://a.test/a/%5cb"] {
            assert!(
                matches!(ScriptUrl::parse(url, None), Err(UrlError::EscapedSlash(_))),
                "{url}"
            );
        }
        assert!(ScriptUrl::parse("https://a.test/x?q=%2f", None).is_ok());
    }

    #[test]
    fn a_stored_scope_is_checked_again_when_it_is_read() {
        let bad = Url::parse("ftp://a.test/").unwrap();
        assert!(ScopeUrl::try_from(bad).is_err());
    }
}
