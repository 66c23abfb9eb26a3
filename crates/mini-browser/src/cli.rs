//! The command line: what can be chosen, and how the program ends.

mod test_page;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use mini_browser::scenario::font::FontError;
use mini_browser::scenario::{Fault, Profile, ScenarioError, WorldError};
use service_worker::Policies;

use self::test_page::TestArgs;
use crate::json::JsonError;

/// Runs the fonts scenario: three sites, one font service, and the service worker that it installs
/// by response headers. Everything is on loopback; nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "mini-browser", version, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    instead: Option<Instead>,

    /// The TrueType font to serve, instead of the one that is built in
    #[arg(long, value_name = "PATH")]
    pub(crate) font: Option<PathBuf>,

    /// Write what happened as JSON, with the font service's own log
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// What service workers may do: as the proposals assume, or as a browser can ship
    #[arg(long, value_name = "NAME", default_value = "seeds", value_parser = ["seeds", "shipping"])]
    policies: String,

    /// The browser's profile, kept after the run [default: a new folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,

    /// Where the font service listens [default: any free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// How long one event of a worker may take; fractions are allowed [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    event_timeout: Option<Duration>,

    /// Show what a user sees when …
    #[arg(long, value_name = "NAME", value_parser = faults())]
    pub(crate) fault: Option<Fault>,

    /// Log to stderr; RUST_LOG chooses what
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// What to do instead of the fonts scenario.
#[derive(Debug, clap::Subcommand)]
enum Instead {
    Test(TestArgs),
}

const AFTER_HELP: &str = "\
Exit codes:
  0  the scenario ran, and each font that was answered draws what it should
  1  a defect of this program
  2  the command line is wrong
  3  the font cannot be used
  4  a server cannot listen
  5  the profile cannot be used
  6  the scenario did not show what it is to show
  7  the table or the JSON cannot be written
  130  interrupted

A failure is one line on stderr: what, where, what to do.";

/// What the arguments ask for.
pub(crate) enum Parsed {
    Run(Box<Cli>),
    TestPage(Box<TestArgs>),
    /// Help or version: text for stdout.
    Text(String),
    /// What is wrong, in one line.
    Wrong(String),
}

impl Cli {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
        match Self::try_parse_from(arguments) {
            Ok(mut cli) => match cli.instead.take() {
                Some(Instead::Test(page)) => Parsed::TestPage(Box::new(page)),
                None => Parsed::Run(Box::new(cli)),
            },
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Parsed::Text(error.to_string())
                }
                _ => Parsed::Wrong(one_line(&error.to_string())),
            },
        }
    }

    pub(crate) fn policies(&self) -> Policies {
        let mut policies = match self.policies.as_str() {
            "shipping" => Policies::shipping(),
            _ => Policies::seeds(),
        };
        if let Some(timeout) = self.event_timeout {
            policies.limits.event_timeout = timeout;
        }
        policies
    }

    pub(crate) fn profile(&self) -> Profile {
        match &self.profile {
            Some(path) => Profile::Folder(path.clone()),
            None => Profile::Temporary,
        }
    }
}

fn faults() -> impl TypedValueParser<Value = Fault> {
    let values = Fault::ALL.map(|fault| PossibleValue::new(fault.name()).help(fault.meaning()));
    PossibleValuesParser::new(values).try_map(|name| Fault::from_name(&name).ok_or("unknown fault"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "give seconds, such as 2 or 0.5".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("nothing takes no time".to_owned());
    }
    Ok(duration)
}

/// The paragraph of clap's message that says what is wrong.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    let said = said.join("; ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    format!("{said}; see --help")
}

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The scenario ran, and each font that was answered draws what it should.
    Ok = 0,
    /// A defect of this program.
    Defect = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The font cannot be used.
    Font = 3,
    /// A server cannot listen.
    Listen = 4,
    /// The profile cannot be used.
    Profile = 5,
    /// The scenario did not show what it is to show.
    Scenario = 6,
    /// The table or the JSON cannot be written.
    Output = 7,
    /// Somebody pressed Ctrl-C. (As shells have it: 128 and the number of the signal.)
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends with another code than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    line: String,
}

impl Failure {
    fn new(exit: Exit, line: impl Into<String>) -> Self {
        let line: String = line.into();
        Self {
            exit,
            // One line it is, whatever a file name or a script has in it.
            line: line.split(['\n', '\r']).collect::<Vec<_>>().join(" "),
        }
    }

    pub(crate) fn usage(line: String) -> Self {
        Self::new(Exit::Usage, line)
    }

    fn profile(line: String) -> Self {
        Self::new(Exit::Profile, line)
    }

    pub(crate) fn output(error: io::Error) -> Self {
        Self::new(Exit::Output, format!("cannot write to stdout: {error}"))
    }

    pub(crate) fn runtime(error: io::Error) -> Self {
        let line = format!("no threads to run on: {error}; end other programs, then run again");
        Self::new(Exit::Defect, line)
    }

    pub(crate) fn defect(line: String) -> Self {
        Self::new(Exit::Defect, line)
    }

    pub(crate) fn interrupted(pressed: io::Result<()>) -> Self {
        match pressed {
            Ok(()) => Self::new(Exit::Interrupted, "interrupted; what was stored is kept"),
            Err(error) => Self::new(Exit::Defect, format!("cannot listen to Ctrl-C: {error}")),
        }
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }
}

impl From<FontError> for Failure {
    fn from(error: FontError) -> Self {
        Self::new(Exit::Font, error.to_string())
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::new(Exit::Output, error.to_string())
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        let exit = match &error {
            ScenarioError::World(WorldError::Listen { .. }) => Exit::Listen,
            ScenarioError::Profile(_) | ScenarioError::TemporaryProfile(_) => Exit::Profile,
            ScenarioError::Output(_) => Exit::Output,
            _ => Exit::Scenario,
        };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Parsed {
        let arguments = std::iter::once("mini-browser").chain(arguments.iter().copied());
        Cli::parse(arguments.map(OsString::from))
    }

    fn run(arguments: &[&str]) -> Cli {
        match parse(arguments) {
            Parsed::Run(cli) => *cli,
            Parsed::TestPage(page) => panic!("{page:?}"),
            Parsed::Text(text) | Parsed::Wrong(text) => panic!("{text}"),
        }
    }

    fn wrong(arguments: &[&str]) -> String {
        match parse(arguments) {
            Parsed::Wrong(line) => line,
            Parsed::Run(_) | Parsed::TestPage(_) | Parsed::Text(_) => {
                panic!("{arguments:?} is not wrong")
            }
        }
    }

    #[test]
    fn without_arguments_the_seeds_are_run_in_a_temporary_profile() {
        let cli = run(&[]);
        assert_eq!(cli.policies(), Policies::seeds());
        assert_eq!(cli.profile(), Profile::Temporary);
        assert_eq!((cli.listen, cli.fault, cli.verbose), (None, None, false));
    }

    #[test]
    fn everything_can_be_chosen() {
        let cli = run(&[
            "--policies",
            "shipping",
            "--profile",
            "p",
            "--listen",
            "127.0.0.1:8443",
            "--event-timeout",
            "0.25",
            "--fault",
            "script-loop",
            "--font",
            "f.ttf",
            "--json",
            "o.json",
            "--verbose",
        ]);
        let policies = cli.policies();
        assert_eq!(policies.name, "shipping");
        assert_eq!(policies.limits.event_timeout, Duration::from_millis(250));
        assert_eq!(cli.profile(), Profile::Folder("p".into()));
        assert_eq!(cli.listen, Some("127.0.0.1:8443".parse().unwrap()));
        assert_eq!(cli.fault, Some(Fault::ScriptLoop));
        assert_eq!(cli.font, Some("f.ttf".into()));
        assert_eq!(cli.json, Some("o.json".into()));
        assert!(cli.verbose);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (arguments, said) in [
            (&["--colour"][..], "--colour"),
            (&["--policies", "none"], "seeds, shipping"),
            (&["--event-timeout", "soon"], "give seconds"),
            (&["--event-timeout", "0"], "nothing takes no time"),
            (&["--event-timeout=-1"], "negative"),
            (&["--listen", "8443"], "8443"),
            (&["--fault", "all"], "fonts-down"),
            (&["--font"], "PATH"),
            (&["test"], "<URL>"),
            (&["test", "page"], "page"),
            (&["test", "http://a/", "--timeout", "0"], "no time"),
            (&["test", "http://a/", "--timeout-multiplier=-1"], "above"),
            (&["--verbose", "test", "http://a/"], "test"),
        ] {
            let line = wrong(arguments);
            assert!(line.contains(said), "{line}");
            assert!(line.ends_with("; see --help"), "{line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn the_help_names_each_fault_and_each_exit_code() {
        let Parsed::Text(help) = parse(&["--help"]) else {
            panic!("no help");
        };
        for fault in Fault::ALL {
            assert!(
                help.contains(fault.name()) && help.contains(fault.meaning()),
                "{help}"
            );
        }
        for exit in [
            Exit::Ok,
            Exit::Defect,
            Exit::Usage,
            Exit::Font,
            Exit::Listen,
            Exit::Profile,
            Exit::Scenario,
            Exit::Output,
            Exit::Interrupted,
        ] {
            assert!(
                help.contains(&format!("\n  {}  ", exit as u8)),
                "{exit:?}\n{help}"
            );
        }
    }

    #[test]
    fn a_failure_is_one_line_whatever_is_in_it() {
        assert_eq!(Failure::defect("a\nb\r\nc".into()).line(), "a b  c");
    }
}
