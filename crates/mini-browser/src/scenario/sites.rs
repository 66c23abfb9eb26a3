//! The three sites: each has its own page, and its own worker that lets font requests pass.

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL};
use http::{Method, StatusCode};
use url::Url;

use crate::net::server::{ServerRequest, ServerResponse};

/// A site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// What it is about.
    pub name: &'static str,
    /// Its host; it is served over `https`.
    pub host: &'static str,
    /// Its page.
    pub page: &'static str,
    /// Its worker's script.
    pub worker: &'static str,
}

/// The sites, in the order in which they are visited.
pub const SITES: [Site; 3] = [
    Site {
        name: "tea",
        host: "example.com",
        page: include_str!("assets/tea.html"),
        worker: include_str!("assets/tea_worker.js"),
    },
    Site {
        name: "railway",
        host: "example.org",
        page: include_str!("assets/railway.html"),
        worker: include_str!("assets/railway_worker.js"),
    },
    Site {
        name: "stars",
        host: "example.net",
        page: include_str!("assets/stars.html"),
        worker: include_str!("assets/stars_worker.js"),
    },
];

impl Site {
    /// Its origin, as headers write it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The URL of its page.
    ///
    /// # Panics
    /// Never: the hosts of [`SITES`] are valid.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&format!("https://{}/", self.host)).expect("the hosts are written above")
    }
}

/// The server of all three sites.
#[derive(Clone, Debug)]
pub struct SiteServer {
    script: Arc<str>,
}

impl SiteServer {
    /// Sites whose pages ask for this family.
    #[must_use]
    pub fn new(family: &str) -> Self {
        Self {
            script: with_family(include_str!("assets/site.js"), family).into(),
        }
    }

    /// Answers one request.
    #[must_use]
    pub fn answer(&self, request: &ServerRequest) -> ServerResponse {
        let host = request.host.split(':').next().unwrap_or_default();
        let Some(site) = SITES.iter().find(|site| site.host == host) else {
            return plain(StatusCode::MISDIRECTED_REQUEST, "no such site is here");
        };
        if request.method != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered")
                .with(ALLOW, "GET");
        }
        match request.path() {
            "/" => ServerResponse::ok("text/html; charset=utf-8", site.page),
            "/site.js" => ServerResponse::ok("text/javascript", self.script.to_string()),
            "/sw.js" => {
                ServerResponse::ok("text/javascript", site.worker).with(CACHE_CONTROL, "no-cache")
            }
            _ => plain(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }
}

fn plain(status: StatusCode, line: &'static str) -> ServerResponse {
    ServerResponse::new(status, line).with(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")
}

/// A script with the name of the font where it names one. The scripts are written for the font that
/// is built in, so that they can be read and run as they are.
pub(super) fn with_family(script: &str, family: &str) -> String {
    const WRITTEN: &str = "const FAMILY = 'M PLUS 1';";
    let literal = serde_json::Value::from(family);
    script.replace(WRITTEN, &format!("const FAMILY = {literal};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(host: &str, path: &str) -> ServerResponse {
        SiteServer::new("Some \"Font\"").answer(&crate::scenario::asked::get(host, path))
    }

    async fn text(response: ServerResponse) -> String {
        let bytes = response.body.collect(1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn each_site_has_its_own_page_and_worker() {
        for site in SITES {
            assert_eq!(text(ask(site.host, "/")).await, site.page);
            assert_eq!(text(ask(site.host, "/sw.js")).await, site.worker);
            assert_eq!(site.url().origin().ascii_serialization(), site.origin());
        }
        assert_eq!(ask("example.com", "/else").status, StatusCode::NOT_FOUND);
        assert_eq!(
            ask("example.edu", "/").status,
            StatusCode::MISDIRECTED_REQUEST
        );
    }

    #[tokio::test]
    async fn the_scripts_ask_for_the_font_that_is_served() {
        let script = text(ask("example.com", "/site.js")).await;
        assert!(
            script.contains(r#"const FAMILY = "Some \"Font\"";"#),
            "{script}"
        );
        assert!(!script.contains("'M PLUS 1'"));
    }
}
