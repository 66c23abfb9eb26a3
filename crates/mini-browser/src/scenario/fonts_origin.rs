//! The server of `https://fonts.example.com`: style sheets, fonts cut to measure, and a worker.
//!
//! | path | answer |
//! |---|---|
//! | `/font/css?family=…&u=…` | a style sheet with one face: the whole subset for a page |
//! | `/font/file?u=…` | that subset, as WOFF2 |
//! | `/font/segment?u=…` | for the worker: only these characters, as WOFF2; 204 if the font has none of them |
//! | `/font/whole` | all characters of the font, with the same tables and packing |
//! | `/sw.js` | the worker |
//!
//! `u` is a set of characters, percent-encoded. `Lacking-Characters` in the answer to a segment
//! names those that the font does not have, percent-encoded too. Every answer under `/font` may be
//! read by every origin, and names the worker that is to be installed.

mod made;
mod query;

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use self::made::{Made, MakeError, Workshop};
use self::query::Query;
use super::Fault;
use super::font::css::{Face, face_rules};
use super::font::{CharSet, Font};
use super::sites::with_family;
use crate::net::server::{ServerRequest, ServerResponse};

/// The host of the font service.
pub const HOST: &str = "fonts.example.com";

/// The origin of the font service.
pub const ORIGIN: &str = "https://fonts.example.com";

/// The scope that it installs its worker for.
pub const SCOPE: &str = "https://fonts.example.com/";

/// The URL of its worker's script.
pub const SCRIPT: &str = "https://fonts.example.com/sw.js";

/// The most characters that are cut out on request. (A URL that names more would not fit into what
/// servers accept.)
pub const MOST_CHARACTERS: usize = 4096;

/// What says which characters of a segment the font does not have.
const LACKING_CHARACTERS: HeaderName = HeaderName::from_static("lacking-characters");
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");
const SERVICE_WORKER_SCOPE: HeaderName = HeaderName::from_static("service-worker-scope");
const SERVICE_WORKER_SCRIPT: HeaderName = HeaderName::from_static("service-worker-script");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The font service.
#[derive(Clone, Debug)]
pub struct FontsOrigin {
    family: Arc<str>,
    workshop: Arc<Workshop>,
    script: Arc<Script>,
}

impl FontsOrigin {
    /// A service of one font, in order or with one thing wrong.
    #[must_use]
    pub fn new(font: Font, fault: Option<Fault>) -> Self {
        let family = font.family();
        Self {
            script: Arc::new(Script::new(&family, fault)),
            family: family.into(),
            workshop: Arc::new(Workshop::new(font)),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: ServerRequest) -> ServerResponse {
        let path = request.path().to_owned();
        let query = Query::of(&request);
        let method = request.method;
        // The body, which nobody reads, is let go of before anything is waited for.
        drop(request.body);
        let answer = if method == Method::GET {
            match path.as_str() {
                "/sw.js" => Ok(self.script.answer()),
                "/font/css" => self.style_sheet(&query).await,
                "/font/file" => self.file(&query).await,
                "/font/segment" => self.segment(&query).await,
                "/font/whole" => self.whole().await,
                _ => Err(Refusal::NotFound),
            }
        } else {
            Err(Refusal::Method)
        };
        let answer = answer.unwrap_or_else(Refusal::answer);
        if path.starts_with("/font") {
            install_headers(answer)
        } else {
            answer
        }
    }

    async fn style_sheet(&self, query: &Query) -> Answer {
        query.family(&self.family)?;
        let asked = query.characters()?;
        let characters = match self.workshop.make(asked).await {
            Ok(made) => made.characters().clone(),
            Err(MakeError::NoneOfThem { .. }) => CharSet::new(),
            Err(error) => return Err(error.into()),
        };
        let url = format!("{ORIGIN}/font/file?u={}", characters.to_query());
        let css = face_rules(&self.family, &[Face::new(url, &characters)]);
        Ok(ServerResponse::ok("text/css; charset=utf-8", css)
            .with(CACHE_CONTROL, "public, max-age=86400"))
    }

    async fn file(&self, query: &Query) -> Answer {
        let made = self.workshop.make(query.characters()?).await?;
        Ok(font(&made))
    }

    async fn segment(&self, query: &Query) -> Answer {
        let asked = query.characters()?;
        match self.workshop.make(asked.clone()).await {
            Ok(made) => Ok(lacking(font(&made), made.lacking())),
            Err(MakeError::NoneOfThem { .. }) => {
                let none = ServerResponse::status(StatusCode::NO_CONTENT);
                Ok(lacking(none.with(CACHE_CONTROL, FOR_EVER), &asked))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn whole(&self) -> Answer {
        Ok(font(&self.workshop.whole().await?))
    }
}

type Answer = Result<ServerResponse, Refusal>;

/// A set of characters names its font for ever: another version would have another path.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

fn font(made: &Made) -> ServerResponse {
    ServerResponse::ok("font/woff2", made.woff2().clone())
        .with(CACHE_CONTROL, FOR_EVER)
        .without_gzip()
}

fn lacking(mut answer: ServerResponse, lacking: &CharSet) -> ServerResponse {
    if !lacking.is_empty() {
        // `decodeURIComponent` reads no plus sign as a space.
        let encoded = lacking.to_query().replace('+', "%20");
        if let Ok(value) = HeaderValue::try_from(encoded) {
            answer.headers.insert(LACKING_CHARACTERS, value);
        }
    }
    answer
}

fn install_headers(answer: ServerResponse) -> ServerResponse {
    answer
        .with(SERVICE_WORKER_SCRIPT, "/sw.js")
        .with(SERVICE_WORKER_SCOPE, "/")
        .with(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .with(CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin")
        .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
}

/// The worker's script, as it is served.
#[derive(Debug)]
struct Script {
    source: String,
    content_type: &'static str,
    allowed: Option<&'static str>,
}

impl Script {
    fn new(family: &str, fault: Option<Fault>) -> Self {
        let in_order = Self {
            source: with_family(include_str!("assets/fonts_worker.js"), family),
            content_type: "text/javascript; charset=utf-8",
            allowed: None,
        };
        match fault {
            Some(Fault::ScriptSyntax) => Self {
                source: "addEventListener('install', (event) => {\n  event.waitUntil(;\n});\n"
                    .into(),
                ..in_order
            },
            Some(Fault::ScriptMime) => Self {
                content_type: "text/plain",
                ..in_order
            },
            Some(Fault::ScriptScope) => Self {
                allowed: Some("/font/"),
                ..in_order
            },
            Some(Fault::ScriptLoop) => Self {
                source: "addEventListener('install', () => {\n  for (;;) {}\n});\n".into(),
                ..in_order
            },
            Some(Fault::FontsDown) | None => in_order,
        }
    }

    fn answer(&self) -> ServerResponse {
        let answer = ServerResponse::ok(self.content_type, self.source.clone())
            .with(CACHE_CONTROL, "no-cache")
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self.allowed {
            Some(allowed) => answer.with(SERVICE_WORKER_ALLOWED, allowed),
            None => answer,
        }
    }
}

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("only GET is answered")]
    Method,
    #[error("there is nothing here: ask /font/css?family=…&u=…")]
    NotFound,
    #[error(transparent)]
    Query(#[from] query::BadQuery),
    #[error(transparent)]
    Make(#[from] MakeError),
}

impl Refusal {
    fn answer(self) -> ServerResponse {
        let status = match &self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound | Self::Make(MakeError::NoneOfThem { .. }) => StatusCode::NOT_FOUND,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Make(error) => {
                tracing::error!(%error, "no font was made");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let answer = ServerResponse::new(status, format!("{self}\n"))
            .with(CONTENT_TYPE, "text/plain; charset=utf-8")
            .with(CACHE_CONTROL, "no-store");
        match self {
            Self::Method => answer.with(ALLOW, "GET"),
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests;
