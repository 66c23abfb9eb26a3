//! A worker's list of router rules, verified and compiled: *Get Router Source*.

use http::Method;
use sw_types::fetch::{Destination, RequestHead, RequestMode};
use sw_types::{EncodedRouterRule, EventTypes, ScriptUrl};

use super::url_pattern::UrlPattern;
use super::verify::verify_rules;
use super::{
    RouterRecordError, RouterRule, RouterRuleError, RouterSource, RunningStatus,
    UrlPatternArguments, record,
};

/// The router rules of a worker, in order: verified, and compiled once for all requests.
///
/// A host keeps what [`Self::encode`] gives with the worker, and makes the rules of it again when
/// that worker is the active one.
///
/// ```
/// use fetch_router::{
///     RouterCondition, RouterRule, RouterRules, RouterSource, UrlPatternCompatible,
/// };
/// use sw_types::fetch::RequestHead;
/// use sw_types::{EventTypes, Origin, ScriptUrl};
/// use url::Url;
///
/// let script = ScriptUrl::parse("https://example.com/sw.js", None)?;
/// let pictures = RouterRule {
///     condition: RouterCondition {
///         url_pattern: Some(UrlPatternCompatible::String("/pictures/*".into())),
///         ..RouterCondition::default()
///     },
///     source: RouterSource::Cache,
/// };
/// let rules = RouterRules::verify(vec![pictures], &script, EventTypes::NONE)?;
/// let stored = rules.encode();
///
/// let rules = RouterRules::decode(&stored)?;
/// let url = Url::parse("https://example.com/pictures/1")?;
/// let origin = Origin::of(&url);
/// let matched = rules.router_source(&RequestHead::get(url, origin), false);
/// assert_eq!(matched.map(|matched| matched.source), Some(&RouterSource::Cache));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct RouterRules(pub(super) Vec<Rule>);

impl RouterRules {
    /// The steps of `addRoutes()` that may refuse the rules of one call. `event_types` is the
    /// worker's *set of event types to handle*.
    ///
    /// # Errors
    /// A `TypeError` for the script: the first thing that is wrong with the rules.
    pub fn verify(
        rules: Vec<RouterRule>,
        script_url: &ScriptUrl,
        event_types: EventTypes,
    ) -> Result<Self, RouterRuleError> {
        Ok(Self(verify_rules(rules, script_url, event_types)?))
    }

    /// The rules as records, one for each.
    #[must_use]
    pub fn encode(&self) -> Vec<EncodedRouterRule> {
        self.0.iter().map(record::encode).collect()
    }

    /// The rules of a worker from their records, in order.
    ///
    /// # Errors
    /// If one of the records is not one that [`Self::encode`] gives.
    pub fn decode(records: &[EncodedRouterRule]) -> Result<Self, RouterRecordError> {
        let rules = records.iter().map(record::decode);
        Ok(Self(rules.collect::<Result<_, _>>()?))
    }

    /// *Get Router Source*: the first rule that matches. `running` says whether the worker runs.
    #[must_use]
    pub fn router_source(&self, request: &RequestHead, running: bool) -> Option<RouterMatch<'_>> {
        let mut rules = self.0.iter().enumerate();
        let (rule, matched) = rules.find(|(_, rule)| rule.condition.matches(request, running))?;
        Some(RouterMatch {
            rule,
            source: &matched.source,
        })
    }

    /// What a rule says; `None` if there is no such rule.
    #[must_use]
    pub fn source(&self, rule: usize) -> Option<&RouterSource> {
        self.0.get(rule).map(|rule| &rule.source)
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The rule that decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain answer")]
pub struct RouterMatch<'a> {
    /// Which rule, counted from 0 in the order in which they were added.
    pub rule: usize,
    /// What it says.
    pub source: &'a RouterSource,
}

/// A rule that was verified.
#[derive(Debug)]
pub(super) struct Rule {
    /// How many conditions it counts as.
    pub(super) conditions: u32,
    pub(super) condition: Condition,
    pub(super) source: RouterSource,
}

/// A condition that was verified: `or`, `not` and the others exclude one another.
#[derive(Debug)]
pub(super) enum Condition {
    Or(Vec<Self>),
    Not(Box<Self>),
    All(Box<Matches>),
}

impl Condition {
    /// *Match Router Condition*.
    fn matches(&self, request: &RequestHead, running: bool) -> bool {
        match self {
            // Step 1.
            Self::Or(conditions) => conditions.iter().any(|it| it.matches(request, running)),
            // Step 2.
            Self::Not(condition) => !condition.matches(request, running),
            // Step 3.
            Self::All(matches) => matches.matches(request, running),
        }
    }
}

/// What a request must be like, member by member.
#[derive(Debug, Default)]
pub(super) struct Matches {
    pub(super) url_pattern: Option<Pattern>,
    pub(super) method: Option<Method>,
    pub(super) mode: Option<RequestMode>,
    pub(super) destination: Option<Destination>,
    pub(super) running_status: Option<RunningStatus>,
}

/// A URL pattern, and what it was created with.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) arguments: UrlPatternArguments,
    pub(super) compiled: UrlPattern,
}

impl Matches {
    pub(super) const fn is_empty(&self) -> bool {
        let Self {
            url_pattern,
            method,
            mode,
            destination,
            running_status,
        } = self;
        url_pattern.is_none()
            && method.is_none()
            && mode.is_none()
            && destination.is_none()
            && running_status.is_none()
    }

    /// *Match Router Condition*, step 3; the cheap ones first, as the order shows nowhere.
    fn matches(&self, request: &RequestHead, running: bool) -> bool {
        self.method.as_ref().is_none_or(|it| *it == request.method)
            && self.mode.is_none_or(|mode| mode == request.mode)
            && (self.destination).is_none_or(|destination| destination == request.destination)
            && self.running_status.is_none_or(|status| match status {
                RunningStatus::Running => running,
                RunningStatus::NotRunning => !running,
            })
            && (self.url_pattern.as_ref())
                .is_none_or(|pattern| pattern.compiled.matches(request.url()))
    }
}
