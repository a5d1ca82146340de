//! Rows without a proof, in the order in which XMPP is asked again about them.

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground, Settled};
use openfed_proto::route::DomainRow;
use redb::{ReadableTable, TableDefinition};

use super::failed;
use super::writing::{ROWS, Writing};
use crate::store::{StoreError, record};

/// By when it is due, and domain.
pub(super) const UNPROVEN: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("unproven");

impl Writing<'_> {
    /// Those that are due by `now`. A program that knows no grounds may have changed rows without
    /// this table, so it is put right here.
    pub(super) fn find_due(
        &mut self,
        now: u64,
        limit: usize,
    ) -> Result<Vec<(Domain, Ground)>, StoreError> {
        let mut unproven = self.transaction.open_table(UNPROVEN).map_err(failed)?;
        let rows = self.transaction.open_table(ROWS).map_err(failed)?;
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        for entry in unproven.range(..(now.saturating_add(1), "")).map_err(failed)? {
            if found.len() >= limit || wrong.len() >= limit {
                break;
            }
            let (key, _) = entry.map_err(failed)?;
            let (due, name) = key.value();
            let domain = record::parsed::<Domain>(name);
            let row = match &domain {
                Some(domain) => {
                    let text = rows.get(name).map_err(failed)?;
                    text.and_then(|text| record::decode_row(domain, text.value()))
                }
                None => None,
            };
            let ground = row.as_ref().and_then(DomainRow::unproven);
            match (domain, ground.filter(|ground| ground.due == due)) {
                (Some(domain), Some(ground)) => found.push((domain, ground)),
                _ => wrong.push((due, name.to_owned())),
            }
        }
        for (due, name) in wrong {
            unproven.remove((due, name.as_str())).map_err(failed)?;
        }
        Ok(found)
    }

    pub(super) fn claim(
        &mut self,
        domain: &Domain,
        due: u64,
        next: u64,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.row(domain)? else { return Ok(false) };
        let Some(ground) = row.unproven().filter(|ground| ground.due == due) else {
            return Ok(false);
        };
        let ground = Ground { asked: ground.asked.saturating_add(1), due: next, ..ground };
        self.put_row(&DomainRow { ground: Some(ground), ..row })?;
        Ok(true)
    }

    pub(super) fn settle(
        &mut self,
        domain: &Domain,
        settled: Settled,
    ) -> Result<Option<DomainRow>, StoreError> {
        let Some(row) = self.row(domain)?.filter(|row| row.unproven().is_some()) else {
            return Ok(None);
        };
        match settled {
            Settled::Reached => drop(self.remove_row(domain)?),
            Settled::Absent => {
                let ground = Some(Ground::new(Finding::Absent, 0));
                self.put_row(&DomainRow { ground, ..row.clone() })?;
            }
        }
        Ok(Some(row))
    }

    /// Keeps the table true when a row changes.
    pub(super) fn follow_row(
        &self,
        domain: &Domain,
        before: Option<&str>,
        after: Option<&DomainRow>,
    ) -> Result<(), StoreError> {
        let before = before.and_then(|text| record::decode_row(domain, text));
        let before = before.and_then(|row| row.unproven());
        let after = after.and_then(DomainRow::unproven);
        if before == after {
            return Ok(());
        }
        let mut unproven = self.transaction.open_table(UNPROVEN).map_err(failed)?;
        if let Some(ground) = before {
            unproven.remove((ground.due, domain.as_str())).map_err(failed)?;
        }
        if let Some(ground) = after {
            unproven.insert((ground.due, domain.as_str()), ()).map_err(failed)?;
        }
        Ok(())
    }
}
