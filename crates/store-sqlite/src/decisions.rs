//! The log of decisions.

use async_trait::async_trait;
use rusqlite::{Row, params};
use vestibule_protocol::trust::{Risk, Trust};
use vestibule_store::{
    DecisionLog, Result,
    decisions::{DECISION_ROWS, DecisionRow},
};

use crate::{SqliteStore, rows};

fn read(row: &Row<'_>) -> rusqlite::Result<(u64, DecisionRow)> {
    let decision = DecisionRow {
        at: rows::time(row, "at")?,
        action: row.get("action")?,
        client: rows::client_key(row, "client")?,
        facts: row.get("facts")?,
        trust: Trust::parse(row.get_ref("trust")?.as_str()?)
            .ok_or_else(|| rows::damaged("the trust of a decision"))?,
        risk: Risk::parse(row.get_ref("risk")?.as_str()?)
            .ok_or_else(|| rows::damaged("the risk of a decision"))?,
        outcomes: row.get("outcomes")?,
        reasons: row.get("reasons")?,
        policy_seq: rows::unsigned(row, "policy_seq")?,
    };
    Ok((rows::unsigned(row, "seq")?, decision))
}

#[async_trait]
impl DecisionLog for SqliteStore {
    async fn record_decisions(&self, decisions: Vec<DecisionRow>) -> Result<()> {
        self.writer
            .run_when_idle(move |c| {
                let mut insert = c.prepare_cached(
                    "INSERT INTO decisions (at, action, client, facts, trust, risk, outcomes, \
                     reasons, policy_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?;
                for row in &decisions {
                    insert.execute(params![
                        rows::seconds(row.at),
                        row.action,
                        row.client.as_bytes(),
                        row.facts,
                        row.trust.as_str(),
                        row.risk.as_str(),
                        row.outcomes,
                        row.reasons,
                        rows::number(row.policy_seq),
                    ])?;
                }
                // Numbers go up one by one, so that no more than this many are left.
                c.prepare_cached(
                    "DELETE FROM decisions WHERE seq <= (SELECT max(seq) FROM decisions) - ?1",
                )?
                .execute([rows::number(DECISION_ROWS)])
                .map(drop)
            })
            .await
    }

    async fn decisions(
        &self,
        before: Option<u64>,
        rows_max: usize,
    ) -> Result<Vec<(u64, DecisionRow)>> {
        let before = before.map_or(i64::MAX, rows::number);
        let limit = rows::limit(rows_max);
        self.readers.read(|c| {
            c.prepare_cached("SELECT * FROM decisions WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?
                .query_map(params![before, limit], read)?
                .collect()
        })
    }
}
