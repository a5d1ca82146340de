//! Cuts a streamed body into lines, wherever its chunks end.

/// No line of ours is longer; a description has 255 characters of at most four bytes.
pub(super) const LONGEST: usize = 4_096;

/// What was received and is not a whole line yet.
#[derive(Debug)]
pub(in crate::api) struct Lines {
    /// Longer ones are not kept.
    longest: usize,
    begun: Vec<u8>,
    /// The line begun is too long; the rest of it is not kept.
    cut: bool,
}

impl Lines {
    pub(in crate::api) fn new(longest: usize) -> Self {
        Self { longest, begun: Vec::new(), cut: false }
    }

    /// Takes a chunk, and gives each line that ends in it, without its end; a line that is too long
    /// as `None`.
    pub(in crate::api) fn take(&mut self, chunk: &[u8], mut line: impl FnMut(Option<&[u8]>)) {
        let mut parts = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let ends = parts.peek().is_some();
            if ends && self.begun.is_empty() && !self.cut && part.len() <= self.longest {
                line(Some(trimmed(part)));
                continue;
            }
            self.cut |= self.begun.len() + part.len() > self.longest;
            if !self.cut {
                self.begun.extend_from_slice(part);
            }
            if ends {
                self.end(&mut line);
            }
        }
    }

    /// The body has ended: its last line needs no newline.
    pub(in crate::api) fn finish(&mut self, mut line: impl FnMut(Option<&[u8]>)) {
        if self.cut || !self.begun.is_empty() {
            self.end(&mut line);
        }
    }

    fn end(&mut self, line: &mut impl FnMut(Option<&[u8]>)) {
        line((!self.cut).then_some(trimmed(&self.begun)));
        self.begun.clear();
        self.cut = false;
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_wherever_chunks_end() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!("one\r\n\ntwo\n{long}\nthree\n{}", "y".repeat(LONGEST));
        let expected: Vec<Option<String>> = text
            .split('\n')
            .map(|line| line.trim_end_matches('\r').to_owned())
            .map(|line| (line.len() <= LONGEST).then_some(line))
            .collect();
        for size in [1, 2, 3, 7, 100, LONGEST, text.len()] {
            let (mut lines, mut seen) = (Lines::new(LONGEST), Vec::new());
            let mut keep = |line: Option<&[u8]>| {
                seen.push(line.map(|line| String::from_utf8(line.to_vec()).unwrap()));
            };
            text.as_bytes().chunks(size).for_each(|chunk| lines.take(chunk, &mut keep));
            lines.finish(&mut keep);
            assert_eq!(seen, expected, "{size}");
            assert!(lines.begun.capacity() <= 2 * LONGEST);
        }
    }
}
