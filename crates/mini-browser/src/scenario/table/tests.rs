//! How the table looks.

use super::*;
use crate::scenario::Answer;

fn answer(answered_by: Answerer) -> Answer {
    Answer {
        url: String::new(),
        answered_by,
        characters: 1,
        bytes: 1,
    }
}

fn site(css: Answerer, files: &[Answerer], wanted: usize, fetched: usize, bytes: u64) -> Load {
    Load {
        site: "railway".into(),
        origin: "https://example.org".into(),
        after_restart: false,
        controller: "https://example.org/sw.js".into(),
        wanted: "字".repeat(wanted),
        lacking: String::new(),
        css: answer(css),
        files: files.iter().copied().map(answer).collect(),
        characters_fetched: fetched,
        wire_bytes: bytes,
        origin_requests: Vec::new(),
    }
}

fn policies(partitioned: bool) -> PolicyFacts {
    PolicyFacts {
        name: if partitioned { "shipping" } else { "seeds" }.into(),
        partitioned,
    }
}

const WORKER: Answerer = Answerer::FallThroughWorker;

#[test]
fn the_columns_stand_below_each_other() {
    let installed = Install {
        caused_by: "tea".into(),
        characters_fetched: 281,
        wire_bytes: 61_234,
        origin_requests: Vec::new(),
    };
    let text = [
        columns(),
        load(&site(
            Answerer::Network,
            &[Answerer::Network],
            124,
            124,
            40_123,
        )),
        install(&installed),
        load(&site(WORKER, &[WORKER, WORKER], 141, 97, 1_234_567)),
        restarted().to_owned(),
        load(&site(WORKER, &[WORKER, Answerer::Network], 5, 0, 0)),
    ]
    .concat();
    assert_eq!(
        text,
        "
site                           wanted  css from      fonts from        fetched       bytes
-------  --------------------  ------  ------------  ----------------  -------  ----------
railway  https://example.org      124  network       1 × network           124      40,123
         fonts worker activated: its script, kana and ASCII                281      61,234
railway  https://example.org      141  fonts worker  2 × fonts worker       97   1,234,567
the browser was closed, and opened again on the same profile
railway  https://example.org        5  fonts worker  2 × mixed               0           0
"
    );
}

#[test]
fn no_line_is_wider_than_a_hundred_columns() {
    let totals = Totals {
        sites: 3,
        whole_font_per_site: 11_234_567,
        subset_per_site: 123_456,
        this: 145_678,
        of_which_installations: 61_234,
        answered_by_worker: 48_000,
        sites_answered_by_worker: 2,
        subset_for_the_same: 81_000,
        after_restart: 20_000,
    };
    for partitioned in [false, true] {
        let text = columns() + &super::totals(&totals, &policies(partitioned));
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn the_totals_say_what_is_gained_and_what_is_not() {
    let totals = Totals {
        sites: 3,
        whole_font_per_site: 11_234_567,
        subset_per_site: 123_456,
        this: 145_678,
        of_which_installations: 61_234,
        answered_by_worker: 48_000,
        sites_answered_by_worker: 2,
        subset_for_the_same: 81_000,
        after_restart: 20_000,
    };
    assert_eq!(
        super::totals(&totals, &policies(false)),
        "
3 sites, bytes that the font service sent (same tables and packing for all)
  whole font per site     11,234,567
  subset per site            123,456
  this                       145,678  of which 61,234 to install the worker
  after the restart           20,000  all sites again

The 2 sites that the worker answered at once cost 48,000; a subset for each of them, 81,000.
With one site nothing is gained over a subset: the first answer comes from the network, and the
worker's kana and ASCII come on top. The gain grows with each site that shares characters.
"
    );
    let shipping = super::totals(&totals, &policies(true));
    assert!(shipping.contains("nothing is shared"), "{shipping}");
}

#[test]
fn the_heading_says_what_was_chosen() {
    let font = FontFacts {
        family: "M PLUS 1".into(),
        source: "/fonts/m.ttf".into(),
        description: "M PLUS 1 (4.1 MB) from /fonts/m.ttf: the licence".into(),
        bytes: 4_100_000,
        characters: 5_500,
    };
    let fonts = "127.0.0.1:8443".parse().unwrap();
    let text = heading(&font, &policies(false), Path::new("/tmp/p"), true, fonts);
    assert_eq!(
        text,
        "font      M PLUS 1 (4.1 MB) from /fonts/m.ttf: the licence
policies  seeds: one storage for everyone, as the proposals assume (--policies shipping: by site)
profile   /tmp/p (removed at the end)
service   https://fonts.example.com on 127.0.0.1:8443
"
    );
}

#[test]
fn thousands_are_grouped() {
    let numbers = [0, 999, 1000, 65_535, 1_234_567];
    assert_eq!(
        numbers.map(grouped),
        ["0", "999", "1,000", "65,535", "1,234,567"]
    );
}
