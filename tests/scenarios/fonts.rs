//! The fonts scenario: who answered each request, by the browser's record, and what it cost, by the
//! font service's own log.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use mini_browser::net::server::LogEntry;
use mini_browser::scenario::font::{CharSet, Font};
use mini_browser::scenario::sites::SITES;
use mini_browser::scenario::{
    Answerer, Fault, InstallError, Load, LoadError, Outcome, Profile, ScenarioError,
    ScenarioOptions, WorldError, run,
};
use service_worker::Policies;
use tempfile::TempDir;
use url::Url;

const WORKER: Answerer = Answerer::FallThroughWorker;

/// A font with just the characters of the three sites: whole, it is cut in no time.
fn small_font() -> Font {
    static FONT: OnceLock<Font> = OnceLock::new();
    let cut = || {
        let pages = SITES.iter().map(|site| set(site.page));
        let kana_and_ascii = CharSet::kana_and_ascii();
        let characters = pages.fold(kana_and_ascii, |all, page| all.union(&page));
        font_of(&characters)
    };
    FONT.get_or_init(cut).clone()
}

/// A font with these characters.
fn font_of(characters: &CharSet) -> Font {
    let subset = Font::bundled().unwrap().subset(characters).unwrap();
    Font::from_bytes(subset.ttf().clone(), "a test".to_owned()).unwrap()
}

fn options(profile: &Path) -> ScenarioOptions {
    ScenarioOptions {
        font: small_font(),
        policies: Policies::seeds(),
        profile: Profile::Folder(profile.to_owned()),
        listen: None,
        fault: None,
    }
}

async fn outcome(options: ScenarioOptions) -> Outcome {
    let mut table = Vec::new();
    match run(options, &mut table).await {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(&table)),
    }
}

async fn failure(options: ScenarioOptions) -> ScenarioError {
    let error = run(options, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

/// Who answered the style sheet, and who the fonts (each once).
fn answered(load: &Load) -> (Answerer, Vec<Answerer>) {
    let mut files: Vec<_> = load.files.iter().map(|file| file.answered_by).collect();
    files.dedup();
    (load.css.answered_by, files)
}

fn path(entry: &LogEntry) -> &str {
    entry.path_and_query.split('?').next().unwrap()
}

/// The characters that a request names.
fn named(entry: &LogEntry) -> CharSet {
    let url = Url::parse(&format!(
        "https://fonts.example.com{}",
        entry.path_and_query
    ))
    .unwrap();
    let (_, value) = url.query_pairs().find(|(name, _)| name == "u").unwrap();
    CharSet::from_query(&value).unwrap()
}

fn set(text: &str) -> CharSet {
    CharSet::from_text(text)
}

/// The requests before those that only measure the alternatives.
fn scenario_requests(outcome: &Outcome) -> &[LogEntry] {
    let alternatives = 3 * SITES.len();
    let log = &outcome.origin_log;
    let (scenario, compared) = log.split_at(log.len() - alternatives);
    assert_eq!(
        compared
            .iter()
            .filter(|entry| path(entry) == "/font/whole")
            .count(),
        SITES.len()
    );
    scenario
}

fn wire_bytes<'a>(entries: impl IntoIterator<Item = &'a LogEntry>) -> u64 {
    entries.into_iter().map(|entry| entry.wire_bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_site_brings_the_worker_and_it_answers_all_sites_from_then_on() {
    let profile = TempDir::new().unwrap();
    let outcome = outcome(ScenarioOptions {
        font: Font::bundled().unwrap(),
        ..options(profile.path())
    })
    .await;
    let [tea, railway, stars, tea_again, railway_again, stars_again] = outcome.loads.as_slice()
    else {
        panic!("{:?}", outcome.loads);
    };

    // Who answered, by the browser's own record.
    assert_eq!(answered(tea), (Answerer::Network, vec![Answerer::Network]));
    for load in [railway, stars, tea_again, railway_again, stars_again] {
        assert_eq!(answered(load), (WORKER, vec![WORKER]), "{load:?}");
    }
    for (load, site) in outcome.loads.iter().zip(SITES.iter().cycle()) {
        assert_eq!(load.controller, format!("https://{}/sw.js", site.host));
        assert_eq!(load.lacking, "");
    }

    // What was asked, by the log of the font service: each request, in order.
    let log = scenario_requests(&outcome);
    let paths: Vec<&str> = log.iter().map(path).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "/font/css",
            "/font/file",
            "/font/segment",
            "/font/segment",
            "/font/segment",
            "/font/segment",
            "/sw.js",
        ],
        "one sheet and one font for the first site; the worker's script once; kana and ASCII, and \
         a segment each for railway, stars, and tea after the restart"
    );
    assert!(
        log.iter()
            .all(|entry| entry.status == Some(200) && entry.complete)
    );
    let segments: Vec<CharSet> = log
        .iter()
        .filter(|entry| path(entry) == "/font/segment")
        .map(named)
        .collect();
    let [prefetched, for_railway, for_stars, for_tea] = segments.as_slice() else {
        panic!("{segments:?}");
    };
    assert_eq!(*for_railway, set(&railway.wanted).difference(prefetched));
    let known = prefetched.union(for_railway);
    assert_eq!(*for_stars, set(&stars.wanted).difference(&known));
    let known = known.union(for_stars);
    assert_eq!(*for_tea, set(&tea.wanted).difference(&known));
    assert!(prefetched.contains('あ') && prefetched.contains('ン') && prefetched.contains('A'));

    // What it cost, by the same log.
    for load in &outcome.loads {
        let requests = load.origin_requests.iter().map(|index| &log[*index]);
        assert_eq!(load.wire_bytes, wire_bytes(requests), "{load:?}");
    }
    assert_eq!(
        tea.wire_bytes,
        wire_bytes(
            log.iter()
                .filter(|entry| entry.headers.contains_key("origin"))
        )
    );
    assert_eq!(railway.characters_fetched, for_railway.len());
    assert_eq!((railway_again.wire_bytes, stars_again.wire_bytes), (0, 0));
    let [install] = outcome.installs.as_slice() else {
        panic!("{:?}", outcome.installs);
    };
    assert_eq!(install.caused_by, "tea");
    assert_eq!(install.characters_fetched, prefetched.len());
    let totals = &outcome.totals;
    assert_eq!(totals.this + totals.after_restart, wire_bytes(log));
    assert_eq!(
        totals.subset_for_the_same + tea.wire_bytes,
        totals.subset_per_site
    );
    assert!(
        totals.answered_by_worker < totals.subset_for_the_same,
        "{totals:?}"
    );
    assert!(
        totals.subset_per_site < totals.whole_font_per_site,
        "{totals:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_ask_with_cors_and_without_credentials_and_the_worker_asks_for_itself() {
    let profile = TempDir::new().unwrap();
    let outcome = outcome(options(profile.path())).await;
    let mut by_pages = 0;
    for entry in scenario_requests(&outcome) {
        let header = |name: &str| entry.headers.get(name).map(String::as_str);
        match path(entry) {
            "/font/css" | "/font/file" => {
                by_pages += 1;
                assert_eq!(header("origin"), Some("https://example.com"));
                assert_eq!(header("sec-fetch-mode"), Some("cors"));
                // The first site and the service are `example.com` both.
                assert_eq!(header("sec-fetch-site"), Some("same-site"));
            }
            "/sw.js" => assert_eq!(header("service-worker"), Some("script")),
            "/font/segment" => {
                assert_eq!(
                    header("origin"),
                    None,
                    "a worker's request tells of no site"
                );
                assert_eq!(header("sec-fetch-site"), Some("same-origin"));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(by_pages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_by_top_level_site_nothing_is_shared() {
    let profile = TempDir::new().unwrap();
    let outcome = outcome(ScenarioOptions {
        policies: Policies::shipping(),
        ..options(profile.path())
    })
    .await;
    let (first, again) = outcome.loads.split_at(SITES.len());
    for load in first {
        assert_eq!(
            answered(load),
            (Answerer::Network, vec![Answerer::Network]),
            "{load:?}"
        );
    }
    for load in again {
        assert_eq!(answered(load), (WORKER, vec![WORKER]), "{load:?}");
    }
    let caused_by: Vec<&str> = outcome
        .installs
        .iter()
        .map(|it| it.caused_by.as_str())
        .collect();
    assert_eq!(caused_by, ["tea", "railway", "stars"]);
    let log = scenario_requests(&outcome);
    let count = |wanted: &str| log.iter().filter(|entry| path(entry) == wanted).count();
    assert_eq!((count("/sw.js"), count("/font/segment")), (3, 6));
    for entry in log.iter().filter(|entry| path(entry) == "/font/file") {
        let same_site = entry.headers["origin"] == "https://example.com";
        let site = if same_site { "same-site" } else { "cross-site" };
        assert_eq!(entry.headers["sec-fetch-site"], site);
    }
    // Each worker fetches what its own site needs, whatever the others have.
    let prefetched = named(&log[outcome.installs[0].origin_requests[1]]);
    for load in again {
        let [request] = load.origin_requests.as_slice() else {
            panic!("{load:?}");
        };
        assert_eq!(
            named(&log[*request]),
            set(&load.wanted).difference(&prefetched)
        );
    }
    assert!(outcome.totals.this > outcome.totals.subset_per_site);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_on_the_same_profile_answers_the_same_and_fetches_nothing() {
    let profile = TempDir::new().unwrap();
    let before = outcome(options(profile.path())).await;
    let after = outcome(options(profile.path())).await;
    assert_eq!(scenario_requests(&after), []);
    assert_eq!(after.installs, []);
    for (before, after) in before.loads[3..].iter().zip(&after.loads) {
        assert_eq!(answered(before), answered(after));
        assert_eq!(before.files, after.files);
        assert_eq!(before.wanted, after.wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_font_lacks_is_asked_for_once_and_never_promised() {
    // A font with kana, ASCII and the tea site's characters: it has little for the other sites.
    let font = font_of(&CharSet::kana_and_ascii().union(&set(SITES[0].page)));
    let profile = TempDir::new().unwrap();
    let outcome = outcome(ScenarioOptions {
        font: font.clone(),
        ..options(profile.path())
    })
    .await;
    for load in &outcome.loads {
        let lacking = set(&load.wanted).difference(&font.characters());
        assert_eq!(load.lacking, lacking.to_string());
        assert_eq!(load.lacking.is_empty(), load.site == "tea", "{load:?}");
    }
    let log = scenario_requests(&outcome);
    let segments = log.iter().filter(|entry| path(entry) == "/font/segment");
    let mut asked = CharSet::new();
    for segment in segments {
        assert!(named(segment).is_disjoint(&asked), "{segment:?}");
        asked.extend(named(segment));
    }
    let again = &outcome.loads[4..];
    assert!(
        again.iter().all(|load| load.origin_requests.is_empty()),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_font_that_has_nothing_for_a_site_still_serves_the_others() {
    // Of what railway and stars want beyond kana and ASCII, this font has nothing: 204.
    let characters = CharSet::kana_and_ascii().union(&set("茶"));
    let font = font_of(&characters.difference(&set("々")));
    let profile = TempDir::new().unwrap();
    let outcome = outcome(ScenarioOptions {
        font,
        ..options(profile.path())
    })
    .await;
    let log = scenario_requests(&outcome);
    assert_eq!(
        log.iter().filter(|entry| entry.status == Some(204)).count(),
        2
    );
    let again = &outcome.loads[4..];
    assert!(
        again.iter().all(|load| load.origin_requests.is_empty()),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_font_service_that_is_down_ends_the_run_and_loses_nothing() {
    let empty = TempDir::new().unwrap();
    let down = |profile: &Path| ScenarioOptions {
        fault: Some(Fault::FontsDown),
        ..options(profile)
    };
    let error = failure(down(empty.path())).await;
    assert!(
        matches!(
            error,
            ScenarioError::Load(LoadError::Unanswered { site: "tea", .. })
        ),
        "{error}"
    );

    let profile = TempDir::new().unwrap();
    outcome(options(profile.path())).await;
    // All sites are answered from what was stored; only the alternatives cannot be measured.
    let error = failure(down(profile.path())).await;
    assert!(matches!(error, ScenarioError::Comparison(_)), "{error}");
    let after = outcome(options(profile.path())).await;
    assert_eq!(scenario_requests(&after), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_faulty_worker_is_said_and_a_later_good_one_is_installed() {
    for (fault, said) in [
        (Fault::ScriptSyntax, "SyntaxError"),
        (Fault::ScriptMime, "text/plain"),
        (Fault::ScriptScope, "outside the maximum scope /font/"),
        (Fault::ScriptLoop, "event timeout"),
    ] {
        let profile = TempDir::new().unwrap();
        let mut policies = Policies::seeds();
        policies.limits.event_timeout = Duration::from_secs(3);
        let error = failure(ScenarioOptions {
            fault: Some(fault),
            policies,
            ..options(profile.path())
        })
        .await;
        assert!(
            matches!(
                error,
                ScenarioError::Install(
                    InstallError::Refused { .. } | InstallError::Redundant { .. }
                )
            ),
            "{fault}: {error}"
        );
        assert!(error.to_string().contains(said), "{fault}: {error}");
        assert!(
            error.to_string().contains("https://fonts.example.com/"),
            "{error}"
        );
        let after = outcome(options(profile.path())).await;
        assert_eq!(after.installs.len(), 1, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_before_anything_is_stored() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let profile = folder.path().join("profile");
    let error = failure(ScenarioOptions {
        listen: Some(taken.local_addr().unwrap()),
        ..options(&profile)
    })
    .await;
    assert!(
        matches!(error, ScenarioError::World(WorldError::Listen { .. })),
        "{error}"
    );
    assert!(!profile.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_that_are_no_database_are_set_aside_and_the_worker_is_installed_again() {
    let profile = TempDir::new().unwrap();
    outcome(options(profile.path())).await;
    let file = profile.path().join("profile.redb");
    let mut copy = file.clone().into_os_string();
    copy.push(".last-clean");
    fs::write(&file, "no database").unwrap();

    // The copy of the last clean close takes its place: nothing is lost.
    let after = outcome(options(profile.path())).await;
    let [notice] = after.notices.as_slice() else {
        panic!("{:?}", after.notices);
    };
    assert!(notice.contains("was not usable"), "{notice}");
    assert_eq!(scenario_requests(&after), []);

    // Without one, the worker is installed again, and finds its segments where they were.
    fs::write(&file, "no database").unwrap();
    fs::remove_file(copy).unwrap();
    let after = outcome(options(profile.path())).await;
    assert_eq!(after.notices.len(), 1);
    let [install] = after.installs.as_slice() else {
        panic!("{:?}", after.installs);
    };
    assert_eq!(install.characters_fetched, 0);
    assert_eq!(
        fs::read_to_string(profile.path().join("profile.redb.damaged-1")).unwrap(),
        "no database"
    );
}
