//! The native host passes the checks that any host must pass.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use service_worker::host_tests::{HostUnderTest, Script, host};
use service_worker::native_host::{NativeHost, NativeWorker, Scope};
use service_worker::tokio_adapter::{TokioClock, spawn};
use service_worker::types::fetch::{CacheMode, RequestHead, ResponseHead};
use service_worker::{
    Body, Clock, Driver, FetchAnswer, FetchRequest, Handle, HostCommands, NetworkUse, Response,
};

struct Native;

impl HostUnderTest for Native {
    /// A native worker's script is its name.
    fn script(&self, script: Script) -> Option<String> {
        match script {
            Script::ThrowsAtStart => Some("thrown at start".to_owned()),
            // A closure that loops cannot be interrupted.
            Script::Loops => None,
            _ => Some(format!("{script:?}")),
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(TokioClock)
    }

    fn run(&self, handle: Handle, commands: HostCommands) {
        let scripts = [
            Script::ListensToNothing,
            Script::AnswersHello,
            Script::LetsGo,
            Script::RejectsInstall,
            Script::NeverAnswers,
            Script::AnswersAndGoesOn,
            Script::RejectsFetch,
            Script::Cancels,
            Script::FallsThrough,
        ];
        let scripts = scripts.map(|script| (format!("{script:?}"), worker(script)));
        tokio::spawn(NativeHost::new(handle, commands, scripts));
    }

    fn drive(&self, driver: Driver) {
        spawn(driver);
    }
}

fn worker(script: Script) -> NativeWorker {
    let worker = NativeWorker::new();
    match script {
        Script::ListensToNothing | Script::ThrowsAtStart | Script::Loops => worker,
        Script::RejectsInstall => {
            worker.on_install(|_, _| async { Err("rejected by the script".to_owned()) })
        }
        Script::AnswersHello => worker.on_fetch(|_, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            dispatch.responder.respond(response("hello", &[]));
        }),
        Script::LetsGo => worker.on_fetch(|_, dispatch| async move {
            dispatch.responder.respond(FetchAnswer::NotHandled);
        }),
        Script::Cancels => worker.on_fetch(|_, dispatch| async move {
            dispatch.responder.respond(FetchAnswer::Canceled);
        }),
        Script::RejectsFetch => worker.on_fetch(|_, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            let reason = "rejected by the script".to_owned();
            dispatch.responder.respond(FetchAnswer::Failed(reason));
        }),
        Script::NeverAnswers => worker.on_fetch(|scope, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            seen(&scope).await;
            std::future::pending::<()>().await;
            drop(dispatch);
        }),
        Script::AnswersAndGoesOn => worker.on_fetch(|_, mut dispatch| async move {
            dispatch.responder.respond_with_entered();
            dispatch.responder.respond(response("hello", &[]));
            std::future::pending::<()>().await;
            drop(dispatch.keep_alive);
        }),
        Script::FallsThrough => worker
            .on_install(|scope, event| async move {
                let start = &scope.start;
                let prefixes = ["/data".to_owned()];
                let handled =
                    scope
                        .handle
                        .handle_fall_through_requests(start.worker, event, &prefixes, None);
                handled.map_err(|error| error.to_string())
            })
            .on_fetch(|_, mut dispatch| async move {
                if !dispatch.detail.is_fall_through {
                    return dispatch.responder.respond(FetchAnswer::NotHandled);
                }
                dispatch.responder.respond_with_entered();
                let headers = [("access-control-allow-origin", "*"), ("x-secret", "1")];
                dispatch
                    .responder
                    .respond(response("from the worker", &headers));
            }),
    }
}

/// `fetch("/seen")`
async fn seen(scope: &Scope) {
    let environment = &scope.start.environment;
    let url = environment.creation_url.join("/seen").unwrap();
    let request = FetchRequest {
        head: RequestHead::get(url, environment.origin.clone()),
        body: Body::empty(),
        client: environment.id,
        reserved: None,
        network: NetworkUse::Allowed {
            headers: HeaderMap::new(),
            cache: CacheMode::Default,
        },
    };
    // A worker that is being stopped may no longer fetch; that does not matter to it.
    let _whatever = scope.handle.fetch(request).await;
}

fn response(body: &'static str, headers: &[(&'static str, &'static str)]) -> FetchAnswer {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let head = ResponseHead::new(StatusCode::OK, headers.collect());
    let body = Body::from(body);
    FetchAnswer::Response(Box::new(Response { head, body }))
}

#[tokio::test]
async fn the_native_host_passes_every_check() {
    let outcome = host(&Native).await;
    outcome.assert();
    assert_eq!(outcome.skipped, ["a worker that loops is stopped"]);
    assert_eq!(outcome.passed.len(), 24, "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_native_host_passes_every_check_on_several_threads() {
    host(&Native).await.assert();
}

/// Runs every script but this one as another.
struct Mistaken(Script, Script);

impl HostUnderTest for Mistaken {
    fn script(&self, script: Script) -> Option<String> {
        match script {
            script if script == self.0 => Native.script(self.1),
            script => Native.script(script),
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Native.clock()
    }

    fn run(&self, handle: Handle, commands: HostCommands) {
        Native.run(handle, commands);
    }

    fn drive(&self, driver: Driver) {
        Native.drive(driver);
    }

    /// Some mistakes show as a check that does not end.
    fn patience(&self) -> Duration {
        Duration::from_millis(300)
    }
}

#[tokio::test]
async fn a_host_that_does_something_else_fails_by_name() {
    for (wanted, done, failing) in [
        (
            Script::ListensToNothing,
            Script::AnswersHello,
            "a worker that listens to nothing starts and says so",
        ),
        (
            Script::AnswersHello,
            Script::LetsGo,
            "a page's own worker answers",
        ),
        (
            Script::RejectsInstall,
            Script::AnswersHello,
            "an install that is rejected settles as rejected, with its reason",
        ),
        (
            Script::AnswersAndGoesOn,
            Script::AnswersHello,
            "an answer comes before the event's lifetime ends, and the worker stays busy",
        ),
        (
            Script::Cancels,
            Script::LetsGo,
            "a request that is canceled is a network error",
        ),
    ] {
        let outcome = host(&Mistaken(wanted, done)).await;
        let failed: Vec<_> = outcome.failed.iter().map(|(name, _)| *name).collect();
        assert!(failed.contains(&failing), "{wanted:?}: {outcome}");
        assert!(outcome.to_string().contains(&format!("\n{failing}: ")));
    }
}
