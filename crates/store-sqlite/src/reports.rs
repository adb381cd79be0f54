//! Reports of people.

use async_trait::async_trait;
use rusqlite::{Row, params};
use vestibule_protocol::{client_id::ClientKey, ids::UserId, time::Timestamp};
use vestibule_store::{
    AuditEntry, ReportStore, Result,
    reports::{REPORTS_KEPT, Report, ReportReason},
};

use crate::{SqliteStore, rows};

pub(crate) const COUNT: &str = "SELECT count(*) FROM reports WHERE client = ?1 AND at > ?2";

fn read(row: &Row<'_>) -> rusqlite::Result<Report> {
    Ok(Report {
        user: UserId::new(row.get::<_, String>("user")?),
        client: rows::client_key(row, "client")?,
        reason: ReportReason::parse(row.get_ref("reason")?.as_str()?)
            .ok_or_else(|| rows::damaged("the reason of a report"))?,
        at: rows::time(row, "at")?,
    })
}

#[async_trait]
impl ReportStore for SqliteStore {
    async fn report_client(
        &self,
        user: &UserId,
        client: &ClientKey,
        reason: ReportReason,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        let (user, client) = (user.clone(), *client);
        self.writer
            .run(move |c| {
                let reported = c.execute(
                    "INSERT INTO reports (user, client, reason, at) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (user, client) DO UPDATE \
                     SET reason = excluded.reason, at = excluded.at WHERE at <= ?5",
                    params![
                        user.as_str(),
                        client.as_bytes(),
                        reason.as_str(),
                        rows::seconds(now),
                        rows::seconds(now.minus(REPORTS_KEPT)),
                    ],
                )?;
                if reported == 1 {
                    rows::audit(c, &audit)?;
                }
                Ok(reported == 1)
            })
            .await
    }

    async fn count_reports(&self, client: &ClientKey, now: Timestamp) -> Result<u64> {
        let since = rows::seconds(now.minus(REPORTS_KEPT));
        let count: i64 = self.readers.read(|c| {
            c.prepare_cached(COUNT)?
                .query_row(params![client.as_bytes(), since], |row| row.get(0))
        })?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    async fn list_reports(&self, client: &ClientKey, rows_max: usize) -> Result<Vec<Report>> {
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached(
                "SELECT * FROM reports WHERE client = ?1 ORDER BY at DESC, n DESC LIMIT ?2",
            )?
            .query_map(params![client.as_bytes(), limit], read)?
            .collect()
        })
    }
}
