//! Router rules as records. A record is a list: a nested one could be nested deeper than a stack.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sw_types::EncodedRouterRule;
use sw_types::fetch::{Destination, RequestMode};

use super::limits::{MAX_CONDITIONS, MAX_DEPTH};
use super::rules::{Condition, Matches, Pattern, Rule};
use super::url_pattern::UrlPattern;
use super::verify::{verify_destination, verify_method, verify_mode};
use super::{RouterRuleError, RouterSource, RunningStatus, UrlPatternArguments};

/// The version of the format.
const VERSION: u8 = 1;

/// Why a record is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouterRecordError {
    /// It is of a version that this build does not know.
    #[error("a router rule is of version {0}")]
    Version(u8),
    /// It is no record of a rule.
    #[error("a router rule is damaged")]
    Damaged,
    /// It is the record of a rule that would have been refused.
    #[error("a router rule is not valid: {0}")]
    Invalid(#[from] RouterRuleError),
}

/// What is written, after the version: the conditions of a rule, each before those within it.
#[derive(Serialize, Deserialize)]
struct Record {
    conditions: Vec<Entry>,
    source: RouterSource,
}

/// One condition.
#[derive(Serialize, Deserialize)]
enum Entry {
    /// One of the next so many.
    Or(u32),
    /// Not the next.
    Not,
    /// All of these.
    All(Box<Members>),
}

/// The members of a condition.
#[derive(Serialize, Deserialize)]
struct Members {
    url_pattern: Option<UrlPatternArguments>,
    method: Option<String>,
    mode: Option<RequestMode>,
    destination: Option<Destination>,
    running_status: Option<RunningStatus>,
}

pub(super) fn encode(rule: &Rule) -> EncodedRouterRule {
    let mut entries = Vec::new();
    flatten(&rule.condition, &mut entries);
    let record = Record {
        conditions: entries,
        source: rule.source.clone(),
    };
    let written = postcard::to_extend(&record, vec![VERSION]);
    EncodedRouterRule {
        conditions: rule.conditions,
        rule: Bytes::from(written.expect("strings, numbers and lists of them can be written")),
    }
}

pub(super) fn decode(encoded: &EncodedRouterRule) -> Result<Rule, RouterRecordError> {
    let (version, record) = encoded
        .rule
        .split_first()
        .ok_or(RouterRecordError::Damaged)?;
    if *version != VERSION {
        return Err(RouterRecordError::Version(*version));
    }
    let (record, trailing): (Record, _) =
        postcard::take_from_bytes(record).map_err(|_| RouterRecordError::Damaged)?;
    let conditions = u32::try_from(record.conditions.len()).unwrap_or(u32::MAX);
    if !trailing.is_empty() || conditions != encoded.conditions {
        return Err(RouterRecordError::Damaged);
    }
    if conditions > MAX_CONDITIONS {
        return Err(RouterRuleError::TooMany.into());
    }
    let mut entries = record.conditions.into_iter();
    let condition = unflatten(&mut entries, MAX_DEPTH)?;
    if entries.next().is_some() {
        return Err(RouterRecordError::Damaged);
    }
    Ok(Rule {
        conditions,
        condition,
        source: record.source,
    })
}

fn flatten(condition: &Condition, entries: &mut Vec<Entry>) {
    match condition {
        Condition::Or(conditions) => {
            let count = u32::try_from(conditions.len());
            entries.push(Entry::Or(count.expect("there are at most MAX_CONDITIONS")));
            for condition in conditions {
                flatten(condition, entries);
            }
        }
        Condition::Not(condition) => {
            entries.push(Entry::Not);
            flatten(condition, entries);
        }
        Condition::All(matches) => {
            let pattern = matches.url_pattern.as_ref();
            entries.push(Entry::All(Box::new(Members {
                url_pattern: pattern.map(|pattern| pattern.arguments.clone()),
                method: matches.method.as_ref().map(|it| it.as_str().to_owned()),
                mode: matches.mode,
                destination: matches.destination,
                running_status: matches.running_status,
            })));
        }
    }
}

fn unflatten(
    entries: &mut impl Iterator<Item = Entry>,
    depth: usize,
) -> Result<Condition, RouterRecordError> {
    let depth = depth.checked_sub(1).ok_or(RouterRuleError::TooDeep)?;
    match entries.next().ok_or(RouterRecordError::Damaged)? {
        Entry::Or(count) => {
            // Each takes one entry at least, so a count that lies ends early.
            let conditions = (0..count).map(|_| unflatten(entries, depth));
            Ok(Condition::Or(conditions.collect::<Result<_, _>>()?))
        }
        Entry::Not => Ok(Condition::Not(Box::new(unflatten(entries, depth)?))),
        Entry::All(members) => Ok(Condition::All(Box::new(matches(*members)?))),
    }
}

fn matches(members: Members) -> Result<Matches, RouterRuleError> {
    let url_pattern = members.url_pattern.map(|arguments| {
        let compiled = UrlPattern::create(&arguments)?;
        Ok::<_, RouterRuleError>(Pattern {
            arguments,
            compiled,
        })
    });
    let method = members
        .method
        .map(|method| verify_method(method.as_bytes()));
    let matches = Matches {
        url_pattern: url_pattern.transpose()?,
        method: method.transpose()?,
        mode: members.mode.map(verify_mode).transpose()?,
        destination: members.destination.map(verify_destination).transpose()?,
        running_status: members.running_status,
    };
    if matches.is_empty() {
        return Err(RouterRuleError::EmptyCondition);
    }
    Ok(matches)
}
