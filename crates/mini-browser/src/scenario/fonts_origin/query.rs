//! What a request for a font asks for.

use std::collections::BTreeMap;

use super::super::font::{CharSet, QueryError};
use super::MOST_CHARACTERS;
use crate::net::server::ServerRequest;

/// Why a query asks for nothing that can be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    #[error("the parameter {0} is missing: ask /font/css?family=…&u=…")]
    Missing(&'static str),
    #[error(transparent)]
    Characters(#[from] QueryError),
    #[error(
        "the parameter u names {asked} characters: at most {MOST_CHARACTERS} are cut out; \
         /font/whole has them all"
    )]
    TooMany { asked: usize },
    #[error("the family {asked:?} is not served here: ask for {served:?}")]
    Family { asked: String, served: String },
}

/// A decoded query.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn of(request: &ServerRequest) -> Self {
        let query = request.query().unwrap_or_default().as_bytes();
        let mut named = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query) {
            // The first of several counts, as `URLSearchParams.get` has it.
            named.entry(name.into_owned()).or_insert(value.into_owned());
        }
        Self(named)
    }

    /// Checks that the family that is served was asked for.
    pub(super) fn family(&self, served: &str) -> Result<(), BadQuery> {
        let asked = self.0.get("family").ok_or(BadQuery::Missing("family"))?;
        if asked == served {
            return Ok(());
        }
        Err(BadQuery::Family {
            asked: asked.chars().take(64).collect(),
            served: served.to_owned(),
        })
    }

    /// The characters of `u`.
    pub(super) fn characters(&self) -> Result<CharSet, BadQuery> {
        let value = self.0.get("u").ok_or(BadQuery::Missing("u"))?;
        let characters = CharSet::from_query(value)?;
        if characters.len() > MOST_CHARACTERS {
            return Err(BadQuery::TooMany {
                asked: characters.len(),
            });
        }
        Ok(characters)
    }
}
