//! The program: runs the fonts scenario or a page under test, says how it ended in a line and a code.

mod cli;
mod defect;
mod json;

use std::io::{self, Write};
use std::process::ExitCode;

use mini_browser::scenario::font::Font;
use mini_browser::scenario::{ScenarioOptions, run};
use tracing_subscriber::EnvFilter;

use self::cli::{Cli, Exit, Failure, Parsed};
use self::json::JsonFile;

fn main() -> ExitCode {
    let cli = match Cli::parse(std::env::args_os()) {
        Parsed::Run(cli) => cli,
        Parsed::TestPage(page) => {
            log_to_stderr("error");
            return ended(defect::caught(|| page.run()));
        }
        Parsed::Text(text) => return ended(print(&text)),
        Parsed::Wrong(line) => return ended(Err(Failure::usage(line))),
    };
    // Without `--verbose` nothing is logged: what people need is in the table or in the last line.
    if cli.verbose {
        log_to_stderr("info,mini_browser=debug,service_worker=debug");
    }
    ended(defect::caught(|| in_runtime(*cli)))
}

/// The exit code, and a failure's one line.
fn ended(result: Result<(), Failure>) -> ExitCode {
    let exit = match result {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            // Nobody is left to be told if this fails.
            _ = writeln!(io::stderr(), "mini-browser: {}", failure.line());
            failure.exit()
        }
    };
    exit.into()
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// What is logged is `default`, unless `RUST_LOG` says otherwise.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

fn in_runtime(cli: Cli) -> Result<(), Failure> {
    let font = match &cli.font {
        Some(path) => Font::open(path),
        None => Font::bundled(),
    }?;
    let json = cli.json.as_deref().map(JsonFile::create).transpose()?;
    let options = ScenarioOptions {
        font,
        policies: cli.policies(),
        profile: cli.profile(),
        listen: cli.listen,
        fault: cli.fault,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::runtime)?;
    let outcome = runtime.block_on(async {
        let mut out = io::stdout();
        tokio::select! {
            outcome = run(options, &mut out) => outcome.map_err(Failure::from),
            pressed = tokio::signal::ctrl_c() => Err(Failure::interrupted(pressed)),
        }
    })?;
    match json {
        Some(json) => Ok(json.write(&outcome)?),
        None => Ok(()),
    }
}
