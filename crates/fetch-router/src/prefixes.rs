//! The arguments of `handleFallThroughRequests`. (SEMANTICS §4.2 row 26.)

use sw_types::{FallThroughRule, Origin, RequesterFilter, ScopeUrl, ScriptUrl};
use url::Url;

/// Why `handleFallThroughRequests` refuses its arguments: a `TypeError` for the script, and none of
/// the call's rules counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// A prefix does not parse against the script's URL.
    #[error("the prefix {0:?} is not a valid URL")]
    UnparsablePrefix(String),
    /// A prefix does not start with the registration's scope.
    #[error("the prefix {prefix} is outside the scope {scope}")]
    OutsideScope {
        /// The prefix, parsed and serialized.
        prefix: String,
        /// The registration's scope, serialized.
        scope: String,
    },
    /// An entry of `origins` is not a URL.
    #[error("the origin {0:?} is neither * nor a valid URL")]
    UnparsableOrigin(String),
    /// An entry of `origins` is a URL without an origin of its own, such as a `data:` URL.
    #[error("the origin {0:?} is opaque, and names nobody")]
    OpaqueOrigin(String),
}

/// The rules of one call `handleFallThroughRequests(prefixes, { origins })` by the worker of
/// `script_url`, in order. Prefixes parse against the script's URL and lose their fragment.
///
/// `origins` absent, or with a `*` in it, admits any requester; an empty list admits none.
///
/// # Errors
/// The first prefix or origin that is wrong.
pub fn parse_fall_through_prefixes(
    script_url: &ScriptUrl,
    scope: &ScopeUrl,
    prefixes: &[String],
    origins: Option<&[String]>,
) -> Result<Vec<FallThroughRule>, PrefixError> {
    let requesters = parse_requesters(origins)?;
    prefixes
        .iter()
        .map(|prefix| {
            Ok(FallThroughRule {
                prefix: parse_prefix(script_url, scope, prefix)?,
                requesters: requesters.clone(),
            })
        })
        .collect()
}

fn parse_prefix(script_url: &ScriptUrl, scope: &ScopeUrl, input: &str) -> Result<Url, PrefixError> {
    let mut prefix = script_url
        .url()
        .join(input)
        .map_err(|_| PrefixError::UnparsablePrefix(input.to_owned()))?;
    prefix.set_fragment(None);
    if !scope.matches(&prefix) {
        return Err(PrefixError::OutsideScope {
            prefix: prefix.into(),
            scope: scope.to_string(),
        });
    }
    Ok(prefix)
}

fn parse_requesters(origins: Option<&[String]>) -> Result<RequesterFilter, PrefixError> {
    let Some(origins) = origins else {
        return Ok(RequesterFilter::Any);
    };
    let mut any = false;
    let mut listed = Vec::new();
    for input in origins {
        if input == "*" {
            any = true;
            continue;
        }
        let url = Url::parse(input).map_err(|_| PrefixError::UnparsableOrigin(input.clone()))?;
        let origin = Origin::of(&url);
        if origin.is_opaque() {
            return Err(PrefixError::OpaqueOrigin(input.clone()));
        }
        if !listed.contains(&origin) {
            listed.push(origin);
        }
    }
    Ok(if any {
        RequesterFilter::Any
    } else {
        RequesterFilter::Origins(listed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        script: &str,
        scope: &str,
        prefixes: &[&str],
        origins: Option<&[&str]>,
    ) -> Result<Vec<FallThroughRule>, PrefixError> {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        parse_fall_through_prefixes(
            &ScriptUrl::parse(script, None).unwrap(),
            &ScopeUrl::parse(scope, None).unwrap(),
            &strings(prefixes),
            origins.map(strings).as_deref(),
        )
    }

    #[test]
    fn prefixes_parse_against_the_script_and_lie_in_the_scope() {
        let script = "https://fonts.example.com/js/sw.js";
        let prefixes = |scope, prefix| {
            parse(script, scope, &[prefix], None)
                .map(|rules| rules[0].prefix.as_str().to_owned())
                .ok()
        };
        let root = "https://fonts.example.com/";
        let table = [
            (root, "/font", Some("https://fonts.example.com/font")),
            (root, "font", Some("https://fonts.example.com/js/font")),
            (root, "", Some("https://fonts.example.com/js/sw.js")),
            (root, "/font#part", Some("https://fonts.example.com/font")),
            (root, "/font?x=", Some("https://fonts.example.com/font?x=")),
            (root, "https://other.example.com/font", None),
            (root, "//other.example.com/font", None),
            (root, "https://fonts.example.com:444/font", None),
            (root, "https://u@fonts.example.com/font", None),
            (root, "https://[", None),
            ("https://fonts.example.com/js/", "../font", None),
            (
                "https://fonts.example.com/fo",
                "/font",
                Some("https://fonts.example.com/font"),
            ),
        ];
        for (scope, prefix, expected) in table {
            assert_eq!(
                prefixes(scope, prefix).as_deref(),
                expected,
                "{scope} {prefix}"
            );
        }
    }

    #[test]
    fn origins_are_any_or_listed_or_a_type_error() {
        let parse = |origins| {
            parse("https://f.test/sw.js", "https://f.test/", &["/a"], origins)
                .map(|mut rules| rules.remove(0).requesters)
        };
        let acme = Origin::of(&Url::parse("https://acme.com").unwrap());
        assert_eq!(parse(None), Ok(RequesterFilter::Any));
        assert_eq!(
            parse(Some(&["https://acme.com", "*"])),
            Ok(RequesterFilter::Any)
        );
        assert_eq!(parse(Some(&[])), Ok(RequesterFilter::Origins(vec![])));
        assert_eq!(
            parse(Some(&["https://acme.com/path", "https://acme.com:443"])),
            Ok(RequesterFilter::Origins(vec![acme]))
        );
        assert_eq!(
            parse(Some(&["*", "acme.com"])),
            Err(PrefixError::UnparsableOrigin("acme.com".into()))
        );
        assert_eq!(
            parse(Some(&["data:,x"])),
            Err(PrefixError::OpaqueOrigin("data:,x".into()))
        );
        assert_eq!(
            parse(Some(&["null"])),
            Err(PrefixError::UnparsableOrigin("null".into()))
        );
    }

    #[test]
    fn one_bad_prefix_refuses_the_whole_call() {
        let result = parse(
            "https://f.test/x/sw.js",
            "https://f.test/x/",
            &["a", "/y"],
            None,
        );
        assert!(matches!(result, Err(PrefixError::OutsideScope { .. })));
    }
}
