//! Finds the scenario's font, *M PLUS 1*, with nothing but cargo, and puts it into the binary.
//!
//! The crate `mplusfonts-macros` carries the font file and its licence. Cargo downloads that crate
//! because `Cargo.toml` names it as a build-dependency, but it does not tell where it lies. So:
//! write a probe package that depends on it and on nothing else, and ask `cargo metadata` about
//! the probe. (Asked about this workspace, the command fails with an empty registry: it wants the
//! dependencies of every member, and cargo has only downloaded those of the packages being built.)
//!
//! A font that is not found never fails the build. The program then says so when it runs, and
//! asks for `--font PATH`.

use std::env;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that carries the font.
const CARRIER: &str = "mplusfonts-macros";
/// Where the font and its licence lie inside that package.
const FONT: &str = "fonts/MPLUS1[wght].ttf";
const LICENCE: &str = "fonts/LICENSE";

/// Sets `cfg(bundled_font)` and the variables `MINI_BROWSER_FONT` (a copy of the font in
/// `OUT_DIR`), `MINI_BROWSER_FONT_LICENCE` (a copy of its licence) and `MINI_BROWSER_FONT_SOURCE`
/// (the path it was copied from); none of them when there is no font.
pub(crate) fn bundle() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/font.rs");
    println!("cargo::rustc-check-cfg=cfg(bundled_font)");
    match find_and_copy() {
        Ok(found) => {
            println!("cargo::rustc-cfg=bundled_font");
            println!(
                "cargo::rustc-env=MINI_BROWSER_FONT={}",
                found.font.display()
            );
            println!(
                "cargo::rustc-env=MINI_BROWSER_FONT_LICENCE={}",
                found.licence.display()
            );
            println!(
                "cargo::rustc-env=MINI_BROWSER_FONT_SOURCE={}",
                found.source.display()
            );
        }
        Err(error) => {
            // A file that is never there: look again at the next build.
            println!("cargo::rerun-if-changed=build/no-font-was-found");
            // A warning is one line; what cargo said may be several.
            let error = error.to_string().replace('\n', " ");
            println!(
                "cargo::warning=no font is built in, mini-browser will need --font PATH: {error}"
            );
        }
    }
}

struct Found {
    font: PathBuf,
    licence: PathBuf,
    source: PathBuf,
}

fn find_and_copy() -> Result<Found, Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let probe = write_probe(&out, &here)?;
    let carrier = carrier_directory(&probe)?;

    let source = carrier.join(FONT);
    let found = Found {
        font: out.join("font.ttf"),
        licence: out.join("font-licence.txt"),
        source: source.clone(),
    };
    copy(&source, &found.font)?;
    copy(&carrier.join(LICENCE), &found.licence)?;
    Ok(found)
}

/// Writes the probe package and returns its directory.
fn write_probe(out: &Path, here: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let probe = out.join("font-probe");
    fs::create_dir_all(probe.join("src"))?;
    fs::write(probe.join("src/lib.rs"), "")?;
    // Any version will do here, because the lock file beside it says which one.
    fs::write(
        probe.join("Cargo.toml"),
        format!(
            "[package]\nname = \"font-probe\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [workspace]\n\n[dependencies]\n{CARRIER} = \"*\"\n"
        ),
    )?;

    let copied = probe.join("Cargo.lock");
    match here
        .ancestors()
        .map(|directory| directory.join("Cargo.lock"))
        .find(|lock| lock.is_file())
    {
        Some(lock) => {
            println!("cargo::rerun-if-changed={}", lock.display());
            copy(&lock, &copied)?;
        }
        None => match fs::remove_file(&copied) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        },
    }
    Ok(probe)
}

/// Asks cargo where the carrier's source lies.
fn carrier_directory(probe: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // A build-dependency is downloaded for the machine that builds, so ask for that one.
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--offline", "--format-version", "1"])
        .args(["--filter-platform", &env::var("HOST")?])
        .current_dir(probe)
        // `cargo clippy` sets this one to its driver: the probe compiles nothing.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata failed: {}", said.trim()).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == CARRIER)
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo metadata does not name {CARRIER}"))?;
    let directory = Path::new(manifest)
        .parent()
        .ok_or_else(|| format!("{manifest} is in no directory"))?;
    Ok(directory.to_path_buf())
}

/// Copies a file, unless the copy is there already: an untouched copy lets rustc keep its work.
fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let name = |error| {
        format!(
            "cannot copy {} to {}: {error}",
            from.display(),
            to.display()
        )
    };
    let bytes = fs::read(from).map_err(name)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).map_err(name)?;
    Ok(())
}
