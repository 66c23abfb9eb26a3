//! Reading the dates that `Expires` has, in all their spellings. (RFC 6265bis, §5.1.1.)

/// *Parse a cookie-date*: milliseconds since the Unix epoch, 0 for what lies before it; `None` if it
/// is no date.
pub(super) fn parse(date: &[u8]) -> Option<u64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    // Step 2.
    for token in date.split(|byte| is_delimiter(*byte)) {
        if time.is_none() {
            time = as_time(token);
            if time.is_some() {
                continue;
            }
        }
        if day.is_none() {
            day = as_number(token, 1, 2);
            if day.is_some() {
                continue;
            }
        }
        if month.is_none() {
            month = as_month(token);
            if month.is_some() {
                continue;
            }
        }
        if year.is_none() {
            year = as_number(token, 2, 4);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    // Steps 3 and 4.
    let year = match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        year => year,
    };
    // Steps 5 and 6.
    let is_valid = (1..=31).contains(&day)
        && year >= 1601
        && hour <= 23
        && minute <= 59
        && second <= 59
        && day <= days_of(month, year);
    if !is_valid {
        return None;
    }
    // Step 7.
    let days = days_since_epoch(year, month, day);
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60;
    let milliseconds = (seconds + i64::from(second)) * 1000;
    Some(u64::try_from(milliseconds).unwrap_or(0))
}

const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// `hh:mm:ss`, each of one or two digits, and then anything that does not begin with a digit.
fn as_time(token: &[u8]) -> Option<(u32, u32, u32)> {
    let mut fields = token.splitn(3, |byte| *byte == b':');
    let hour = whole_number(fields.next()?, 1, 2)?;
    let minute = whole_number(fields.next()?, 1, 2)?;
    let second = as_number(fields.next()?, 1, 2)?;
    Some((hour, minute, second))
}

/// A number of so many digits, and then anything that does not begin with a digit.
fn as_number(token: &[u8], least: usize, most: usize) -> Option<u32> {
    let digits = token.iter().take_while(|byte| byte.is_ascii_digit());
    let count = digits.count();
    whole_number(&token[..count], least, most)
}

fn whole_number(digits: &[u8], least: usize, most: usize) -> Option<u32> {
    let is_number = (least..=most).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok()?;
    is_number.then(|| digits.parse().ok()).flatten()
}

/// 1 to 12, by the first three letters.
fn as_month(token: &[u8]) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = token.get(..3)?;
    let index = MONTHS
        .iter()
        .position(|month| start.eq_ignore_ascii_case(month.as_bytes()))?;
    u32::try_from(index + 1).ok()
}

const fn days_of(month: u32, year: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// In the Gregorian calendar, with years that begin in March.
fn days_since_epoch(year: u32, month: u32, day: u32) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_all_their_spellings() {
        let first = Some(784_111_777_000);
        for (date, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", first),
            ("Sunday, 06-Nov-94 08:49:37 GMT", first),
            ("Sun Nov  6 08:49:37 1994", first),
            ("6 november 94 8:49:37xyz", first),
            ("08:49:37;1994;nov;06", first),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
            ("01 Jan 00 00:00:00", Some(946_684_800_000)),
            ("29 Feb 2024 12:00:00", Some(1_709_208_000_000)),
            ("29 Feb 2023 12:00:00", None),
            ("31 Apr 2023 12:00:00", None),
            ("32 Jan 2023 12:00:00", None),
            ("1 Jan 1600 12:00:00", None),
            ("1 Jan 2023 24:00:00", None),
            ("1 Jan 2023 12:60:00", None),
            ("1 Jan 2023 12:00:60", None),
            ("1 Jan 2023", None),
            ("1 2023 12:00:00", None),
            ("", None),
            ("never", None),
        ] {
            assert_eq!(parse(date.as_bytes()), expected, "{date}");
        }
    }
}
