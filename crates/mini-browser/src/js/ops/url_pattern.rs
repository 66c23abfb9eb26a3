//! URL patterns, for `URLPattern`: the standard's parser. The regular expressions that it makes are
//! the engine's to run, which stops them as it stops any script.

use regex::Regex;
use rquickjs::{Ctx, Result};
use serde_json::{Value, json};
use urlpattern::component::Component;
use urlpattern::quirks::{
    StringOrInit, UrlPatternInit, parse_match_input, process_construct_pattern_input,
    process_match_input,
};
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPattern, UrlPatternOptions};

use super::{OpError, Ops};
use crate::js::json::Json;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    // *Create* a URL pattern: for each component `{ pattern, regexp, names, hasRegExpGroups }`.
    ops.add(
        "op_url_pattern_create",
        |ctx: Ctx<'js>, input: Json, base: Option<String>, ignore_case: bool| {
            let created = create(&input.0, base.as_deref(), ignore_case);
            created.map(Json).map_err(|error| {
                let message = format!("URLPattern: {error}");
                OpError::type_error(message).throw(&ctx)
            })
        },
    )?;

    // *Match*, up to the components of the input; null if it is no URL.
    ops.add(
        "op_url_pattern_input",
        |ctx: Ctx<'js>, input: Json, base: Option<String>| {
            let processed = process_match_input(string_or_init(&input.0), base.as_deref());
            let processed = processed
                .map_err(|error| OpError::type_error(format!("URLPattern: {error}")).throw(&ctx))?;
            let input = processed.and_then(|(input, _)| parse_match_input(input));
            Result::Ok(Json(serde_json::to_value(input).unwrap_or(Value::Null)))
        },
    )
}

fn create(
    input: &Value,
    base: Option<&str>,
    ignore_case: bool,
) -> std::result::Result<Value, urlpattern::Error> {
    let init = process_construct_pattern_input(string_or_init(input), base)?;
    let options = UrlPatternOptions {
        regex_syntax: RegexSyntax::EcmaScript,
        ignore_case,
    };
    let pattern = UrlPattern::<EcmaScript>::parse(init, options)?;
    Ok(json!({
        "protocol": component(pattern.protocol),
        "username": component(pattern.username),
        "password": component(pattern.password),
        "hostname": component(pattern.hostname),
        "port": component(pattern.port),
        "pathname": component(pattern.pathname),
        "search": component(pattern.search),
        "hash": component(pattern.hash),
    }))
}

fn component(component: Component<EcmaScript>) -> Value {
    json!({
        "pattern": component.pattern_string,
        "regexp": component.regexp.map(|regexp| regexp.0).unwrap_or_default(),
        "names": component.group_name_list,
        "hasRegExpGroups": component.has_regexp_group,
    })
}

fn string_or_init(input: &Value) -> StringOrInit<'_> {
    if let Some(string) = input.as_str() {
        return StringOrInit::String(string.into());
    }
    let member = |name: &str| input[name].as_str().map(ToOwned::to_owned);
    StringOrInit::Init(UrlPatternInit {
        protocol: member("protocol"),
        username: member("username"),
        password: member("password"),
        hostname: member("hostname"),
        port: member("port"),
        pathname: member("pathname"),
        search: member("search"),
        hash: member("hash"),
        base_url: member("baseURL"),
    })
}

/// The source of a regular expression of the engine's.
struct EcmaScript(String);

impl RegExp for EcmaScript {
    fn syntax() -> RegexSyntax {
        RegexSyntax::EcmaScript
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> std::result::Result<Self, ()> {
        Ok(Self(pattern.to_owned()))
    }

    /// Only asked whether the protocol's pattern matches a special scheme, where the two syntaxes
    /// differ for nothing that a scheme's pattern has use for.
    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = Regex::new(&self.0).ok()?.captures(text)?;
        let groups = captures.iter().skip(1);
        Some(groups.map(|group| group.map(|it| it.as_str())).collect())
    }

    fn pattern_string(&self) -> &str {
        &self.0
    }
}
