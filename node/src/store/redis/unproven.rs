//! Rows without a proof, in the order in which XMPP is asked again about them.
//!
//! What the row says is the truth; the sorted set only finds it, and is put right by whoever looks:
//! programs that know no grounds change rows without it.

use openfed_proto::finding::{Finding, Settled};

use super::*;

impl RedisStore {
    pub(super) async fn find_due(
        &self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<(Domain, Ground)>, StoreError> {
        let mut range = redis::cmd("ZRANGEBYSCORE");
        range.arg(UNPROVEN).arg("-inf").arg(now).arg("LIMIT").arg(0).arg(limit);
        let names: Vec<String> =
            within(LIMIT, range.query_async(&mut self.commands.clone())).await?;
        let domains: Vec<Domain> = names.iter().filter_map(|name| record::parsed(name)).collect();
        let rows = self.some_rows(&domains).await?;
        let mut due = Vec::with_capacity(rows.len());
        for domain in domains {
            let row = rows.iter().find(|row| row.domain == domain);
            match row.and_then(DomainRow::unproven).filter(|ground| ground.due <= now) {
                Some(ground) => due.push((domain, ground)),
                // Nothing is due at 0: this puts the set right.
                None => drop(self.claim(&domain, 0, 0).await?),
            }
        }
        Ok(due)
    }

    pub(super) async fn claim(
        &self,
        domain: &Domain,
        due: u64,
        next: u64,
    ) -> Result<bool, StoreError> {
        let answer: Answer = self
            .change(&self.scripts.claim, |call| {
                call.key(bucket(domain)).key(UNPROVEN).arg(domain.as_str()).arg(due).arg(next);
            })
            .await?;
        Ok(answer.0 == "ok")
    }

    pub(super) async fn settle(
        &self,
        domain: &Domain,
        settled: Settled,
    ) -> Result<Option<DomainRow>, StoreError> {
        let ground = match settled {
            Settled::Reached => String::new(),
            Settled::Absent => record::encode_ground(Ground::new(Finding::Absent, 0)),
        };
        let answer: Answer = self
            .change(&self.scripts.settle, |call| {
                call.key(bucket(domain)).key(UNPROVEN).arg(domain.as_str()).arg(ground);
            })
            .await?;
        Ok(record::decode_row(domain, &answer.0))
    }
}
