//! The QuickJS host passes the checks that any host must pass.

#[cfg(test)]
mod kit {
    use std::future::ready;
    use std::sync::Arc;

    use futures_util::StreamExt;
    use mini_browser::Facade;
    use mini_browser::cache_storage::CacheStore;
    use mini_browser::fetch::FetchService;
    use mini_browser::js::{TracingConsole, WorkerHost, WorkerHostOptions};
    use service_worker::host_tests::{HostUnderTest, Script, host};
    use service_worker::tokio_adapter::{TokioClock, spawn};
    use service_worker::{Clock, Driver, Handle, HostCommands};

    struct QuickJs;

    impl HostUnderTest for QuickJs {
        fn script(&self, script: Script) -> Option<String> {
            Some(source(script).to_owned())
        }

        fn clock(&self) -> Arc<dyn Clock> {
            Arc::new(TokioClock)
        }

        fn run(&self, handle: Handle, commands: HostCommands) {
            let facade = Facade::new(handle.clone());
            let fetches = Arc::new(FetchService::new(Arc::new(facade.clone())));
            let caches = Arc::new(CacheStore::in_memory().unwrap());
            let mut options = WorkerHostOptions::new(Arc::new(TracingConsole), Arc::new(facade));
            options.prepare = Some(Arc::new(move |realm| {
                realm
                    .with_service(Arc::clone(&fetches))
                    .with_service(Arc::clone(&caches))
            }));
            let host = WorkerHost::new(options, Arc::new(move |event| handle.host_event(event)));
            tokio::spawn(commands.for_each(move |(command, inbox)| {
                host.command(command, inbox);
                ready(())
            }));
        }

        fn drive(&self, driver: Driver) {
            spawn(driver);
        }
    }

    const fn source(script: Script) -> &'static str {
        match script {
            Script::ListensToNothing => "",
            Script::AnswersHello => {
                "onfetch = (event) => event.respondWith(new Response('hello'));"
            }
            Script::LetsGo => "onfetch = (event) => { event.request.url; };",
            Script::ThrowsAtStart => "throw new Error('thrown at start');",
            Script::RejectsInstall => {
                "oninstall = (event) => {
                    event.waitUntil(Promise.reject(new Error('rejected by the script')));
                };"
            }
            Script::NeverAnswers => {
                "onfetch = (event) => { event.respondWith(new Promise(() => {})); fetch('/seen'); };"
            }
            Script::AnswersAndGoesOn => {
                "onfetch = (event) => {
                    event.respondWith(new Response('hello'));
                    event.waitUntil(new Promise(() => {}));
                };"
            }
            Script::RejectsFetch => {
                "onfetch = (event) => {
                    event.respondWith(Promise.reject(new Error('rejected by the script')));
                };"
            }
            Script::Cancels => "onfetch = (event) => event.preventDefault();",
            Script::FallsThrough => {
                "oninstall = (event) => event.handleFallThroughRequests(['/data']);
                onfetch = (event) => {
                    if (!event.isFallThrough) return;
                    const headers = { 'Access-Control-Allow-Origin': '*', 'X-Secret': '1' };
                    event.respondWith(new Response('from the worker', { headers }));
                };"
            }
            Script::Loops => "onfetch = () => { for (;;) {} };",
        }
    }

    #[tokio::test]
    async fn the_quickjs_host_passes_every_check() {
        let outcome = host(&QuickJs).await;
        outcome.assert();
        assert!(outcome.skipped.is_empty(), "{outcome}");
        assert_eq!(outcome.passed.len(), 25, "{outcome}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_quickjs_host_passes_every_check_on_several_threads() {
        host(&QuickJs).await.assert();
    }
}
