//! The table that people read, in at most 100 columns and without colours.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{Answerer, FontFacts, Install, Load, PolicyFacts, Totals, fonts_origin};

/// The first lines: what was chosen.
pub(super) fn heading(
    font: &FontFacts,
    policies: &PolicyFacts,
    profile: &Path,
    temporary: bool,
    fonts: SocketAddr,
) -> String {
    let sharing = if policies.partitioned {
        "storage by top-level site, so that nothing is shared between sites"
    } else {
        "one storage for everyone, as the proposals assume (--policies shipping: by site)"
    };
    let removed = if temporary {
        " (removed at the end)"
    } else {
        ""
    };
    format!(
        "font      {}\n\
         policies  {}: {sharing}\n\
         profile   {}{removed}\n\
         service   {} on {fonts}\n",
        font.description,
        policies.name,
        profile.display(),
        fonts_origin::ORIGIN,
    )
}

/// The head of the columns.
pub(super) fn columns() -> String {
    format!(
        "\n{}\n{}\n",
        line([
            "site",
            "",
            "wanted",
            "css from",
            "fonts from",
            "fetched",
            "bytes"
        ]),
        line([
            "-------",
            "--------------------",
            "------",
            "------------",
            "----------------",
            "-------",
            "----------"
        ]),
    )
}

/// One measured load.
pub(super) fn load(load: &Load) -> String {
    line([
        &load.site,
        &load.origin,
        &load.wanted.chars().count().to_string(),
        &load.css.answered_by.to_string(),
        &files(load),
        &load.characters_fetched.to_string(),
        &grouped(load.wire_bytes),
    ]) + "\n"
}

/// What is said the moment that the fonts worker is activated.
pub(super) const ACTIVATED: &str = "fonts worker activated";

/// One installation.
pub(super) fn install(install: &Install) -> String {
    line([
        "",
        &format!("{ACTIVATED}: its script, kana and ASCII"),
        "",
        "",
        "",
        &install.characters_fetched.to_string(),
        &grouped(install.wire_bytes),
    ]) + "\n"
}

/// What is said between the visits and the visits after the restart.
pub(super) fn restarted() -> &'static str {
    "the browser was closed, and opened again on the same profile\n"
}

/// The last lines: what it cost, against the alternatives, and what that does not show.
pub(super) fn totals(totals: &Totals, policies: &PolicyFacts) -> String {
    let mut text = format!(
        "\n{} sites, bytes that the font service sent (same tables and packing for all)\n",
        totals.sites
    );
    let mut row = |name: &str, bytes: u64, note: &str| {
        // Writing to a String cannot fail.
        _ = writeln!(
            text,
            "{}",
            format!("  {name:<22}{:>12}  {note}", grouped(bytes)).trim_end()
        );
    };
    row("whole font per site", totals.whole_font_per_site, "");
    row("subset per site", totals.subset_per_site, "");
    let once = match totals.of_which_installations {
        0 => "the worker was there already".to_owned(),
        bytes => format!("of which {} to install the worker", grouped(bytes)),
    };
    row("this", totals.this, &once);
    row("after the restart", totals.after_restart, "all sites again");
    text.push('\n');
    text.push_str(&limits(totals, policies));
    text
}

/// What the numbers mean, and what they do not.
fn limits(totals: &Totals, policies: &PolicyFacts) -> String {
    if policies.partitioned {
        return "Partitioned by top-level site, nothing is shared: each site installs a worker of its own, and\n\
                this costs more than a subset per site. What it buys is text that changes, and being offline.\n"
            .to_owned();
    }
    let mut text = String::new();
    if totals.sites_answered_by_worker > 0 {
        _ = writeln!(
            text,
            "The {} sites that the worker answered at once cost {}; a subset for each of them, {}.",
            totals.sites_answered_by_worker,
            grouped(totals.answered_by_worker),
            grouped(totals.subset_for_the_same),
        );
    }
    text.push_str(
        "With one site nothing is gained over a subset: the first answer comes from the network, and the\n\
         worker's kana and ASCII come on top. The gain grows with each site that shares characters.\n",
    );
    text
}

/// Who answered the fonts, and how many they were.
fn files(load: &Load) -> String {
    let mut answerers: Vec<Answerer> = load.files.iter().map(|file| file.answered_by).collect();
    answerers.sort_unstable();
    answerers.dedup();
    match answerers.as_slice() {
        [] => "none".to_owned(),
        [one] => format!("{} × {}", load.files.len(), one),
        _ => format!("{} × mixed", load.files.len()),
    }
}

fn line([site, origin, wanted, css, fonts, fetched, bytes]: [&str; 7]) -> String {
    // A text that needs the room of empty columns takes it.
    let text = if wanted.is_empty() && css.is_empty() && fonts.is_empty() {
        format!("{site:<7}  {origin:<60}")
    } else {
        format!("{site:<7}  {origin:<20}  {wanted:>6}  {css:<12}  {fonts:<16}")
    };
    format!("{text}  {fetched:>7}  {bytes:>10}")
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
