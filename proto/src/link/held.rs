//! Which tables are in force where several routers tell of theirs.
//!
//! All routers follow one store, some a moment later than others. So the newest tables are in force;
//! but a router that holds older ones than before has them from a store that went back, and when
//! all hold older ones, those are in force.

use super::Tables;

/// What each linked router `R` holds, as it last told.
#[derive(Debug)]
pub struct Held<R> {
    /// The newest last.
    routers: Vec<(R, Tables)>,
}

impl<R> Default for Held<R> {
    fn default() -> Self {
        Held { routers: Vec::new() }
    }
}

impl<R: Copy + Eq> Held<R> {
    /// A router tells of its tables, in place of those that it told of before. Returns what is in
    /// force now, if that may be something else than before.
    pub fn learn(&mut self, router: R, tables: Tables) -> Option<&Tables> {
        let was_in_force = self.take(router);
        let place = tables.place();
        let at = self.routers.partition_point(|(_, held)| held.place() <= place);
        let is_in_force = at == self.routers.len();
        self.routers.insert(at, (router, tables));
        self.in_force().filter(|_| is_in_force || was_in_force)
    }

    /// A router is gone. Returns as above; without any router, what was in force stays.
    pub fn forget(&mut self, router: R) -> Option<&Tables> {
        let was_in_force = self.take(router);
        self.in_force().filter(|_| was_in_force)
    }

    /// Whether no router has told of any tables.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty()
    }

    fn in_force(&self) -> Option<&Tables> {
        self.routers.last().map(|(_, tables)| tables)
    }

    /// Returns whether its tables were in force.
    fn take(&mut self, router: R) -> bool {
        let Some(at) = self.routers.iter().position(|(held, _)| *held == router) else {
            return false;
        };
        self.routers.remove(at);
        at == self.routers.len()
    }
}

impl Tables {
    /// Newer tables have a higher one.
    fn place(&self) -> (u64, u64) {
        (self.era.number, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Era;

    fn tables(number: u64, version: u64) -> Tables {
        Tables { era: Era { store: 7, number }, version, ..Tables::default() }
    }

    #[test]
    fn the_newest_is_in_force_and_a_router_that_goes_back_is_followed() {
        let mut held = Held::default();
        assert!(held.is_empty());
        for (router, told, in_force) in [
            ("a", (1, 100), Some((1, 100))),
            // The other one lags, and catches up.
            ("b", (1, 99), None),
            ("b", (1, 100), Some((1, 100))),
            ("b", (1, 101), Some((1, 101))),
            ("a", (1, 101), Some((1, 101))),
            // The store went back, and nobody has said so: when both are there, so are we.
            ("a", (1, 90), Some((1, 101))),
            ("b", (1, 91), Some((1, 91))),
            // It went back, and one of them has said so.
            ("a", (2, 70), Some((2, 70))),
            ("b", (1, 92), None),
            ("b", (2, 70), Some((2, 70))),
        ] {
            let now = held.learn(router, tables(told.0, told.1));
            assert_eq!(now.map(Tables::place), in_force, "{router} {told:?}");
        }
    }

    #[test]
    fn what_only_a_lost_router_held_is_not_in_force_any_more() {
        let mut held = Held::default();
        held.learn("a", tables(1, 100));
        held.learn("b", tables(1, 90));
        assert_eq!(held.forget("a").map(Tables::place), Some((1, 90)));
        assert_eq!(held.forget("c"), None);
        // Without any, what was in force stays, and whatever comes next takes its place.
        assert_eq!(held.forget("b"), None);
        assert!(held.is_empty());
        assert_eq!(held.learn("b", tables(1, 3)).map(Tables::place), Some((1, 3)));
    }
}
