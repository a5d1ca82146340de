//! Traffic that went by without a router, reported to one.

use std::time::Instant;

use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::FromCm;

use super::{Core, Due};
use crate::cache::REPORT_EVERY;

impl Core {
    /// Traffic of a domain that no router saw.
    pub(super) fn count_use(&mut self, domain: &Domain, failure: Option<&Condition>, now: Instant) {
        if self.usage.is_empty() {
            self.timers.set(now + REPORT_EVERY, Due::Report);
        }
        self.usage.count(domain, self.wall_us(now) / 1_000_000, failure);
    }

    pub(super) fn report_usage(&mut self, now: Instant) {
        if self.usage.is_empty() {
            return;
        }
        match self.links.first() {
            Some(router) => {
                let report = self.usage.take();
                self.tell_router(router, FromCm::Usage(report));
            }
            None => self.timers.set(now + REPORT_EVERY, Due::Report),
        }
    }
}
