//! `addRoutes()`: the rules as the prelude has converted them.

use rquickjs::{Ctx, Promise, Result};
use serde_json::Value;
use service_worker::fetch_router::{
    RouterCondition, RouterRule, RouterSource, RouterSourceEnum, RunningStatus,
    UrlPatternArguments, UrlPatternCompatible, UrlPatternInit, UrlPatternInput,
};
use service_worker::types::fetch::{Destination, RequestMode};

use super::worker::{event_id, worker_id};
use super::{OpError, Ops, promise};
use crate::js::json::Json;

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    let realm = ops.realm();
    ops.add(
        "op_add_routes",
        move |ctx: Ctx<'js>, event: f64, rules: Json| -> Result<Promise<'js>> {
            let worker = worker_id(&ctx, &realm)?;
            let rules = rules.0.as_array().map(Vec::as_slice).unwrap_or_default();
            let rules: Option<_> = rules.iter().map(rule).collect();
            let rules = rules
                .ok_or_else(|| OpError::type_error("addRoutes: a rule is not valid").throw(&ctx))?;
            let added = realm.seam().add_routes(worker, event_id(event), rules);
            promise(&ctx, &realm, async move { Ok(added.await?) })
        },
    )
}

fn rule(rule: &Value) -> Option<RouterRule> {
    let source = match (&rule["cacheName"], rule["source"].as_str()) {
        (Value::String(name), _) => RouterSource::NamedCache(name.clone()),
        (_, source) => match RouterSourceEnum::from_keyword(source?)? {
            RouterSourceEnum::Cache => RouterSource::Cache,
            RouterSourceEnum::FetchEvent => RouterSource::FetchEvent,
            RouterSourceEnum::Network => RouterSource::Network,
            RouterSourceEnum::RaceNetworkAndFetchHandler => {
                RouterSource::RaceNetworkAndFetchHandler
            }
        },
    };
    Some(RouterRule {
        condition: condition(&rule["condition"])?,
        source,
    })
}

/// Recurses as deep as data from a script may nest.
fn condition(given: &Value) -> Option<RouterCondition> {
    let method = match member(given, "requestMethod", Value::as_str)? {
        Some(method) => {
            let bytes = method
                .chars()
                .map(|unit| u8::try_from(u32::from(unit)).ok());
            Some(bytes.collect::<Option<Vec<u8>>>()?)
        }
        None => None,
    };
    let or = match member(given, "or", Value::as_array)? {
        Some(or) => Some(or.iter().map(condition).collect::<Option<Vec<_>>>()?),
        None => None,
    };
    let not = match member(given, "not", Some)? {
        Some(not) => Some(Box::new(condition(not)?)),
        None => None,
    };
    Some(RouterCondition {
        url_pattern: member(given, "urlPattern", Some)?.map(url_pattern),
        request_method: method,
        request_mode: member(given, "requestMode", keyword(RequestMode::from_keyword))?,
        request_destination: member(
            given,
            "requestDestination",
            keyword(Destination::from_keyword),
        )?,
        running_status: member(given, "runningStatus", keyword(RunningStatus::from_keyword))?,
        or,
        not,
    })
}

/// A member that is there, converted; `None` if it is there and of no use.
fn member<'a, T>(
    given: &'a Value,
    name: &str,
    convert: impl Fn(&'a Value) -> Option<T>,
) -> Option<Option<T>> {
    match given.get(name) {
        None => Some(None),
        Some(value) => convert(value).map(Some),
    }
}

fn keyword<T>(parse: fn(&str) -> Option<T>) -> impl Fn(&Value) -> Option<T> {
    move |value| parse(value.as_str()?)
}

fn url_pattern(pattern: &Value) -> UrlPatternCompatible {
    if let Some(string) = pattern.as_str() {
        return UrlPatternCompatible::String(string.to_owned());
    }
    if pattern["isObject"].as_bool() != Some(true) {
        return UrlPatternCompatible::Init(init(pattern));
    }
    let input = &pattern["input"];
    UrlPatternCompatible::Pattern(UrlPatternArguments {
        input: match input.as_str() {
            Some(string) => UrlPatternInput::String(string.to_owned()),
            None => UrlPatternInput::Init(init(input)),
        },
        base_url: pattern["baseURL"].as_str().map(ToOwned::to_owned),
        ignore_case: pattern["ignoreCase"].as_bool() == Some(true),
    })
}

fn init(given: &Value) -> UrlPatternInit {
    let member = |name: &str| given[name].as_str().map(ToOwned::to_owned);
    UrlPatternInit {
        protocol: member("protocol"),
        username: member("username"),
        password: member("password"),
        hostname: member("hostname"),
        port: member("port"),
        pathname: member("pathname"),
        search: member("search"),
        hash: member("hash"),
        base_url: member("baseURL"),
    }
}
