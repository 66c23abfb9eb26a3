//! `Link: <…>; rel=serviceworker`: the later form of installation by header.
//!
//! It is what *Service Workers* had between 2015 and 2017 ("link type `serviceworker`"), with the
//! attributes that registrations have got since. Off unless the host asks.

mod parse;

use http::header::LINK;
use sw_types::{Origin, ScopeUrl, ScriptUrl, UpdateViaCache, WorkerType};

use self::parse::{Link, links};
use crate::install::{may_install, referrer};
use crate::{Ignored, InstallHeader, InstallRequest, Malformed, ResponseContext};

/// How many service workers one response may ask for by `Link`.
const LINK_LIMIT: usize = 4;

/// What the `Link` headers of a response ask to be installed, in order: for each link whose relation
/// is `serviceworker`, a request or why it is ignored. At most four count; a fifth is
/// [`Ignored::TooManyLinks`], and the rest is not looked at.
///
/// The rules are those of [`install_request`](crate::install_request), but:
/// - the link's target parses against the response's URL, its `scope` against the *script's*;
/// - `updateviacache` is `imports`, `all` or `none`; `workertype` is `classic` or `module`;
/// - a link with an `anchor` is about something else, and asks for nothing.
///
/// A response without such a link gives nothing at all.
pub fn link_install_requests(
    response: &ResponseContext<'_>,
) -> Vec<Result<InstallRequest, Ignored>> {
    if !response.headers.contains_key(LINK) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for value in response.headers.get_all(LINK) {
        for link in links(value.as_bytes()) {
            let request = match link {
                Ok(link) if !link.is_about_service_workers() => continue,
                Ok(_) if found.len() == LINK_LIMIT => Err(Ignored::TooManyLinks),
                Ok(link) => request(response, &link),
                Err(why) => Err(malformed(why)),
            };
            let ends = request == Err(Ignored::TooManyLinks);
            found.push(request);
            if ends {
                return found;
            }
        }
    }
    found
}

fn request(response: &ResponseContext<'_>, link: &Link) -> Result<InstallRequest, Ignored> {
    let controls_clients = may_install(response)?;
    let update_via_cache = link.keyword(
        "updateviacache",
        &[
            ("imports", UpdateViaCache::Imports),
            ("all", UpdateViaCache::All),
            ("none", UpdateViaCache::None),
        ],
    )?;
    let worker_type = link.keyword(
        "workertype",
        &[
            ("classic", WorkerType::Classic),
            ("module", WorkerType::Module),
        ],
    )?;
    let origin = Origin::of(response.url);
    let script = ScriptUrl::parse(link.target()?, Some(response.url))
        .map_err(|error| malformed(error.into()))?;
    let scope = match link.parameter("scope") {
        None => ScopeUrl::default_for(&script),
        Some(scope) => {
            ScopeUrl::parse(scope, Some(script.url())).map_err(|error| malformed(error.into()))?
        }
    };
    if script.origin() != origin || scope.origin() != origin {
        return Err(Ignored::CrossOrigin(InstallHeader::Link));
    }
    Ok(InstallRequest {
        script,
        scope,
        worker_type,
        update_via_cache,
        referrer: referrer(response.url),
        controls_clients,
    })
}

impl Link {
    /// Whether the *response* (no other resource that `anchor` names) has such a service worker.
    fn is_about_service_workers(&self) -> bool {
        let rel = self.parameter("rel").unwrap_or_default();
        let mut relations = rel.split_ascii_whitespace();
        relations.any(|relation| relation.eq_ignore_ascii_case("serviceworker"))
            && self.parameter("anchor").is_none()
    }

    /// The value of an enumerated parameter; without it, the first of them.
    fn keyword<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<T, Ignored> {
        let given = self.parameter(name);
        let mut known = words.iter();
        let found = known.find(|(word, _)| given.is_none_or(|it| it.eq_ignore_ascii_case(word)));
        let (_, value) = found.ok_or_else(|| malformed(Malformed::Keyword(name)))?;
        Ok(*value)
    }

    fn target(&self) -> Result<&str, Ignored> {
        match self.target.as_str() {
            "" => Err(malformed(Malformed::Empty)),
            target if target.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(target),
            _ => Err(malformed(Malformed::Byte)),
        }
    }
}

fn malformed(why: Malformed) -> Ignored {
    let header = InstallHeader::Link;
    Ignored::Malformed { header, why }
}
