//! Values of the simple headers: numbers, media types, dates.

use super::Params;
use bytestring::ByteString;

/// A decimal number of at most 2^32 - 1, nothing around it (RFC 3261 §25.1 `1*DIGIT`).
#[must_use]
pub fn parse_u32(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `type/subtype;parameters` (RFC 3261 §20.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    kind: ByteString,
    subtype: ByteString,
    params: Params,
}

impl MediaType {
    /// Reads a media type; `None` if it is none.
    #[must_use]
    pub fn parse(text: &ByteString) -> Option<Self> {
        let whole: &str = text;
        let (essence, run) = whole.split_at(whole.find(';').unwrap_or(whole.len()));
        let (kind, subtype) = essence.split_once('/')?;
        let (kind, subtype) = (kind.trim(), subtype.trim());
        let tokens =
            [kind, subtype].iter().all(|t| !t.is_empty() && t.bytes().all(super::is_token));
        let params = Params::new(text.slice_ref(run));
        (tokens && params.is_sound()).then(|| Self {
            kind: text.slice_ref(kind),
            subtype: text.slice_ref(subtype),
            params,
        })
    }

    /// Whether this is `essence`, such as `text/plain`, in any letter case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        essence.split_once('/').is_some_and(|(kind, subtype)| {
            self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
        })
    }

    /// The part before the slash, as written.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The part after the slash, as written.
    #[must_use]
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// The parameters, such as `charset` and `boundary`.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }
}

/// A moment of a Date header, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_seconds: i64,
}

/// Reads a SIP date, `Sat, 13 Nov 2010 23:29:00 GMT` (RFC 3261 §20.17: GMT only).
#[must_use]
pub fn parse_date(text: &str) -> Option<WallTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (day_name, rest) = text.trim().split_once(',')?;
    let mut words = rest.split_ascii_whitespace();
    let day = parse_u32(words.next()?)?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month_name))?;
    let year = parse_u32(words.next()?)?;
    let mut clock = words.next()?.split(':').map(parse_u32);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone = words.next()?;
    let sound = (1..=31).contains(&day)
        && (1..=9999).contains(&year)
        && hour < 24
        && minute < 60
        && second <= 60
        && zone == "GMT"
        && DAYS.iter().any(|d| d.eq_ignore_ascii_case(day_name.trim()))
        && clock.next().is_none()
        && words.next().is_none();
    let days = days_from_civil(i64::from(year), i64::try_from(month).ok()? + 1, i64::from(day));
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    sound.then_some(WallTime { unix_seconds: days * 86_400 + of_day })
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year is taken to begin in March, so that the leap day is its last day.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
