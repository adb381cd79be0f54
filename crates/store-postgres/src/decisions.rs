//! The log of decisions.

use async_trait::async_trait;
use tokio_postgres::Row;
use vestibule_protocol::trust::{Risk, Trust};
use vestibule_store::{
    DecisionLog, Result,
    decisions::{DECISION_ROWS, DecisionRow},
};

use crate::{
    PostgresStore,
    locks::{self, Whole},
    pool::transact,
    rows::{self, Outcome},
};

fn read(row: &Row) -> Outcome<(u64, DecisionRow)> {
    let decision = DecisionRow {
        at: rows::time(row, "at")?,
        action: rows::get(row, "action")?,
        client: rows::client_key(row, "client")?,
        facts: rows::get(row, "facts")?,
        trust: rows::word(row, "trust", Trust::parse, "the trust of a decision")?,
        risk: rows::word(row, "risk", Risk::parse, "the risk of a decision")?,
        outcomes: rows::get(row, "outcomes")?,
        reasons: rows::get(row, "reasons")?,
        policy_seq: rows::unsigned(row, "policy_seq")?,
    };
    Ok((rows::unsigned(row, "seq")?, decision))
}

/// Rows as columns: all of them in one statement.
#[derive(Default)]
struct Columns {
    at: Vec<i64>,
    action: Vec<String>,
    client: Vec<Vec<u8>>,
    facts: Vec<String>,
    trust: Vec<&'static str>,
    risk: Vec<&'static str>,
    outcomes: Vec<String>,
    reasons: Vec<String>,
    policy_seq: Vec<i64>,
}

impl Columns {
    fn of(decisions: &[DecisionRow]) -> Self {
        let mut columns = Self::default();
        for row in decisions {
            columns.at.push(rows::seconds(row.at));
            columns.action.push(rows::text(&row.action));
            columns.client.push(row.client.as_bytes().to_vec());
            columns.facts.push(rows::text(&row.facts));
            columns.trust.push(row.trust.as_str());
            columns.risk.push(row.risk.as_str());
            columns.outcomes.push(rows::text(&row.outcomes));
            columns.reasons.push(rows::text(&row.reasons));
            columns.policy_seq.push(rows::number(row.policy_seq));
        }
        columns
    }
}

#[async_trait]
impl DecisionLog for PostgresStore {
    async fn record_decisions(&self, decisions: Vec<DecisionRow>) -> Result<()> {
        let columns = Columns::of(&decisions);
        let _turn = self.turn().await?;
        transact!(hot self, |w| {
            // One node after the other, so that numbers have no gaps that count as rows.
            locks::take(w, Whole::Decisions).await?;
            w.change(
                "INSERT INTO decisions (at, action, client, facts, trust, risk, outcomes, \
                 reasons, policy_seq) \
                 SELECT at, action, client, facts, trust, risk, outcomes, reasons, policy_seq \
                 FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::text[], \
                     $6::text[], $7::text[], $8::text[], $9::bigint[]) WITH ORDINALITY \
                     AS new (at, action, client, facts, trust, risk, outcomes, reasons, \
                     policy_seq, n) ORDER BY n",
                &[
                    &columns.at,
                    &columns.action,
                    &columns.client,
                    &columns.facts,
                    &columns.trust,
                    &columns.risk,
                    &columns.outcomes,
                    &columns.reasons,
                    &columns.policy_seq,
                ],
            )
            .await?;
            w.change(
                "DELETE FROM decisions WHERE seq <= (SELECT max(seq) FROM decisions) - $1",
                &[&rows::number(DECISION_ROWS)],
            )
            .await
            .map(drop)
        })
    }

    async fn decisions(
        &self,
        before: Option<u64>,
        rows_max: usize,
    ) -> Result<Vec<(u64, DecisionRow)>> {
        let before = before.map_or(i64::MAX, rows::number);
        self.read_all(
            "SELECT seq, at, action, client, facts, trust, risk, outcomes, reasons, policy_seq \
             FROM decisions WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
            &[&before, &rows::limit(rows_max)],
            read,
        )
        .await
    }
}
