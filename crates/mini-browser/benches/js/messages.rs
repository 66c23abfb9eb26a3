//! Rows J1 to J3: messages between a page and a dedicated worker.

use std::sync::Arc;

use mini_browser::js::TracingConsole;
use mini_browser::net::NetworkConfig;
use mini_browser::net::server::{Server, ServerRequest, ServerResponse};
use mini_browser::{Browser, BrowserOptions, Page};
use tokio::runtime::Runtime;

use crate::measure::{Contender, Plan, Row, Title, contender, measure};
use crate::rivals::Rival;

/// Runs of each contender that count.
const RUNS: usize = 9;

struct Measurement {
    title: Title,
    /// How many round trips, messages or workers a run has.
    count: u32,
}

fn measurements(plan: &Plan) -> Vec<Measurement> {
    let row = |id, name, unit, count| Measurement {
        title: Title {
            id,
            name,
            unit,
            runs: RUNS,
        },
        count,
    };
    let all = [
        row(
            "J1",
            "page and worker, round trip, short string",
            "µs",
            5_000,
        ),
        row("J2", "one way, objects with a 100 B string", "M/s", 100_000),
        row("J3", "start a worker, get its first message", "ms", 20),
    ];
    let wanted = all.into_iter().filter(|row| plan.wants(row.title.id));
    wanted.collect()
}

pub(crate) fn rows(plan: &Plan, rivals: &[&Rival]) -> Vec<Row> {
    let ours = Ours::start();
    let measurements = measurements(plan).into_iter();
    measurements
        .map(|Measurement { title, count }| {
            let id = title.id;
            let contenders: Vec<Contender<'_>> = rivals
                .iter()
                .map(|rival| contender(rival.name, move || rival.run(id, count)))
                .collect();
            measure(title, || ours.run(id, count), contenders)
        })
        .collect()
}

/// Without rivals, many times: what each run gave.
pub(crate) fn alone(plan: &Plan) {
    let ours = Ours::start();
    for Measurement { title, count } in measurements(plan) {
        let runs = (0..30).map(|_| ours.run(title.id, count));
        let mut values: Vec<f64> = runs.collect();
        values.sort_by(f64::total_cmp);
        let [low, median, high] = [2, 15, 27].map(|at| values[at]);
        let Title { id, name, unit, .. } = title;
        println!("{id} {name}: {median:.3} {unit} ({low:.3} – {high:.3})");
    }
}

/// A browser with a page.
struct Ours {
    page: Page,
    runtime: Runtime,
    _browser: Browser,
    _server: Server,
    _profile: tempfile::TempDir,
}

impl Ours {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap_or_else(|error| panic!("{error}"));
        let started = runtime.block_on(async {
            let address = "127.0.0.1:0".parse()?;
            let server = Server::start(address, None, async |_: ServerRequest| {
                ServerResponse::ok("text/html", "<title>bench</title>")
            });
            let server = server.await?;
            let profile = tempfile::tempdir()?;
            let options = BrowserOptions {
                profile: profile.path().to_owned(),
                network: NetworkConfig::default(),
                policies: service_worker::Policies::shipping(),
                console: Arc::new(TracingConsole),
            };
            let browser = Browser::open(options)?.browser;
            let url = format!("http://{}/", server.local_addr()).parse()?;
            let page = browser.navigate(&url).await?;
            Ok::<_, Box<dyn std::error::Error>>((page, browser, server, profile))
        });
        let (page, browser, server, profile) =
            started.unwrap_or_else(|error| panic!("the browser does not start: {error}"));
        Self {
            page,
            runtime,
            _browser: browser,
            _server: server,
            _profile: profile,
        }
    }

    /// One run, measured by the page itself, as the rivals' is.
    fn run(&self, id: &str, count: u32) -> f64 {
        let source = format!(
            "(\n{})({id:?}, {count})",
            include_str!("measure.js").trim_end().trim_end_matches(';')
        );
        let value = self
            .runtime
            .block_on(self.page.run_script(&source, "bench"));
        let value = value.unwrap_or_else(|error| panic!("{id}: {error}"));
        value.as_f64().unwrap_or_else(|| panic!("{id}: {value}"))
    }
}
