//! Where transactions lie: each in a place of its own, which its id names.
//!
//! ```text
//! id ─────────────────────────────────▶ Slots: a row of places ─▶ transaction
//! what identifies it ─hash─▶ Index: places ──▲
//! ```
//! An index holds nothing but places, four bytes each: at its full room it fits into a processor's
//! cache, where a table of keys and ids would be five times as large.

use hashbrown::HashTable;

/// The low bits of an id name its place, the others are a number that is never used twice.
const PLACE_BITS: u32 = 20;
/// At most so many at a time.
pub(super) const MOST: usize = 1 << PLACE_BITS;

/// What has no place, but draws its number from the same row, has this id.
pub(super) fn without_place(number: u64) -> u64 {
    number << PLACE_BITS
}

/// Where a transaction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

impl Place {
    /// Of what has, or had, this id.
    fn of(id: u64) -> Self {
        Place(u32::try_from(id & (MOST as u64 - 1)).unwrap_or(0))
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Transactions by their ids.
#[derive(Debug)]
pub(super) struct Slots<T> {
    rows: Vec<Option<(u64, Box<T>)>>,
    /// The one that was left last is taken first: it is still in the cache.
    free: Vec<Place>,
}

impl<T> Slots<T> {
    /// Room for `limit`, of which nothing costs memory before it is used.
    pub(super) fn new(limit: usize) -> Self {
        Slots { rows: Vec::with_capacity(limit.min(MOST)), free: Vec::new() }
    }

    /// Gives its id. The number must never have been used before; at most [`MOST`] at a time.
    pub(super) fn insert(&mut self, number: u64, thing: T) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            Place::of(self.rows.len() as u64 - 1)
        });
        let id = without_place(number) | u64::from(place.0);
        if let Some(row) = self.rows.get_mut(place.index()) {
            *row = Some((id, Box::new(thing)));
        }
        id
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.at(Place::of(id)).filter(|(own, _)| *own == id).map(|(_, thing)| thing)
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (own, thing) = self.rows.get_mut(Place::of(id).index())?.as_mut()?;
        (*own == id).then_some(thing)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Box<T>> {
        let place = Place::of(id);
        let row = self.rows.get_mut(place.index())?;
        let (_, thing) = row.take_if(|(own, _)| *own == id)?;
        self.free.push(place);
        Some(thing)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    fn at(&self, place: Place) -> Option<(u64, &T)> {
        let (id, thing) = self.rows.get(place.index())?.as_ref()?;
        Some((*id, thing))
    }
}

/// Finds transactions by a hash of what identifies them, which must be spread over all its bits.
#[derive(Debug)]
pub(super) struct Index(HashTable<Place>);

impl Index {
    pub(super) fn with_room(room: usize) -> Self {
        Index(HashTable::with_capacity(room))
    }

    /// The id of the one with this hash for which `is` says so.
    pub(super) fn find<T>(
        &self,
        slots: &Slots<T>,
        hash: u64,
        is: impl Fn(&T) -> bool,
    ) -> Option<u64> {
        let is = |place: &Place| slots.at(*place).is_some_and(|(_, thing)| is(thing));
        slots.at(*self.0.find(hash, is)?).map(|(id, _)| id)
    }

    /// `hash_of` gives the hash of any that is in it: of the new one now, of all should they move.
    pub(super) fn insert<T>(&mut self, slots: &Slots<T>, id: u64, hash_of: impl Fn(&T) -> u64) {
        let hash_of = |place: &Place| slots.at(*place).map_or(0, |(_, thing)| hash_of(thing));
        let place = Place::of(id);
        self.0.insert_unique(hash_of(&place), place, hash_of);
    }

    pub(super) fn remove(&mut self, hash: u64, id: u64) {
        if let Ok(entry) = self.0.find_entry(hash, |place| *place == Place::of(id)) {
            entry.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_but_never_an_id() {
        let mut slots = Slots::new(2);
        let (first, second) = (slots.insert(1, "a"), slots.insert(2, "b"));
        assert_eq!((slots.get(first), slots.get(second), slots.len()), (Some(&"a"), Some(&"b"), 2));
        assert_eq!(slots.remove(first).as_deref(), Some(&"a"));
        let third = slots.insert(3, "c");
        assert_eq!(Place::of(third), Place::of(first));
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(third), Some(&"c"));
        assert_eq!(slots.get_mut(second), Some(&mut "b"));
        assert_eq!(slots.len(), 2);
    }

    #[test]
    fn an_id_without_a_place_is_nobodys() {
        let mut slots = Slots::new(2);
        let id = slots.insert(7, "a");
        assert_eq!(Place::of(id), Place::of(without_place(8)));
        assert_eq!(slots.get(without_place(8)), None);
    }

    #[test]
    fn an_index_tells_those_of_one_hash_apart_and_outgrows_its_room() {
        let (mut slots, mut index) = (Slots::new(100), Index::with_room(1));
        let hash = |thing: &u64| thing / 2;
        for number in 0..100 {
            let id = slots.insert(number, number);
            index.insert(&slots, id, hash);
        }
        let find = |index: &Index, thing| index.find(&slots, hash(&thing), |it| *it == thing);
        for thing in 0..100 {
            let id = find(&index, thing).expect("was put in");
            assert_eq!(slots.get(id), Some(&thing));
        }
        index.remove(hash(&8), find(&index, 8).expect("was put in"));
        assert_eq!(find(&index, 8), None);
        assert!(find(&index, 9).is_some(), "of the same hash");
    }
}
