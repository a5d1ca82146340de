//! A message of which only the marks and the person are still to be written.

use memchr::memmem::find_iter;

use super::mark::{BLANK, Mark, write_number};

/// Who writes: so many people, each a conversation of its own.
pub(crate) const PEOPLE: u32 = 200;
/// A person still to be written.
pub(crate) const PERSON: &str = "person000";
const PERSON_DIGITS: usize = 3;

/// See the head of this file.
#[derive(Clone)]
pub(crate) struct Template {
    text: Vec<u8>,
    marks: Vec<usize>,
    people: Vec<usize>,
    /// Where the attempt's digit stands, if there is one: behind the first mark and a dash.
    attempt: Option<usize>,
}

impl Template {
    pub(crate) fn new(text: String) -> Self {
        let places = |what: &str| find_iter(text.as_bytes(), what).collect::<Vec<_>>();
        let (marks, people) = (places(BLANK), places(PERSON));
        let attempt = text.find(&format!("{BLANK}-0")).map(|at| at + BLANK.len() + 1);
        Self { marks, people, attempt, text: text.into_bytes() }
    }

    /// The message of this mark; `attempt` is one digit.
    pub(crate) fn fill(&mut self, mark: Mark, attempt: u8) -> &[u8] {
        for at in &self.marks {
            mark.write(&mut self.text[*at..*at + BLANK.len()]);
        }
        for at in &self.people {
            let digits = at + PERSON.len() - PERSON_DIGITS;
            write_number(mark.number % PEOPLE, &mut self.text[digits..digits + PERSON_DIGITS]);
        }
        if let Some(at) = self.attempt {
            self.text[at] = b'0' + attempt % 10;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_again_and_again() {
        let mut template = Template::new(format!("{BLANK}-0 from {PERSON} {BLANK}"));
        let first = Mark { stretch: 1, number: 201 };
        assert_eq!(
            template.fill(first, 1),
            b"load-0001-00000201-1 from person001 load-0001-00000201"
        );
        let second = Mark { stretch: 1, number: 7 };
        assert_eq!(
            template.fill(second, 0),
            b"load-0001-00000007-0 from person007 load-0001-00000007"
        );
    }
}
