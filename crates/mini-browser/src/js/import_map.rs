//! Import maps: what module specifiers lead to, and what the modules must be. (*HTML*, "import maps".)

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use url::Url;

use super::ops::OpError;

/// A module specifier map: `None` for a specifier that leads nowhere.
type Imports = BTreeMap<String, Option<Url>>;

/// The import map of a window, and its *resolved module set*.
#[derive(Debug, Default)]
pub(super) struct ImportMaps {
    map: RefCell<ImportMap>,
    resolved: RefCell<BTreeSet<Resolved>>,
}

/// An import map.
#[derive(Debug, Default, PartialEq)]
struct ImportMap {
    imports: Imports,
    scopes: BTreeMap<String, Imports>,
    integrity: BTreeMap<String, String>,
}

/// A *specifier resolution record*.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Resolved {
    base: String,
    specifier: String,
    /// Whether it was not a URL, or a URL whose scheme is special: prefixes count only for these.
    takes_prefixes: bool,
}

impl ImportMaps {
    /// *Parse an import map string* and *register an import map*. Gives what should be said of what
    /// was left out.
    ///
    /// # Errors
    /// A `SyntaxError` for what is no JSON, a `TypeError` for what is no import map.
    pub(super) fn register(&self, text: &str, base: &Url) -> Result<Vec<String>, OpError> {
        let mut warnings = Vec::new();
        let new = ImportMap::parse(text, base, &mut warnings)?;
        self.map
            .borrow_mut()
            .merge(new, &self.resolved.borrow(), &mut warnings);
        Ok(warnings)
    }

    /// *Resolve a module specifier.*
    pub(super) fn resolve(&self, base: Option<&Url>, specifier: &str) -> Option<Url> {
        // Steps 4 to 7.
        let serialized_base = base.map(Url::as_str).unwrap_or_default();
        let as_url = resolve_url_like(specifier, base);
        let takes_prefixes = as_url.as_ref().is_none_or(is_special);
        let normalized = as_url.as_ref().map_or(specifier, Url::as_str);
        let map = self.map.borrow();
        // Step 8: the most specific scopes first. Steps 9 and 10.
        let scopes = map.scopes.iter().rev();
        let scopes = scopes.filter(|(prefix, _)| is_in_scope(serialized_base, prefix));
        let mut tables = scopes.map(|(_, imports)| imports).chain([&map.imports]);
        let matched = tables.find_map(|imports| imports_match(normalized, takes_prefixes, imports));
        let result = match matched {
            Some(matched) => matched,
            None => as_url.clone(),
        }?;
        // *Add module to resolved module set.*
        let record = Resolved {
            base: serialized_base.to_owned(),
            specifier: normalized.to_owned(),
            takes_prefixes,
        };
        self.resolved.borrow_mut().insert(record);
        Some(result)
    }

    /// *Resolve a module integrity metadata*; the empty string for none.
    pub(super) fn integrity(&self, url: &Url) -> String {
        let map = self.map.borrow();
        map.integrity.get(url.as_str()).cloned().unwrap_or_default()
    }
}

impl ImportMap {
    /// *Parse an import map string.*
    fn parse(text: &str, base: &Url, warnings: &mut Vec<String>) -> Result<Self, OpError> {
        let parsed: Value = serde_json::from_str(text)
            .map_err(|error| OpError::new("SyntaxError", format!("import map: {error}")))?;
        let Value::Object(parsed) = parsed else {
            return Err(OpError::type_error("an import map is an object"));
        };
        let member = |name: &str| match parsed.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => {
                let message = format!("the {name} of an import map are an object");
                Err(OpError::type_error(message))
            }
        };
        let (imports, scopes, integrity) =
            (member("imports")?, member("scopes")?, member("integrity")?);
        let mut map = Self::default();
        if let Some(imports) = imports {
            map.imports = normalize_imports(imports, base, warnings);
        }
        for (prefix, imports) in scopes.into_iter().flatten() {
            let Value::Object(imports) = imports else {
                let message = format!("the scope {prefix:?} of an import map is an object");
                return Err(OpError::type_error(message));
            };
            match base.join(prefix) {
                Ok(prefix) => {
                    let imports = normalize_imports(imports, base, warnings);
                    map.scopes.insert(prefix.into(), imports);
                }
                Err(_) => warnings.push(format!("the scope {prefix:?} is no URL")),
            }
        }
        // *Normalize a module integrity map.*
        for (key, value) in integrity.into_iter().flatten() {
            match (resolve_url_like(key, Some(base)), value) {
                (Some(url), Value::String(metadata)) => {
                    map.integrity.insert(url.into(), metadata.clone());
                }
                _ => warnings.push(format!("the integrity of {key:?} is of no use")),
            }
        }
        let known = ["imports", "scopes", "integrity"];
        let unknown = parsed.keys().filter(|key| !known.contains(&key.as_str()));
        warnings.extend(unknown.map(|key| format!("an import map has no {key:?}")));
        Ok(map)
    }

    /// *Merge existing and new import maps*: what was resolved already, or said before, stays.
    fn merge(&mut self, new: Self, resolved: &BTreeSet<Resolved>, warnings: &mut Vec<String>) {
        for (prefix, imports) in new.scopes {
            let in_scope: Vec<_> = resolved
                .iter()
                .filter(|record| is_in_scope(&record.base, &prefix))
                .collect();
            let there = self.scopes.entry(prefix).or_default();
            merge_imports(there, imports, &in_scope, warnings);
        }
        for (url, metadata) in new.integrity {
            self.integrity.entry(url).or_insert(metadata);
        }
        let all: Vec<_> = resolved.iter().collect();
        merge_imports(&mut self.imports, new.imports, &all, warnings);
    }
}

/// *Merge module specifier maps*, without what would have led something elsewhere that is resolved.
fn merge_imports(
    there: &mut Imports,
    new: Imports,
    resolved: &[&Resolved],
    warnings: &mut Vec<String>,
) {
    for (key, address) in new {
        let would_change = resolved.iter().any(|record| {
            key == record.specifier
                || (key.ends_with('/')
                    && record.specifier.starts_with(&key)
                    && record.takes_prefixes)
        });
        if would_change || there.contains_key(&key) {
            warnings.push(format!("{key:?} is resolved already"));
        } else {
            there.insert(key, address);
        }
    }
}

/// *Sort and normalize a module specifier map.*
fn normalize_imports(
    imports: &Map<String, Value>,
    base: &Url,
    warnings: &mut Vec<String>,
) -> Imports {
    let mut normalized = Imports::new();
    for (key, value) in imports {
        // *Normalize a specifier key.*
        if key.is_empty() {
            warnings.push("a specifier is not empty".to_owned());
            continue;
        }
        let address = value
            .as_str()
            .and_then(|value| resolve_url_like(value, Some(base)))
            .filter(|address| !key.ends_with('/') || address.as_str().ends_with('/'));
        if address.is_none() {
            warnings.push(format!("{value} is no address for {key:?}"));
        }
        let key = resolve_url_like(key, Some(base)).map_or_else(|| key.clone(), String::from);
        normalized.insert(key, address);
    }
    normalized
}

/// *Resolve an imports match*: `Some(None)` where the standard throws.
fn imports_match(normalized: &str, takes_prefixes: bool, imports: &Imports) -> Option<Option<Url>> {
    imports.iter().rev().find_map(|(key, address)| {
        if key == normalized {
            return Some(address.clone());
        }
        let rest = normalized.strip_prefix(key.as_str())?;
        if !key.ends_with('/') || !takes_prefixes {
            return None;
        }
        let url = address.as_ref().and_then(|address| {
            let url = address.join(rest).ok()?;
            // No backtracking above the address.
            url.as_str().starts_with(address.as_str()).then_some(url)
        });
        Some(url)
    })
}

/// *Resolve a URL-like module specifier.*
fn resolve_url_like(specifier: &str, base: Option<&Url>) -> Option<Url> {
    let is_relative = ["/", "./", "../"]
        .iter()
        .any(|start| specifier.starts_with(start));
    if is_relative {
        return base?.join(specifier).ok();
    }
    Url::parse(specifier).ok()
}

fn is_in_scope(base: &str, prefix: &str) -> bool {
    base == prefix || (prefix.ends_with('/') && base.starts_with(prefix))
}

fn is_special(url: &Url) -> bool {
    matches!(
        url.scheme(),
        "http" | "https" | "ws" | "wss" | "ftp" | "file"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(texts: &[&str]) -> ImportMaps {
        let maps = ImportMaps::default();
        for text in texts {
            maps.register(text, &base()).expect("an import map");
        }
        maps
    }

    fn base() -> Url {
        Url::parse("https://a.test/app/page").expect("a URL")
    }

    fn to(maps: &ImportMaps, from: &str, specifier: &str) -> String {
        let from = Url::parse(from).expect("a URL");
        let url = maps.resolve(Some(&from), specifier);
        url.map_or_else(|| "nowhere".to_owned(), String::from)
    }

    #[test]
    fn a_specifier_leads_where_the_most_specific_rule_says() {
        let maps = maps(&[r#"{
            "imports": { "bare": "./bare.js", "pkg/": "/pkg/", "pkg/x/": "/other/", "none": null,
                         "./own.js": "./mapped.js", "https://b.test/": "/vendored/", "data:text/": "/never/" },
            "scopes": { "./deep/": { "bare": "./deep/bare.js" }, "./deep/er/": { "bare": "https://c.test/b.js" } }
        }"#]);
        let page = "https://a.test/app/page";
        for (specifier, target) in [
            ("bare", "https://a.test/app/bare.js"),
            ("pkg/a.js", "https://a.test/pkg/a.js"),
            ("pkg/x/a.js", "https://a.test/other/a.js"),
            ("pkg/../../up", "nowhere"),
            ("none", "nowhere"),
            ("unknown", "nowhere"),
            ("./own.js", "https://a.test/app/mapped.js"),
            ("https://b.test/m.js", "https://a.test/vendored/m.js"),
            ("data:text/javascript,1", "data:text/javascript,1"),
            ("/plain.js", "https://a.test/plain.js"),
        ] {
            assert_eq!(to(&maps, page, specifier), target, "{specifier}");
        }
        let deep = "https://a.test/app/deep/m.js";
        assert_eq!(to(&maps, deep, "bare"), "https://a.test/app/deep/bare.js");
        let deeper = "https://a.test/app/deep/er/m.js";
        assert_eq!(to(&maps, deeper, "bare"), "https://c.test/b.js");
    }

    #[test]
    fn a_later_map_changes_nothing_that_is_resolved_or_said() {
        let maps = maps(&[r#"{ "imports": { "a": "/a1.js" } }"#]);
        let page = "https://a.test/app/page";
        assert_eq!(to(&maps, page, "./m.js"), "https://a.test/app/m.js");
        assert_eq!(to(&maps, page, "b"), "nowhere");
        let later = r#"{ "imports": { "a": "/a2.js", "b": "/b.js", "./m.js": "/never.js" }, "integrity": { "/b.js": "sha256-x" } }"#;
        let warnings = maps.register(later, &base()).expect("an import map");
        assert_eq!(warnings.len(), 2);
        assert_eq!(to(&maps, page, "a"), "https://a.test/a1.js");
        assert_eq!(to(&maps, page, "b"), "https://a.test/b.js");
        assert_eq!(to(&maps, page, "./m.js"), "https://a.test/app/m.js");
        let url = Url::parse("https://a.test/b.js").expect("a URL");
        assert_eq!(maps.integrity(&url), "sha256-x");
        assert_eq!(maps.integrity(&base()), "");
    }

    #[test]
    fn what_is_no_import_map_is_refused() {
        let refused = |text: &str| {
            let registered = ImportMaps::default().register(text, &base());
            registered.err().map(|error| error.name)
        };
        assert_eq!(refused("{").as_deref(), Some("SyntaxError"));
        for text in [
            "[]",
            r#"{"imports":1}"#,
            r#"{"scopes":{"/":1}}"#,
            r#"{"integrity":[]}"#,
        ] {
            assert_eq!(refused(text).as_deref(), Some("TypeError"), "{text}");
        }
        assert_eq!(
            refused(r#"{"imports":{"":"/x","a":1,"b/":"/c"},"other":1}"#),
            None
        );
    }
}
