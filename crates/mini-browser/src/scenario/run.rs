//! [`run`]: sends a browser through the sites, twice, and says what happened.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use service_worker::{Policies, Reports};
use tempfile::TempDir;

use super::comparison::{self, ComparisonError};
use super::console::ScenarioConsole;
use super::font::Font;
use super::install::{self, InstallError};
use super::load::{self, Cost, LoadError, asked_by_workers};
use super::sites::{SITES, Site};
use super::table;
use super::{
    Answerer, Fault, FontFacts, Install, Load, Outcome, PolicyFacts, World, WorldError,
    WorldOptions,
};
use crate::js::ConsoleSink;
use crate::{Browser, BrowserError, BrowserOptions, Opened};

/// How a run is made.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever starts a run decides all of it"
)]
pub struct ScenarioOptions {
    /// The font that is served.
    pub font: Font,
    /// What service workers may do.
    pub policies: Policies,
    /// The browser's profile.
    pub profile: Profile,
    /// Where the font service listens; `None` for any free port of loopback.
    pub listen: Option<SocketAddr>,
    /// What is wrong with the font service.
    pub fault: Option<Fault>,
}

/// Where a browser keeps what it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// In a new folder that is removed after the run.
    Temporary,
    /// In this folder; made if it is not there.
    Folder(PathBuf),
}

/// Why a run did not show what it is to show. Each is one line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The servers do not run.
    #[error(transparent)]
    World(#[from] WorldError),
    /// No folder for a profile.
    #[error("cannot make a folder for the profile: {0}; name one with --profile DIR")]
    TemporaryProfile(io::Error),
    /// The profile does not open.
    #[error("the profile cannot be opened: {0} (--profile DIR names another folder)")]
    Profile(#[from] BrowserError),
    /// The table cannot be written.
    #[error("cannot write the table: {0}")]
    Output(io::Error),
    /// A site was not measured.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The fonts worker is not there.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// There is nothing to compare with.
    #[error("the alternatives were not measured: {0}")]
    Comparison(#[from] ComparisonError),
    /// The fonts worker was there and did not answer.
    #[error(
        "{site}: {what} came from the {by} although the fonts worker was activated; this is a defect of the browser or the worker: run again with --verbose"
    )]
    NotAnswered {
        /// Which site.
        site: String,
        /// The style sheet or a font.
        what: &'static str,
        /// Who answered.
        by: Answerer,
    },
    /// The fonts worker was fetched again after the restart.
    #[error(
        "the font service was asked for its worker again after the restart; the profile {} did not keep it", profile.display()
    )]
    Reinstalled {
        /// The profile.
        profile: PathBuf,
    },
}

/// Runs the scenario and writes its table as it goes, each line at once. Needs a tokio runtime of
/// several threads.
///
/// The browser is closed at the end, whatever happens: nothing that was stored is lost.
///
/// # Errors
/// As [`ScenarioError`] says.
pub async fn run(
    options: ScenarioOptions,
    out: &mut (dyn Write + Send),
) -> Result<Outcome, ScenarioError> {
    let ScenarioOptions {
        font,
        policies,
        profile,
        listen,
        fault,
    } = options;
    let profile = Folder::of(profile).map_err(ScenarioError::TemporaryProfile)?;
    let world = World::start(WorldOptions {
        font: font.clone(),
        listen,
        fault,
    })
    .await?;
    let mut tour = Tour {
        facts: (FontFacts::of(&font), PolicyFacts::of(&policies)),
        console: Arc::default(),
        known: BTreeSet::new(),
        notices: Vec::new(),
        loads: Vec::new(),
        installs: Vec::new(),
        font,
        policies,
        profile,
        world,
        out,
    };
    tour.heading()?;
    tour.first_run().await?;
    tour.second_run().await?;
    tour.end().await
}

/// A profile's folder; a temporary one is removed when this is dropped.
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn of(profile: Profile) -> io::Result<Self> {
        match profile {
            Profile::Temporary => TempDir::with_prefix("saving-throw-").map(Self::Temporary),
            Profile::Folder(path) => Ok(Self::Kept(path)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A run on its way.
struct Tour<'a> {
    font: Font,
    policies: Policies,
    facts: (FontFacts, PolicyFacts),
    profile: Folder,
    world: World,
    console: Arc<ScenarioConsole>,
    /// Where the fonts worker is known to be activated: for which site, or (`None`) for all.
    known: BTreeSet<Option<&'static str>>,
    notices: Vec<String>,
    loads: Vec<Load>,
    installs: Vec<Install>,
    out: &'a mut (dyn Write + Send),
}

impl Tour<'_> {
    fn heading(&mut self) -> Result<(), ScenarioError> {
        let (font, policies) = &self.facts;
        let temporary = matches!(self.profile, Folder::Temporary(_));
        let address = self.world.fonts_address();
        let text = table::heading(font, policies, self.profile.path(), temporary, address);
        self.say(&text)
    }

    /// Each site's first two navigations.
    async fn first_run(&mut self) -> Result<(), ScenarioError> {
        let (browser, mut reports) = self.open()?;
        let ran = self.first_visits(&browser, &mut reports).await;
        browser.close().await;
        ran
    }

    async fn first_visits(
        &mut self,
        browser: &Browser,
        reports: &mut Reports,
    ) -> Result<(), ScenarioError> {
        self.say(&table::columns())?;
        for site in &SITES {
            load::visit(browser, site).await?;
            let (load, log_start) = self.measure(browser, site, false).await?;
            if load.css.answered_by == Answerer::FallThroughWorker {
                self.know(site);
            } else {
                self.await_install(reports, site, log_start).await?;
            }
        }
        Ok(())
    }

    /// The same browser again: closed and opened on the same profile.
    async fn second_run(&mut self) -> Result<(), ScenarioError> {
        let log_start = self.world.fonts_log().len();
        let (browser, _) = self.open()?;
        let ran = self.second_visits(&browser).await;
        browser.close().await;
        ran?;
        let log = self.world.fonts_log();
        let mut asked_since = log.iter().skip(log_start);
        if asked_since.any(|entry| entry.path_and_query == "/sw.js") {
            return Err(ScenarioError::Reinstalled {
                profile: self.profile.path().to_owned(),
            });
        }
        Ok(())
    }

    async fn second_visits(&mut self, browser: &Browser) -> Result<(), ScenarioError> {
        self.say(table::restarted())?;
        for site in &SITES {
            self.measure(browser, site, true).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Outcome, ScenarioError> {
        let (font, policies) = self.facts.clone();
        let totals =
            comparison::compare(&self.world, &font.family, &self.loads, &self.installs).await?;
        self.say(&table::totals(&totals, &policies))?;
        Ok(Outcome {
            format: 1,
            font,
            policies,
            profile: self.profile.path().to_owned(),
            temporary_profile: matches!(self.profile, Folder::Temporary(_)),
            notices: self.notices,
            loads: self.loads,
            installs: self.installs,
            totals,
            origin_log: self.world.fonts_log(),
        })
    }

    /// Opens the profile. What is damaged in it is said, and the run goes on.
    fn open(&mut self) -> Result<(Browser, Reports), ScenarioError> {
        let Opened {
            browser,
            notices,
            reports,
            ..
        } = Browser::open(BrowserOptions {
            profile: self.profile.path().to_owned(),
            network: self.world.network().clone(),
            policies: self.policies.clone(),
            console: Arc::clone(&self.console) as Arc<dyn ConsoleSink>,
        })?;
        for notice in &notices {
            self.say(&format!("notice    {notice}\n"))?;
        }
        self.notices.extend(notices);
        Ok((browser, reports))
    }

    /// Measures one load, says it, and checks that the fonts worker answered if it is there.
    async fn measure(
        &mut self,
        browser: &Browser,
        site: &Site,
        after_restart: bool,
    ) -> Result<(Load, usize), ScenarioError> {
        let (mut load, log_start) = load::measure(browser, &self.world, &self.font, site).await?;
        load.after_restart = after_restart;
        self.say(&table::load(&load))?;
        self.loads.push(load.clone());
        if self.known.contains(&self.partition(site)) {
            check_answered(&load)?;
        }
        Ok((load, log_start))
    }

    /// An answer of the network has named the fonts worker: it is being installed.
    async fn await_install(
        &mut self,
        reports: &mut Reports,
        site: &Site,
        log_start: usize,
    ) -> Result<(), ScenarioError> {
        let patience = self.policies.limits.event_timeout + LAST_RESORT;
        install::activated(reports, &self.console, patience).await?;
        self.know(site);
        let log = self.world.fonts_log();
        let cost = Cost::of(&log, asked_by_workers(&log, log_start));
        let install = Install {
            caused_by: site.name.to_owned(),
            characters_fetched: cost.characters_fetched,
            wire_bytes: cost.wire_bytes,
            origin_requests: cost.requests,
        };
        self.say(&table::install(&install))?;
        self.installs.push(install);
        Ok(())
    }

    fn know(&mut self, site: &Site) {
        self.known.insert(self.partition(site));
    }

    /// Who shares the fonts worker that answers this site.
    fn partition(&self, site: &Site) -> Option<&'static str> {
        self.facts.1.partitioned.then_some(site.name)
    }

    fn say(&mut self, text: &str) -> Result<(), ScenarioError> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(ScenarioError::Output)
    }
}

/// How much longer than an event may take the installation is waited for: its script is fetched and
/// started, and it is written to disk. Reports end the wait long before.
const LAST_RESORT: Duration = Duration::from_secs(60);

fn check_answered(load: &Load) -> Result<(), ScenarioError> {
    let sheet = ("its style sheet", load.css.answered_by);
    let files = load.files.iter().map(|file| ("a font", file.answered_by));
    for (what, by) in std::iter::once(sheet).chain(files) {
        if by != Answerer::FallThroughWorker {
            return Err(ScenarioError::NotAnswered {
                site: load.site.clone(),
                what,
                by,
            });
        }
    }
    Ok(())
}
