//! What comes of a host with the whole facade above it.

use std::sync::Arc;
use std::time::Duration;

use futures_channel::mpsc;
use futures_util::StreamExt;
use futures_util::future::join;
use sw_types::fetch::{
    CacheMode, CredentialsMode, Destination, RequestHead, RequestMode, ResponseHead, ResponseType,
};
use sw_types::{
    ClientId, Environment, Origin, RegistrationView, UpdateViaCache, WorkerState, WorkerType,
};
use url::Url;

use super::host::{Check, HostUnderTest, Script};
use super::limit::{Limit, a_moment, until};
use super::pages::{Pages, path};
use super::{Checked, ensure, equal};
use crate::{
    AnsweredBy, Body, Clock, Config, FetchError, FetchRequest, Fetched, Handle, HostEvent,
    JobError, MemoryStore, NetworkUse, NoCaches, Policies, RegisterOptions, Report, Reports,
    StoreError, open,
};

pub(super) const CHECKS: &[Check<World>] = &[
    (
        "a worker is registered and activated",
        &[Script::ListensToNothing],
        |world| Box::pin(activated(world)),
    ),
    (
        "a script that throws fails its registration",
        &[Script::ThrowsAtStart],
        |world| Box::pin(throws(world)),
    ),
    (
        "a worker whose install is rejected leaves no registration",
        &[Script::RejectsInstall],
        |world| Box::pin(redundant(world)),
    ),
    (
        "a page's own worker answers",
        &[Script::AnswersHello],
        |world| Box::pin(answered(world)),
    ),
    (
        "an answer is had while the event goes on",
        &[Script::AnswersAndGoesOn],
        |world| Box::pin(answered_early(world)),
    ),
    (
        "a request that is let go is answered by the network",
        &[Script::LetsGo],
        |world| Box::pin(let_go(world)),
    ),
    (
        "a page whose worker does not listen to fetch is answered by the network",
        &[Script::ListensToNothing],
        |world| Box::pin(passed_by(world)),
    ),
    (
        "an answer that is rejected is a network error",
        &[Script::RejectsFetch],
        |world| Box::pin(rejected(world)),
    ),
    (
        "a request that is canceled is a network error",
        &[Script::Cancels],
        |world| Box::pin(canceled(world)),
    ),
    (
        "a death before the answer is a network error",
        &[Script::NeverAnswers],
        |world| Box::pin(death(world)),
    ),
    (
        "a fall-through worker answers another origin, filtered as the network would be",
        &[Script::FallsThrough],
        |world| Box::pin(fell_through(world)),
    ),
];

async fn activated(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::ListensToNothing)
        .await
}

async fn throws(world: &mut World) -> Checked {
    let registered = world.register("https://site.test/", Script::ThrowsAtStart);
    match registered.await {
        Err(Failure::Job(error)) => ensure(error.to_string().contains("thrown at start"), || {
            format!("the error does not show: {error}")
        }),
        other => Err(format!("expected a rejection, found {other:?}")),
    }
}

async fn redundant(world: &mut World) -> Checked {
    // The promise resolves when the installation begins.
    let url = "https://site.test/";
    world.register(url, Script::RejectsInstall).await?;
    let page = world.page(url).await?;
    let url = parse(url)?;
    while !matches!(world.handle.registration(page, &url).await, Ok(None)) {
        a_moment(world.clock.as_ref()).await;
    }
    let (_, body, _) = world.navigate(url.as_str()).await?;
    equal("body", &body.as_str(), &"from the network")
}

async fn answered(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::AnswersHello)
        .await?;
    for _ in 0..3 {
        let (head, body, by) = world.navigate("https://site.test/").await?;
        equal("body", &body.as_str(), &"hello")?;
        equal("status", &head.status, &http::StatusCode::OK)?;
        ensure(matches!(by, AnsweredBy::OwnWorker(_)), || format!("{by:?}"))?;
    }
    Ok(())
}

async fn answered_early(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::AnswersAndGoesOn)
        .await?;
    for _ in 0..2 {
        let (_, body, by) = world.navigate("https://site.test/").await?;
        equal("body", &body.as_str(), &"hello")?;
        ensure(matches!(by, AnsweredBy::OwnWorker(_)), || format!("{by:?}"))?;
    }
    Ok(())
}

async fn let_go(world: &mut World) -> Checked {
    world.activate("https://site.test/", Script::LetsGo).await?;
    world.comes_from_the_network().await
}

async fn passed_by(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::ListensToNothing)
        .await?;
    world.comes_from_the_network().await
}

async fn rejected(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::RejectsFetch)
        .await?;
    let reason = world.worker_fails().await?;
    ensure(reason.contains("rejected by the script"), || {
        format!("the error does not show: {reason}")
    })
}

async fn canceled(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::Cancels)
        .await?;
    world.worker_fails().await.map(drop)
}

async fn death(world: &mut World) -> Checked {
    world
        .activate("https://site.test/", Script::NeverAnswers)
        .await?;
    let request = world.navigation("https://site.test/")?;
    let fetched = world.handle.fetch(request);
    let handle = world.handle.clone();
    let asked = &mut world.asked;
    let dies = async {
        // The worker has the event, and goes on while its answer does not come.
        while asked.next().await.is_some_and(|path| path != "/seen") {}
        handle.shut_down().await;
    };
    match join(fetched, dies).await.0 {
        Err(FetchError::Worker { .. }) => Ok(()),
        other => Err(format!("expected a network error, found {other:?}")),
    }
}

async fn fell_through(world: &mut World) -> Checked {
    world
        .activate("https://service.test/", Script::FallsThrough)
        .await?;
    let page = world.page("https://site.test/").await?;
    let head = RequestHead {
        destination: Destination::Font,
        mode: RequestMode::Cors,
        credentials: CredentialsMode::Omit,
        ..RequestHead::get(
            parse("https://service.test/data")?,
            Origin::of(&parse("https://site.test/")?),
        )
    };
    let request = FetchRequest {
        head,
        body: Body::empty(),
        client: page,
        reserved: None,
        network: allowed(),
    };
    let (head, body, by) = world.fetch(request).await?;
    equal("body", &body.as_str(), &"from the worker")?;
    ensure(matches!(by, AnsweredBy::FallThrough(_)), || {
        format!("{by:?}")
    })?;
    equal("type", &head.response_type, &ResponseType::Cors)?;
    let seen = head.visible_headers();
    ensure(!seen.contains_key("x-secret"), || {
        "a header shows that the response does not expose".to_owned()
    })
}

/// A facade with a host under it.
pub(super) struct World {
    clock: Arc<dyn Clock>,
    handle: Handle,
    reports: Reports,
    asked: mpsc::UnboundedReceiver<String>,
    clients: u64,
    patience: Duration,
}

/// Why there is no registration.
#[derive(Debug)]
enum Failure {
    Job(JobError),
    Check(String),
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Job(error) => format!("register: {error}"),
            Failure::Check(reason) => reason,
        }
    }
}

impl World {
    pub(super) fn open(under_test: &impl HostUnderTest) -> Result<Self, StoreError> {
        let (pages, asked) = Pages::new(under_test);
        let opened = open(Config {
            policies: Policies::seeds(),
            clock: under_test.clock(),
            network: Arc::new(pages),
            caches: Arc::new(NoCaches),
            store: Box::new(MemoryStore::new()),
        })?;
        under_test.run(opened.handle.clone(), opened.commands);
        under_test.drive(opened.driver);
        Ok(Self {
            clock: under_test.clock(),
            handle: opened.handle,
            reports: opened.reports,
            asked,
            clients: 0,
            patience: under_test.patience(),
        })
    }

    pub(super) fn limit(&self) -> Limit {
        Limit {
            clock: Arc::clone(&self.clock),
            patience: self.patience,
        }
    }

    /// A new page, of which the registry has heard.
    async fn page(&mut self, url: &str) -> Result<ClientId, String> {
        self.clients += 1;
        let (client, url) = (ClientId(self.clients), parse(url)?);
        let environment = Environment::top_level(client, url.clone());
        self.handle
            .host_event(HostEvent::ClientCreated(environment));
        self.handle.host_event(HostEvent::ClientReady(client));
        let shared = &self.handle.shared;
        until(self.clock.as_ref(), || shared.environment(client).is_some()).await;
        Ok(client)
    }

    async fn register(&mut self, url: &str, script: Script) -> Result<RegistrationView, Failure> {
        let client = self.page(url).await.map_err(Failure::Check)?;
        let options = RegisterOptions {
            script_url: path(script),
            scope: None,
            base_url: parse(url).map_err(Failure::Check)?,
            worker_type: WorkerType::Classic,
            update_via_cache: UpdateViaCache::Imports,
            referrer: None,
        };
        let registered = self.handle.register(client, options);
        registered.await.map_err(Failure::Job)
    }

    async fn activate(&mut self, url: &str, script: Script) -> Checked {
        self.register(url, script).await?;
        self.reaches(url, WorkerState::Activated).await
    }

    /// Waits until a worker has reached a state; another end is an error.
    async fn reaches(&mut self, of: &str, wanted: WorkerState) -> Checked {
        while let Some(report) = self.reports.next().await {
            match report {
                Report::WorkerState { scope, state, .. } if scope.as_str() == of => {
                    if state == wanted {
                        return Ok(());
                    }
                    ensure(state != WorkerState::Redundant, || {
                        format!("the worker is redundant, and not {wanted:?}")
                    })?;
                }
                other => tracing::debug!(?other, "reported"),
            }
        }
        Err(format!("the facade ended before the worker was {wanted:?}"))
    }

    fn navigation(&mut self, url: &str) -> Result<FetchRequest, String> {
        self.clients += 1;
        let url = parse(url)?;
        let reserved = Environment::top_level(ClientId(self.clients), url.clone());
        let created = HostEvent::ClientCreated(reserved.clone());
        self.handle.host_event(created);
        Ok(FetchRequest {
            head: RequestHead {
                destination: Destination::Document,
                mode: RequestMode::Navigate,
                ..RequestHead::get(url, reserved.origin.clone())
            },
            body: Body::empty(),
            client: reserved.id,
            reserved: Some(reserved),
            network: allowed(),
        })
    }

    async fn navigate(&mut self, url: &str) -> Result<(ResponseHead, String, AnsweredBy), String> {
        let request = self.navigation(url)?;
        self.fetch(request).await
    }

    async fn fetch(
        &self,
        request: FetchRequest,
    ) -> Result<(ResponseHead, String, AnsweredBy), String> {
        let fetched = self.handle.fetch(request).await;
        let Fetched {
            response,
            answered_by,
            ..
        } = fetched.map_err(|error| format!("fetch: {error}"))?;
        let body = response.body.collect(1 << 20).await;
        let body = body.map_err(|error| format!("the body: {error}"))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok((response.head, body, answered_by))
    }

    async fn comes_from_the_network(&mut self) -> Checked {
        let (_, body, by) = self.navigate("https://site.test/").await?;
        equal("body", &body.as_str(), &"from the network")?;
        equal("answered by", &by, &AnsweredBy::Network)
    }

    /// Navigates, and finds that the worker failed; gives why.
    async fn worker_fails(&mut self) -> Result<String, String> {
        let request = self.navigation("https://site.test/")?;
        match self.handle.fetch(request).await {
            Err(FetchError::Worker { reason, .. }) => Ok(reason),
            other => Err(format!("expected a network error, found {other:?}")),
        }
    }
}

/// The network may be asked, as a page asks it.
fn allowed() -> NetworkUse {
    NetworkUse::Allowed {
        headers: http::HeaderMap::new(),
        cache: CacheMode::Default,
    }
}

fn parse(url: &str) -> Result<Url, String> {
    url.parse()
        .map_err(|error: url::ParseError| error.to_string())
}
