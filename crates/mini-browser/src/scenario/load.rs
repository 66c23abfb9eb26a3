//! One site: its worker is registered on one navigation, and its font is measured on the next.

mod check;
mod cost;

use serde::Deserialize;
use url::Url;

pub use self::check::Unfit;
pub(super) use self::cost::{Cost, asked_by_pages, asked_by_workers};
use super::font::Font;
use super::sites::Site;
use super::{Answer, Answerer, Load, World, fonts_origin};
use crate::{Browser, FetchRecord, NavigateError, Page};

/// Why a load was not measured. Each is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The site's page has no document.
    #[error("{site}: its page was not loaded: {error}")]
    Navigate {
        /// Which site.
        site: &'static str,
        /// Why.
        error: Box<NavigateError>,
    },
    /// The site's own worker was not registered.
    #[error(
        "{site}: its own worker was not registered: {error}; correct its script, then run again"
    )]
    Visit {
        /// Which site.
        site: &'static str,
        /// What its script threw.
        error: String,
    },
    /// The page is not controlled by the site's own worker.
    #[error(
        "{site}: its page is controlled by {by}, not by its own worker; this is a defect of the browser"
    )]
    Controller {
        /// Which site.
        site: &'static str,
        /// By whom it is controlled.
        by: String,
    },
    /// The font service gave no answer.
    #[error(
        "{site}: its font was not loaded: {error}; check that the font service runs, then run again"
    )]
    Unanswered {
        /// Which site.
        site: &'static str,
        /// What was asked, and why nobody answered.
        error: String,
    },
    /// The page's script failed.
    #[error(
        "{site}: its font was not loaded: {error}; run again with --verbose to see each request"
    )]
    Script {
        /// Which site.
        site: &'static str,
        /// What it threw.
        error: String,
    },
    /// What the page got is not fit to draw its text.
    #[error("{site}: {error}; this is a defect of the font service or its worker")]
    Unfit {
        /// Which site.
        site: &'static str,
        /// What is wrong.
        error: Unfit,
    },
}

/// First navigation: registers the site's own worker, and ends when that is activated.
pub(super) async fn visit(browser: &Browser, site: &Site) -> Result<(), LoadError> {
    let page = navigate(browser, site).await?;
    let visited = page.run_script("visit()", "the first visit").await;
    page.close().await;
    match visited {
        Ok(_) => Ok(()),
        Err(error) => Err(LoadError::Visit {
            site: site.name,
            error: error.to_string(),
        }),
    }
}

/// Second navigation: the page loads its font. Gives who answered and what it cost, and where in
/// the font service's log it began.
pub(super) async fn measure(
    browser: &Browser,
    world: &World,
    font: &Font,
    site: &Site,
) -> Result<(Load, usize), LoadError> {
    let log_start = world.fonts_log().len();
    let page = navigate(browser, site).await?;
    let loaded = page.run_script("loadFont()", "the measured visit").await;
    let fetches = page.fetches();
    page.close().await;
    let loaded = loaded.map_err(|error| unanswered(site, &fetches, error.to_string()))?;
    let loaded: Loaded = serde_json::from_value(loaded).map_err(|error| LoadError::Script {
        site: site.name,
        error: format!("its script gave something else than was asked for: {error}"),
    })?;
    check_controller(site, loaded.controller.as_deref())?;
    let checked = check::check(&loaded, font).map_err(|error| LoadError::Unfit {
        site: site.name,
        error,
    })?;

    let log = world.fonts_log();
    let answered = |url: &str| answerer(&fetches, url).ok_or_else(|| no_record(site, url));
    let sheet = fetches
        .iter()
        .find(|fetch| is_style_sheet(&fetch.url))
        .ok_or_else(|| no_record(site, "/font/css"))?;
    let mut load = Load {
        site: site.name.to_owned(),
        origin: site.origin(),
        after_restart: false,
        controller: loaded.controller.unwrap_or_default(),
        wanted: checked.wanted.to_string(),
        lacking: checked.lacking.to_string(),
        css: Answer {
            url: sheet.url.to_string(),
            answered_by: answered(sheet.url.as_str())?,
            characters: checked.wanted.len(),
            bytes: loaded.css.len(),
        },
        files: Vec::new(),
        characters_fetched: 0,
        wire_bytes: 0,
        origin_requests: Vec::new(),
    };
    for file in checked.files {
        load.files.push(Answer {
            answered_by: answered(&file.url)?,
            url: file.url,
            characters: file.characters,
            bytes: file.bytes,
        });
    }
    // What a worker fetched belongs to this load if it was that worker which answered; else it is
    // being installed meanwhile, and what it fetches belongs to its installation.
    let mut requests = asked_by_pages(&log, log_start);
    if load.css.answered_by == Answerer::FallThroughWorker {
        requests.extend(asked_by_workers(&log, log_start));
        requests.sort_unstable();
    }
    let cost = Cost::of(&log, requests);
    load.characters_fetched = cost.characters_fetched;
    load.wire_bytes = cost.wire_bytes;
    load.origin_requests = cost.requests;
    Ok((load, log_start))
}

/// What `loadFont()` gives.
#[derive(Debug, Deserialize)]
struct Loaded {
    controller: Option<String>,
    characters: String,
    css: String,
    files: Vec<LoadedFile>,
}

#[derive(Debug, Deserialize)]
struct LoadedFile {
    url: String,
    /// In base64.
    font: String,
}

async fn navigate(browser: &Browser, site: &Site) -> Result<Page, LoadError> {
    let page = browser.navigate(&site.url()).await;
    page.map_err(|error| LoadError::Navigate {
        site: site.name,
        error: Box::new(error),
    })
}

fn check_controller(site: &Site, controller: Option<&str>) -> Result<(), LoadError> {
    if controller == Some(&format!("{}/sw.js", site.origin())) {
        return Ok(());
    }
    Err(LoadError::Controller {
        site: site.name,
        by: controller.unwrap_or("nobody").to_owned(),
    })
}

/// The page's script says that something failed; the record of its requests says what.
fn unanswered(site: &Site, fetches: &[FetchRecord], thrown: String) -> LoadError {
    let site = site.name;
    let failed = fetches
        .iter()
        .find_map(|fetch| Some((&fetch.url, fetch.error.as_deref()?)));
    match failed {
        // All characters of a page stand in the query: nobody wants to read that in an error.
        Some((url, error)) => LoadError::Unanswered {
            site,
            error: error.replace(url.as_str(), &without_query(url)),
        },
        None => LoadError::Script {
            site,
            error: thrown,
        },
    }
}

fn no_record(site: &Site, url: &str) -> LoadError {
    LoadError::Script {
        site: site.name,
        error: format!("the browser has no record of who answered {url}"),
    }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn is_style_sheet(url: &Url) -> bool {
    url.as_str().starts_with(fonts_origin::ORIGIN) && url.path() == "/font/css"
}

fn answerer(fetches: &[FetchRecord], url: &str) -> Option<Answerer> {
    let mut of_url = fetches.iter().filter(|fetch| fetch.url.as_str() == url);
    of_url.find_map(|fetch| fetch.answered_by.map(Answerer::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::sites::SITES;

    #[test]
    fn a_page_that_another_worker_controls_is_not_measured() {
        let [tea, ..] = SITES;
        assert!(check_controller(&tea, Some("https://example.com/sw.js")).is_ok());
        let error = check_controller(&tea, None).unwrap_err().to_string();
        assert!(
            error.contains("tea: its page is controlled by nobody"),
            "{error}"
        );
        assert!(check_controller(&tea, Some("https://example.org/sw.js")).is_err());
    }

    #[test]
    fn a_style_sheet_is_one_of_the_font_service() {
        let of = |url: &str| is_style_sheet(&url.parse().unwrap());
        assert!(of("https://fonts.example.com/font/css?u=a"));
        assert!(!of("https://fonts.example.com/font/file?u=a"));
        assert!(!of("https://example.com/font/css"));
    }
}
