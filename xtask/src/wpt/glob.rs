//! Patterns of names: `*` stands for any characters, `\*` and `\\` for themselves.

/// Whether all of `text` matches `pattern`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let parts = parts(pattern);
    let Some((first, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    let Some(mut left) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some((last, middle)) = rest.split_last() else {
        return left.is_empty();
    };
    // Each part at its first place leaves most to the others.
    for part in middle {
        match left.find(part.as_str()) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last.as_str())
}

/// The pattern that matches only this text.
pub(super) fn exactly(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*")
}

/// What every text that matches begins with.
pub(super) fn beginning(pattern: &str) -> String {
    parts(pattern).swap_remove(0)
}

/// What stands between the stars; at least one part.
fn parts(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character == '*' {
            parts.push(String::new());
            continue;
        }
        let literal = match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(part) = parts.last_mut() {
            part.push(literal);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_characters_and_an_escaped_one_is_a_star() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("a/*.html", "a/b/c.html"),
            ("a*b*c", "a b b c"),
            ("*b", "bb"),
            ("a\\*b", "a*b"),
            ("\\\\", "\\"),
            ("\\", "\\"),
            ("é*", "éa"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "ab"),
            ("a*", "ba"),
            ("a*a", "a"),
            ("a*b*c", "a c b"),
            ("a\\*", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn an_exact_pattern_matches_its_text_and_no_other() {
        for text in ["", "a*b", "\\*", "a\\", "**"] {
            let pattern = exactly(text);
            assert!(matches(&pattern, text), "{text}");
            assert!(!matches(&pattern, &format!("{text}x")), "{text}");
            assert_eq!(beginning(&pattern), text);
        }
        assert_eq!(beginning("a/b*c"), "a/b");
    }
}
