//! Reports of people.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::{client_id::ClientKey, ids::UserId, time::Timestamp};
use vestibule_store::{
    AuditEntry, ReportStore, Result,
    reports::{REPORTS_KEPT, Report, ReportReason},
};

use crate::{
    PostgresStore,
    rows::{self, Outcome},
};

fn read(row: &Row) -> Outcome<Report> {
    Ok(Report {
        user: UserId::new(rows::get::<String>(row, "user_id")?),
        client: rows::client_key(row, "client")?,
        reason: rows::word(row, "reason", ReportReason::parse, "the reason of a report")?,
        at: rows::time(row, "at")?,
    })
}

#[async_trait]
impl ReportStore for PostgresStore {
    async fn report_client(
        &self,
        user: &UserId,
        client: &ClientKey,
        reason: ReportReason,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool> {
        self.trailed(
            rows::trailed!(
                "INSERT INTO reports AS r (user_id, client, reason, at) VALUES ($8, $9, $10, $11) \
                 ON CONFLICT (user_id, client) DO UPDATE \
                 SET reason = excluded.reason, at = excluded.at WHERE r.at <= $12 RETURNING 1"
            ),
            &audit,
            &[
                &user.as_str(),
                &client.as_bytes().as_slice(),
                &reason.as_str(),
                &rows::seconds(now),
                &rows::seconds(now.minus(REPORTS_KEPT)),
            ],
        )
        .await
    }

    async fn count_reports(&self, client: &ClientKey, now: Timestamp) -> Result<u64> {
        let since = rows::seconds(now.minus(REPORTS_KEPT));
        let count = self
            .read(
                "SELECT count(*) AS count FROM reports WHERE client = $1 AND at > $2",
                &[&client.as_bytes().as_slice(), &since],
                |row| rows::unsigned(row, "count"),
            )
            .await?;
        Ok(count.unwrap_or(0))
    }

    async fn list_reports(&self, client: &ClientKey, rows_max: usize) -> Result<Vec<Report>> {
        self.read_all(
            "SELECT user_id, client, reason, at FROM reports WHERE client = $1 \
             ORDER BY at DESC, n DESC LIMIT $2",
            &[&client.as_bytes().as_slice(), &rows::limit(rows_max)],
            read,
        )
        .await
    }
}
