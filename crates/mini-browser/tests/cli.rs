//! The program as people start it: its table, its one line when something is wrong, its exit codes.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test may panic as a test may"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use mini_browser::scenario::font::{CharSet, Font};
use mini_browser::scenario::sites::SITES;
use mini_browser::scenario::{Answerer, Outcome};
use tempfile::TempDir;

/// What people see when the worker is there.
const ACTIVATED: &str = "fonts worker activated";

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini-browser"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A font with just the characters of the three sites: whole, it is cut in no time.
fn small_font() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let pages = SITES.iter().flat_map(|site| site.page.chars());
        let characters: CharSet = pages.filter(|character| !character.is_control()).collect();
        let subset = Font::bundled()
            .unwrap()
            .subset(&characters.union(&CharSet::kana_and_ascii()))
            .unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join("small.ttf");
        fs::write(&path, subset.ttf()).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

/// Runs it with the small font.
fn run_small(arguments: &[&str]) -> Output {
    run(&[&["--font", small_font()], arguments].concat())
}

/// Runs it on a profile, without any fault, and gives what it wrote for machines.
fn outcome(profile: &Path) -> Outcome {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("out.json");
    let output = run_small(&[
        "--profile",
        profile.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
    ]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

/// It ended with this code, and said why in one line that has all of this in it.
fn assert_failed(output: &Output, code: i32, said: &[&str]) {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in said {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
}

/// On this profile everything is answered by the worker that was stored, and none is fetched.
fn assert_answered_as_before(profile: &Path) {
    let outcome = outcome(profile);
    assert_eq!(outcome.notices, [""; 0]);
    assert_eq!(outcome.installs, []);
    assert_eq!(outcome.loads.len(), 6);
    for load in &outcome.loads {
        let files = load.files.iter().map(|file| file.answered_by);
        let answered: Vec<_> = files.chain([load.css.answered_by]).collect();
        assert!(
            answered.iter().all(|by| *by == Answerer::FallThroughWorker),
            "{load:?}"
        );
    }
    let asked_for_script = |path: &str| path == "/sw.js";
    let log = outcome.origin_log.iter();
    let mut paths = log.map(|entry| entry.path_and_query.as_str());
    assert!(!paths.any(asked_for_script));
}

#[test]
fn without_arguments_the_table_is_written_and_nothing_is_left_behind() {
    let folder = TempDir::new().unwrap();
    let output = program(&[]).env("TMPDIR", folder.path()).output().unwrap();
    let table = text(&output.stdout);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0), "{table}");
    let licence = table.lines().next().unwrap();
    assert!(
        licence.contains("M PLUS 1") && licence.contains(".ttf"),
        "{licence}"
    );
    assert!(licence.contains("Open Font License"), "{licence}");
    assert!(table.contains("policies  seeds"), "{table}");
    assert_eq!(table.matches(ACTIVATED).count(), 1, "{table}");
    for site in ["tea", "railway", "stars"] {
        let rows = table.lines().filter(|line| line.starts_with(site)).count();
        assert_eq!(rows, 2, "{table}");
    }
    for total in [
        "whole font per site",
        "subset per site",
        "this",
        "after the restart",
    ] {
        assert!(table.contains(&format!("\n  {total}  ")), "{table}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn partitioned_by_site_nothing_is_shared() {
    let output = run_small(&["--policies", "shipping"]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(table.matches(ACTIVATED).count(), 3, "{table}");
    assert!(table.contains("policies  shipping"), "{table}");
    assert!(table.contains("nothing is shared"), "{table}");
}

#[test]
fn killed_right_after_the_worker_was_activated_it_answers_as_before() {
    let profile = TempDir::new().unwrap();
    let mut child = program(&[
        "--font",
        small_font(),
        "--profile",
        profile.path().to_str().unwrap(),
    ])
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut table = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(ACTIVATED) {
        line.clear();
        assert_ne!(
            table.read_line(&mut line).unwrap(),
            0,
            "it was never activated"
        );
    }
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_answered_as_before(profile.path());
}

#[test]
fn a_second_run_on_a_profile_fetches_no_font_again() {
    let profile = TempDir::new().unwrap();
    assert_eq!(outcome(profile.path()).installs.len(), 1);
    let again = outcome(profile.path());
    assert_eq!((again.totals.this, again.totals.after_restart), (0, 0));
    assert_answered_as_before(profile.path());
}

#[test]
fn a_font_service_that_is_down_is_named_and_what_was_stored_still_answers() {
    let output = run_small(&["--fault", "fonts-down"]);
    let said = [
        "tea",
        "https://fonts.example.com/font/css: cannot connect",
        "check that the font service runs",
    ];
    assert_failed(&output, 6, &said);

    let profile = TempDir::new().unwrap();
    outcome(profile.path());
    let folder = profile.path().to_str().unwrap();
    let output = run_small(&["--profile", folder, "--fault", "fonts-down"]);
    let said = ["the alternatives were not measured", "cannot connect"];
    assert_failed(&output, 6, &said);
    let table = text(&output.stdout);
    for site in ["tea", "railway", "stars"] {
        let answered = table
            .lines()
            .filter(|line| line.starts_with(site) && line.contains("fonts worker"))
            .count();
        assert_eq!(answered, 2, "{table}");
    }
    assert_answered_as_before(profile.path());
}

/// A faulty worker is said, and a profile that has a good one keeps it.
fn assert_script_fault(fault: &str, more: &[&str], said: &[&str]) {
    let arguments = [&["--fault", fault], more].concat();
    let output = run_small(&arguments);
    assert_failed(
        &output,
        6,
        &["the fonts worker was not installed", "then run again"],
    );
    assert_failed(&output, 6, said);
    assert!(!text(&output.stdout).contains(ACTIVATED));

    let profile = TempDir::new().unwrap();
    outcome(profile.path());
    let folder = profile.path().to_str().unwrap();
    let output = run_small(&[&arguments[..], &["--profile", folder]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_answered_as_before(profile.path());
}

#[test]
fn a_script_with_a_syntax_error_is_named_with_its_place() {
    let said = ["https://fonts.example.com/sw.js:2:", "SyntaxError"];
    assert_script_fault("script-syntax", &[], &said);
}

#[test]
fn a_wrong_mime_type_is_named() {
    let said = [
        "https://fonts.example.com/sw.js has MIME type text/plain",
        "text/javascript",
    ];
    assert_script_fault("script-mime", &[], &said);
}

#[test]
fn a_scope_outside_of_what_is_allowed_is_named() {
    let said = [
        "scope https://fonts.example.com/",
        "Service-Worker-Allowed \"/font/\"",
    ];
    assert_script_fault("script-scope", &[], &said);
}

#[test]
fn a_worker_that_loops_for_ever_is_stopped_and_named() {
    let said = [
        "https://fonts.example.com/sw.js",
        "longer than the event timeout",
    ];
    assert_script_fault("script-loop", &["--event-timeout", "3"], &said);
}

#[test]
fn a_font_that_is_no_truetype_font_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("letter.ttf");
    fs::write(&path, "Dear reader, this is no font.").unwrap();
    let path = path.to_str().unwrap();
    assert_failed(&run(&["--font", path]), 3, &[path, "TrueType"]);
    fs::write(path, b"OTTO\0\x01\0\0\0\0\0\0").unwrap();
    assert_failed(&run(&["--font", path]), 3, &[path, "TrueType"]);
    let missing = folder.path().join("none.ttf");
    assert_failed(
        &run(&["--font", missing.to_str().unwrap()]),
        3,
        &["none.ttf"],
    );
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = ["cannot listen on", &address, "choose another port"];
    assert_failed(&run(&["--listen", &address]), 4, &said);
}

#[test]
fn a_profile_file_that_is_no_database_is_set_aside_and_the_run_goes_on() {
    for file in ["profile.redb", "caches.redb"] {
        let profile = TempDir::new().unwrap();
        let path = profile.path().join(file);
        fs::write(&path, "this is no database\n".repeat(1000)).unwrap();
        let output = run_small(&["--profile", profile.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        let table = text(&output.stdout);
        let notices: Vec<&str> = table
            .lines()
            .filter(|line| line.starts_with("notice"))
            .collect();
        let [notice] = notices.as_slice() else {
            panic!("{table}");
        };
        assert!(notice.contains("was not usable"), "{notice}");
        let aside = profile.path().join(format!("{file}.damaged-1"));
        assert!(notice.contains(aside.to_str().unwrap()), "{notice}");
        let kept = fs::read_to_string(aside).unwrap();
        assert!(kept.starts_with("this is no database"));
    }
}

#[test]
fn a_profile_that_cannot_be_a_folder_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    assert_failed(&run(&["--profile", path]), 5, &[path, "--profile DIR"]);
}

#[test]
fn a_profile_in_use_is_named() {
    let profile = TempDir::new().unwrap();
    let folder = profile.path().to_str().unwrap();
    let mut first = program(&["--profile", folder, "--fault", "script-loop"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its worker loops, so that it keeps the profile for as long as this needs.
    let mut table = BufReader::new(first.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("tea") {
        line.clear();
        assert_ne!(
            table.read_line(&mut line).unwrap(),
            0,
            "tea was not measured"
        );
    }
    let output = run_small(&["--profile", folder]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_failed(&output, 5, &["in use", folder]);
}

#[test]
fn a_wrong_command_line_is_said_in_one_line() {
    assert_failed(&run(&["--fonts"]), 2, &["--fonts", "--help"]);
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Exit codes:"));
}

#[test]
fn a_table_that_nobody_reads_ends_the_run() {
    let mut child = program(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut line = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut line)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7), "{line}");
    assert!(line.contains("cannot write the table"), "{line}");
    assert_eq!(line.lines().count(), 1);
}
