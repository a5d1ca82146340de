//! A million names in order, as the text that they are: 20 MB in blocks, one name a line.
//!
//! A search is a scan over the text at the speed of memory, with no index to keep beside it. Blocks
//! are shared: a reader takes a copy of the list of blocks and then its time, while a writer makes
//! the few blocks anew that a change touches.

use std::sync::Arc;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

/// A block that grows beyond so many bytes is cut in two: what one change of it costs is some µs.
const FULL: usize = 32 * 1024;
/// A block that shrinks below joins the one after it.
const POOR: usize = 4 * 1024;

/// See the head of this file. A copy costs some 10 µs with a million names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// In order; none is empty.
    blocks: Vec<Arc<Block>>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// Names in order, each with a newline behind it. All are ASCII.
    text: Vec<u8>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        let block = self.blocks.get(self.block_of(name));
        block.is_some_and(|block| block.seek(name).is_ok())
    }

    /// Adds a name, if it is not there.
    pub(crate) fn insert(&mut self, name: &str) {
        if self.blocks.is_empty() {
            self.blocks.push(Arc::default());
        }
        let at = self.block_of(name);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let Err(place) = block.seek(name) else { return };
        let block = Arc::make_mut(block);
        block.text.splice(place..place, format!("{name}\n").into_bytes());
        self.count += 1;
        if block.text.len() > FULL {
            let second = block.cut();
            self.blocks.insert(at + 1, Arc::new(second));
        }
    }

    /// Removes a name, if it is there.
    pub(crate) fn remove(&mut self, name: &str) {
        let at = self.block_of(name);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let Ok(place) = block.seek(name) else { return };
        let block = Arc::make_mut(block);
        block.text.drain(place..=place + name.len());
        self.count -= 1;
        if block.text.is_empty() {
            self.blocks.remove(at);
        } else if block.text.len() < POOR {
            self.join(at);
        }
    }

    /// The names after `cursor` that contain `search`, in order.
    pub(crate) fn after(&self, cursor: Option<&str>, search: &str) -> impl Iterator<Item = &str> {
        let first = cursor.map_or(0, |name| self.block_of(name));
        let finder = finder(search).into_owned();
        // What is beyond the cursor in the first block; then whole blocks.
        let rest = self.blocks.get(first).map_or(&[][..], |block| match cursor {
            Some(name) => block.beyond(name),
            None => &block.text,
        });
        let others = self.blocks.iter().skip(first + 1).map(|block| &block.text[..]);
        let texts = std::iter::once(rest).chain(others);
        texts.flat_map(move |text| Lines { text, finder: finder.clone() })
    }

    /// How many names contain `search`; `None` if more than `most`, which are not counted.
    pub(crate) fn count(&self, search: &str, most: usize) -> Option<usize> {
        let finder = finder(search);
        self.blocks.iter().try_fold(0, |counted, block| {
            let counted = counted + count_lines(&block.text, &finder);
            (counted <= most).then_some(counted)
        })
    }

    /// Where the name is, or would be: the last block that does not begin behind it.
    fn block_of(&self, name: &str) -> usize {
        let begun = self.blocks.partition_point(|block| block.first() <= name.as_bytes());
        begun.saturating_sub(1)
    }

    fn join(&mut self, at: usize) {
        let Some(next) = self.blocks.get(at + 1).cloned() else { return };
        let Some(block) = self.blocks.get_mut(at) else { return };
        if block.text.len() + next.text.len() <= FULL / 2 {
            Arc::make_mut(block).text.extend_from_slice(&next.text);
            self.blocks.remove(at + 1);
        }
    }
}

/// Takes names that are in order already, as [`Names::insert`] would one by one.
impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let (mut all, mut text) = (Names::default(), Vec::new());
        for name in names {
            // Not full, so that it has room for more.
            if text.len() + name.len() >= FULL * 3 / 4 {
                all.blocks.push(Arc::new(Block { text: std::mem::take(&mut text) }));
                text.reserve_exact(FULL * 3 / 4);
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b'\n');
            all.count += 1;
        }
        if !text.is_empty() {
            all.blocks.push(Arc::new(Block { text }));
        }
        all
    }
}

impl Block {
    fn first(&self) -> &[u8] {
        self.text.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }

    /// Where the name begins, or where it would have to be put. By halves of the text, as there is
    /// no list of where lines begin.
    fn seek(&self, name: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.text.len());
        while low < high {
            let middle = low.midpoint(high);
            let start = memrchr(b'\n', &self.text[low..middle]).map_or(low, |at| low + at + 1);
            let line = line_at(&self.text[start..]);
            match line.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = start + line.len() + 1,
                std::cmp::Ordering::Greater => high = start,
                std::cmp::Ordering::Equal => return Ok(start),
            }
        }
        Err(low)
    }

    /// What comes after the name.
    fn beyond(&self, name: &str) -> &[u8] {
        match self.seek(name) {
            Ok(at) => &self.text[at + name.len() + 1..],
            Err(at) => &self.text[at..],
        }
    }

    /// Keeps the first half and gives the second.
    fn cut(&mut self) -> Block {
        let middle = self.text.len() / 2;
        let start = memrchr(b'\n', &self.text[..middle]).map_or(0, |at| at + 1);
        let second = Block { text: self.text.split_off(start) };
        self.text.shrink_to_fit();
        second
    }
}

/// The lines that contain what is sought.
struct Lines<'a> {
    text: &'a [u8],
    finder: Finder<'static>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let at = self.finder.find(self.text)?;
        let start = memrchr(b'\n', self.text.get(..at)?).map_or(0, |end| end + 1);
        let line = line_at(self.text.get(start..)?);
        // At the end of the text, where nothing is sought, there is no line any more.
        self.text = self.text.get(start + line.len() + 1..)?;
        std::str::from_utf8(line).ok()
    }
}

/// A line does not contain its end, nor what follows it.
fn finder(search: &str) -> Finder<'_> {
    Finder::new(if search.contains('\n') { "\0" } else { search })
}

fn count_lines(mut text: &[u8], finder: &Finder<'_>) -> usize {
    let mut count = 0;
    while let Some(at) = finder.find(text) {
        let Some(end) = memchr(b'\n', text.get(at..).unwrap_or_default()) else { break };
        count += 1;
        text = text.get(at + end + 1..).unwrap_or_default();
    }
    count
}

/// The text up to its first newline.
fn line_at(text: &[u8]) -> &[u8] {
    let end = memchr(b'\n', text).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests;
