//! The mark by which a message is known wherever it comes: in branches, Call-IDs, ids and texts.

use std::sync::LazyLock;

use memchr::memmem::{Finder, find_iter};

/// What every mark begins with; it stands nowhere else in a message.
const START: &[u8] = b"load-";
/// A mark with its digits still to be written, as it stands in templates.
pub(crate) const BLANK: &str = "load-0000-00000000";
/// A domain for each mark, in templates.
pub(crate) const BLANK_DOMAIN: &str = "load-0000-00000000.example";
/// Digits of the stretch and of the number.
const DIGITS: (usize, usize) = (4, 8);

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(START));

/// One message of one stretch of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which stretch.
    pub stretch: u16,
    /// Which message of it.
    pub number: u32,
}

impl Mark {
    /// The first mark in a message.
    pub fn find(message: &[u8]) -> Option<Self> {
        let rest = message.get(FINDER.find(message)? + START.len()..)?;
        let (stretch, rest) = rest.split_at_checked(DIGITS.0)?;
        let (dash, rest) = rest.split_first()?;
        let number = read(rest.get(..DIGITS.1)?)?;
        (*dash == b'-').then_some(Self { stretch: read(stretch)?.try_into().ok()?, number })
    }

    /// All marks in a piece of a stream.
    pub(crate) fn all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        find_iter(bytes, START).filter_map(|at| Self::find(&bytes[at..]))
    }

    /// As it stands in messages.
    pub(crate) fn text(self) -> String {
        let mut text = BLANK.as_bytes().to_vec();
        self.write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Writes it over a blank one.
    pub(crate) fn write(self, over: &mut [u8]) {
        let digits = &mut over[START.len()..];
        write_number(self.stretch.into(), &mut digits[..DIGITS.0]);
        write_number(self.number, &mut digits[DIGITS.0 + 1..]);
    }
}

fn read(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// Writes a number with leading zeros.
pub(crate) fn write_number(mut number: u32, over: &mut [u8]) {
    for digit in over.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_where_it_was_written() {
        let mark = Mark { stretch: 42, number: 1_234_567 };
        let mut message = format!("Call-ID: {BLANK}\r\n").into_bytes();
        mark.write(&mut message[9..9 + BLANK.len()]);
        assert_eq!(message, b"Call-ID: load-0042-01234567\r\n");
        assert_eq!(Mark::find(&message), Some(mark));
        assert_eq!(Mark::all(&message.repeat(3)).collect::<Vec<_>>(), [mark; 3]);
        assert!(BLANK_DOMAIN.starts_with(BLANK));
    }

    #[test]
    fn what_is_no_mark_is_not_found() {
        for text in
            ["", "load", "load-", "load-0001-123", "load-00a1-00000000", "load-0001+00000000"]
        {
            assert_eq!(Mark::find(text.as_bytes()), None, "{text}");
        }
    }
}
