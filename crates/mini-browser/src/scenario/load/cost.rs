//! What requests cost, by the font service's own log.

use super::super::font::CharSet;
use crate::net::server::LogEntry;

/// What some requests cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Cost {
    /// How many characters were asked for in fonts (a style sheet has none).
    pub(in super::super) characters_fetched: usize,
    /// The bytes of the bodies that were sent.
    pub(in super::super) wire_bytes: u64,
    /// Which requests, as indices into the log.
    pub(in super::super) requests: Vec<usize>,
}

impl Cost {
    pub(in super::super) fn of(log: &[LogEntry], requests: Vec<usize>) -> Self {
        let entries = || requests.iter().filter_map(|index| log.get(*index));
        Self {
            characters_fetched: entries().map(characters).sum(),
            wire_bytes: entries().map(|entry| entry.wire_bytes).sum(),
            requests,
        }
    }
}

/// The requests since `start` that pages made: those with an `Origin`, which `cors` requests to
/// another origin have.
pub(in super::super) fn asked_by_pages(log: &[LogEntry], start: usize) -> Vec<usize> {
    select(log, start, true)
}

/// The requests since `start` that the service's own worker made, and those for its script.
pub(in super::super) fn asked_by_workers(log: &[LogEntry], start: usize) -> Vec<usize> {
    select(log, start, false)
}

fn select(log: &[LogEntry], start: usize, by_pages: bool) -> Vec<usize> {
    let since = log.iter().enumerate().skip(start);
    since
        .filter(|(_, entry)| entry.headers.contains_key("origin") == by_pages)
        .map(|(index, _)| index)
        .collect()
}

/// The characters of the font that a request asked for.
fn characters(entry: &LogEntry) -> usize {
    let target = entry.path_and_query.split_once('?');
    let Some(("/font/file" | "/font/segment", query)) = target else {
        return 0;
    };
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "u")
        .and_then(|(_, value)| CharSet::from_query(&value).ok())
        .map_or(0, |characters| characters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, origin: Option<&str>, wire_bytes: u64) -> LogEntry {
        let mut entry = LogEntry {
            path_and_query: path.to_owned(),
            wire_bytes,
            ..LogEntry::default()
        };
        if let Some(origin) = origin {
            entry.headers.insert("origin".to_owned(), origin.to_owned());
        }
        entry
    }

    #[test]
    fn the_requests_of_pages_and_workers_are_told_apart() {
        let page = Some("https://example.com");
        let log = [
            entry("/font/css?u=before", page, 1),
            entry("/font/css?family=x&u=ab", page, 10),
            entry("/sw.js", None, 100),
            entry("/font/file?u=ab", page, 1000),
            entry("/font/segment?u=%E8%8C%B6&lacking=c", None, 10_000),
        ];
        assert_eq!(
            Cost::of(&log, asked_by_pages(&log, 1)),
            Cost {
                characters_fetched: 2,
                wire_bytes: 1010,
                requests: vec![1, 3],
            }
        );
        assert_eq!(
            Cost::of(&log, asked_by_workers(&log, 1)),
            Cost {
                characters_fetched: 1,
                wire_bytes: 10_100,
                requests: vec![2, 4],
            }
        );
    }
}
