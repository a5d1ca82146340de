//! Many rows at once.

use super::*;
use crate::store::{IMPORTED, IMPORTS, Imported};

impl RedisStore {
    /// In scripts of some hundred rows, each of which holds everybody else up for a millisecond.
    pub(super) async fn import_rows(
        &self,
        rows: &[(Domain, String)],
        now: u64,
    ) -> Result<Imported, StoreError> {
        let mut all = Imported::default();
        for some in rows.chunks(IMPORTED) {
            let (added, configured): (u64, u64) = self
                .change(&self.scripts.import, |call| {
                    call.arg(IMPORTS);
                    for (domain, description) in some {
                        let description = record::clean(description);
                        let row = record::configured(domain, &description, now);
                        call.key(bucket(domain)).arg(domain.as_str());
                        call.arg(record::encode_row(&row)).arg(description);
                    }
                })
                .await?;
            all.added += added;
            all.configured += configured;
            all.unchanged += some.len() as u64 - added - configured;
        }
        Ok(all)
    }

    /// The same, with rows that are written as they are.
    pub(super) async fn restore_rows(&self, rows: &[DomainRow]) -> Result<(), StoreError> {
        for origin in [Origin::Configured, Origin::Discovered] {
            let rows: Vec<_> = rows.iter().filter(|row| row.origin == origin).collect();
            for some in rows.chunks(IMPORTED) {
                let _: Answer = self
                    .change(&self.scripts.restore, |call| {
                        call.key(UNPROVEN).arg(IMPORTS).arg(record::encode_origin(origin));
                        for row in some {
                            call.key(bucket(&row.domain)).arg(row.domain.as_str());
                            call.arg(record::encode_row(row));
                        }
                    })
                    .await?;
            }
        }
        Ok(())
    }
}
