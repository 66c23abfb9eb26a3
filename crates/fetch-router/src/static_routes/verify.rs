//! *Verify Router Condition*: what `addRoutes()` refuses with a `TypeError`.

use http::Method;
use sw_types::fetch::{Destination, RequestMode};
use sw_types::{EventType, EventTypes, ScriptUrl};

use super::limits::{MAX_CONDITIONS, MAX_DEPTH, count_inner_conditions};
use super::rules::{Condition, Matches, Pattern, Rule};
use super::url_pattern::{UrlPattern, UrlPatternError, create_arguments};
use super::{RouterCondition, RouterRule, RouterSource, RouterSourceEnum};

/// Why `addRoutes()` refuses its rules: a `TypeError` for the script, and none of them counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouterRuleError {
    /// A condition says nothing.
    #[error("a condition is empty")]
    EmptyCondition,
    /// `or` or `not` stands beside another member.
    #[error("a condition has {0:?} and another member beside it")]
    NotAlone(&'static str),
    /// `urlPattern` is refused.
    #[error("urlPattern: {0}")]
    UrlPattern(#[from] UrlPatternError),
    /// `requestMethod` is no method.
    #[error("requestMethod {0:?} is not a method")]
    InvalidMethod(String),
    /// `requestMethod` is one that no script may use.
    #[error("requestMethod {0:?} is forbidden")]
    ForbiddenMethod(String),
    /// `requestMode` is one that scripts cannot name.
    #[error("requestMode {0} is no value of RequestMode")]
    Mode(RequestMode),
    /// `requestDestination` is one that scripts cannot name.
    #[error("requestDestination {0} is no value of RequestDestination")]
    Destination(Destination),
    /// A source that asks the worker, which listens to no `fetch`.
    #[error(
        "the source {0} needs a fetch listener, which the worker had not when it was first run"
    )]
    NoFetchListener(RouterSourceEnum),
    /// The conditions lie too deep within one another.
    #[error("the conditions are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// There are too many conditions.
    #[error("there are more than {MAX_CONDITIONS} conditions")]
    TooMany,
}

/// The steps of `addRoutes()` that may refuse a rule: *Verify Router Condition*, the source, and of
/// *Check Router Registration Limit* what can be seen of these rules alone.
pub(super) fn verify_rules(
    rules: Vec<RouterRule>,
    script_url: &ScriptUrl,
    event_types: EventTypes,
) -> Result<Vec<Rule>, RouterRuleError> {
    let mut all = 0u32;
    let mut verified = Vec::with_capacity(rules.len());
    for RouterRule { condition, source } in rules {
        // The limits come first, so that nothing recurses deeper than they allow.
        let conditions = count_inner_conditions(&condition).ok_or(RouterRuleError::TooDeep)?;
        all = all.saturating_add(conditions);
        if all > MAX_CONDITIONS {
            return Err(RouterRuleError::TooMany);
        }
        let condition = verify_condition(condition, script_url)?;
        let runs_handler = matches!(
            source,
            RouterSource::FetchEvent | RouterSource::RaceNetworkAndFetchHandler
        );
        if runs_handler && !event_types.contains(EventType::Fetch) {
            return Err(RouterRuleError::NoFetchListener(source.kind()));
        }
        verified.push(Rule {
            conditions,
            condition,
            source,
        });
    }
    Ok(verified)
}

/// *Verify Router Condition*.
fn verify_condition(
    condition: RouterCondition,
    script_url: &ScriptUrl,
) -> Result<Condition, RouterRuleError> {
    let RouterCondition {
        url_pattern,
        request_method,
        request_mode,
        request_destination,
        running_status,
        or,
        not,
    } = condition;
    // Steps 2 to 6.
    let url_pattern = url_pattern.map(|pattern| {
        let arguments = create_arguments(pattern, script_url);
        let compiled = UrlPattern::create(&arguments)?;
        Ok::<_, UrlPatternError>(Pattern {
            arguments,
            compiled,
        })
    });
    let matches = Matches {
        url_pattern: url_pattern.transpose()?,
        method: request_method.as_deref().map(verify_method).transpose()?,
        mode: request_mode.map(verify_mode).transpose()?,
        destination: request_destination.map(verify_destination).transpose()?,
        running_status,
    };
    let has_condition = !matches.is_empty();
    match (or, not) {
        // Step 7: `or` stands alone.
        (Some(_), _) if has_condition => Err(RouterRuleError::NotAlone("or")),
        (Some(_), Some(_)) => Err(RouterRuleError::NotAlone("not")),
        (Some(or), None) => {
            let or = or.into_iter().map(|it| verify_condition(it, script_url));
            Ok(Condition::Or(or.collect::<Result<_, _>>()?))
        }
        // Step 8: so does `not`.
        (None, Some(_)) if has_condition => Err(RouterRuleError::NotAlone("not")),
        (None, Some(not)) => {
            let not = verify_condition(*not, script_url)?;
            Ok(Condition::Not(Box::new(not)))
        }
        // Step 9.
        (None, None) if !has_condition => Err(RouterRuleError::EmptyCondition),
        (None, None) => Ok(Condition::All(Box::new(matches))),
    }
}

/// Step 3, and the normalization that *Match Router Condition* asks for.
pub(super) fn verify_method(method: &[u8]) -> Result<Method, RouterRuleError> {
    let shown = || String::from_utf8_lossy(method).into_owned();
    let parsed = Method::from_bytes(method).map_err(|_| RouterRuleError::InvalidMethod(shown()))?;
    let is = |name: &&str| parsed.as_str().eq_ignore_ascii_case(name);
    // *Forbidden method*.
    if ["CONNECT", "TRACE", "TRACK"].iter().any(is) {
        return Err(RouterRuleError::ForbiddenMethod(shown()));
    }
    // *Normalize* a method.
    let normalized = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    match normalized.iter().find(|name| is(name)) {
        Some(name) => {
            Method::from_bytes(name.as_bytes()).map_err(|_| RouterRuleError::InvalidMethod(shown()))
        }
        None => Ok(parsed),
    }
}

/// `RequestMode` has no `websocket`.
pub(super) fn verify_mode(mode: RequestMode) -> Result<RequestMode, RouterRuleError> {
    match mode {
        RequestMode::WebSocket => Err(RouterRuleError::Mode(mode)),
        RequestMode::NoCors
        | RequestMode::Cors
        | RequestMode::SameOrigin
        | RequestMode::Navigate => Ok(mode),
    }
}

/// `RequestDestination` has neither `serviceworker` nor `webidentity`.
pub(super) fn verify_destination(destination: Destination) -> Result<Destination, RouterRuleError> {
    match destination {
        Destination::ServiceWorker | Destination::WebIdentity => {
            Err(RouterRuleError::Destination(destination))
        }
        destination => Ok(destination),
    }
}
