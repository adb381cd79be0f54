//! `settings`: what changes live. Works beside a running hub; every node follows within a second.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_engine::{Limits, Rate, Settings, SettingsChange};
use vestibule_policy::{Consent, Power, PowerTable, RefreshLife, ScopeCeiling};
use vestibule_protocol::trust::{CimdMode, DcrMode};
use vestibule_store::versions::{Document, VersionRow};

use super::{
    ConfigArgs, Failure, VERSIONS_SHOWN, actor,
    show::{diff, duration, parse_duration, table, when},
    with_hub,
};
use crate::wiring::Hub;

/// Show and change live settings.
#[derive(Args)]
pub(crate) struct SettingsCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: SettingsAction,
}

#[derive(Subcommand)]
enum SettingsAction {
    /// Let apps identify themselves by a metadata document: off, listed, open
    Cimd {
        /// off, listed or open
        mode: String,
    },
    /// Replace the list of exact ids that `cimd listed` lets in
    CimdListed {
        /// Exact `client_id` URLs
        ids: Vec<String>,
    },
    /// Let apps register themselves: off, approval, token, open
    Dcr {
        /// off, approval, token or open
        mode: String,
    },
    /// What changed between two versions
    Diff {
        /// The older version
        old: u64,
        /// The newer version
        new: u64,
    },
    /// Who changed the settings, newest first
    History {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// How fast strangers may come: `limits register=60/60 waiting=500`
    ///
    /// A rate is BURST/PER-MINUTE. Names: authorize, register (of one address), `register_wide` (of
    /// one /24 or /48), and how many apps may wait for an approval: waiting, `waiting_per_software`.
    /// What is not named stays.
    Limits {
        /// NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<String>,
    },
    /// Replace the list of addresses that policies see as `source.listed`
    ///
    /// Addresses and networks (CIDR). Longer lists belong into files: `signals.listed_files` of the
    /// configuration.
    ListedSources {
        /// Such as 192.0.2.0/24; none clears the list
        sources: Vec<String>,
    },
    /// Show the power table, or change some of it: `power unverified.scopes=read_only`
    ///
    /// Rows: `first_party`, `verified`, `known`, `unverified`, `unverified_raised`. Values:
    /// `scopes=all`, `read_only` or `nothing`; `access=10m`; `idle=48h` and `absolute=7d` (of a
    /// connection), or `refresh=none`; `consent=may_remember`, `every_time`, `warn` or `step_up`;
    /// `preticks_destructive=yes` or `no`. A row never has more power than the row above it.
    Power {
        /// ROW.NAME=VALUE; none shows the table
        #[arg(value_name = "ROW.NAME=VALUE")]
        changes: Vec<String>,
    },
    /// How many seconds a repeat of the last refresh token is answered alike, 0 to 300
    RefreshGrace {
        /// Seconds
        seconds: u64,
    },
    /// Make an old version the newest
    Rollback {
        /// The version, from `history`
        version: u64,
    },
    /// Show today's settings
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl SettingsCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let action = self.action;
        with_hub(&self.config, async |hub| {
            act(hub, action).await?;
            Ok(())
        })
        .await
    }
}

async fn act(hub: &Hub, action: SettingsAction) -> Result<(), Failure> {
    let before = hub.engine.settings();
    let change = match action {
        SettingsAction::Show { json: true } => {
            println!("{}", as_json(&before));
            return Ok(());
        }
        SettingsAction::Show { json: false } => {
            print_all(&before);
            print_warnings(hub);
            return Ok(());
        }
        SettingsAction::History { json } => {
            let rows = hub.engine.versions(Document::Settings, VERSIONS_SHOWN);
            print_history(&rows.await?, json);
            return Ok(());
        }
        SettingsAction::Diff { old, new } => return print_diff(hub, old, new).await,
        SettingsAction::Rollback { version } => {
            let engine = &hub.engine;
            let seq = engine
                .restore_settings(version, before.seq, actor())
                .await?;
            println!("Version {seq} is version {version} again.");
            tell_of_doors(&before, &engine.settings());
            print_warnings(hub);
            return Ok(());
        }
        SettingsAction::Power { changes } if changes.is_empty() => {
            print_power(&before.power);
            return Ok(());
        }
        SettingsAction::Power { changes } => {
            SettingsChange::Power(Box::new(power_with(before.power, &changes)?))
        }
        SettingsAction::Limits { changes } => {
            SettingsChange::Limits(limits_with(before.limits, &changes)?)
        }
        SettingsAction::ListedSources { sources } => SettingsChange::ListedSources(sources),
        SettingsAction::Cimd { mode } => SettingsChange::Cimd(
            CimdMode::parse(&mode).ok_or("the CIMD door is off, listed or open")?,
        ),
        SettingsAction::Dcr { mode } => SettingsChange::Dcr(
            DcrMode::parse(&mode).ok_or("the DCR door is off, approval, token or open")?,
        ),
        SettingsAction::CimdListed { ids } => SettingsChange::CimdListed(ids),
        SettingsAction::RefreshGrace { seconds } => SettingsChange::RefreshGraceSeconds(seconds),
    };
    hub.engine
        .change_settings(change, before.seq, actor())
        .await?;
    let after = hub.engine.settings();
    print_doors(&after);
    if after.limits != before.limits {
        print_limits(&after.limits);
    }
    if after.power != before.power {
        print_power(&after.power);
    }
    tell_of_doors(&before, &after);
    print_warnings(hub);
    Ok(())
}

/// Closing a door is less than people expect of it.
fn tell_of_doors(before: &Settings, after: &Settings) {
    let closed = |what: &str| {
        println!(
            "The {what} door is closed for newcomers. Agents that have a grant go on with their \
             tokens; `vestibule client block CLIENT_ID` ends one."
        );
    };
    if before.dcr != DcrMode::Off && after.dcr == DcrMode::Off {
        closed("DCR");
    }
    if before.cimd != CimdMode::Off && after.cimd == CimdMode::Off {
        closed("CIMD");
    }
}

fn print_warnings(hub: &Hub) {
    for warning in hub.engine.warnings() {
        println!("warning: {warning}");
    }
}

fn print_all(settings: &Settings) {
    print_doors(settings);
    for id in &settings.cimd_listed {
        println!("listed id       {id}");
    }
    for source in &settings.listed_sources {
        println!("listed source   {source}");
    }
    print_limits(&settings.limits);
    println!();
    print_power(&settings.power);
}

fn print_doors(settings: &Settings) {
    println!("version         {}", settings.seq);
    println!("dcr             {}", settings.dcr.as_str());
    println!("cimd            {}", settings.cimd.as_str());
    println!("cimd-listed     {} ids", settings.cimd_listed.len());
    println!("listed-sources  {}", settings.listed_sources.len());
    println!("refresh-grace   {} s", settings.refresh_grace_seconds);
}

fn print_limits(limits: &Limits) {
    let rate = |rate: Rate| format!("{} at once, then {}/min", rate.burst, rate.per_minute);
    let rows = [
        ("authorize", rate(limits.authorize)),
        ("register", rate(limits.register)),
        ("register_wide", rate(limits.register_wide)),
        ("waiting", limits.waiting.to_string()),
        (
            "waiting_per_software",
            limits.waiting_per_software.to_string(),
        ),
    ];
    for (name, value) in rows {
        println!("limit           {name:<21} {value}");
    }
}

/// What a power is called in tables and explanations.
pub(super) fn power_words(power: &Power) -> [String; 5] {
    let yes_no = if power.preticks_destructive {
        "yes"
    } else {
        "no"
    };
    let refresh = power.refresh.map_or_else(
        || "none".to_owned(),
        |life| {
            format!(
                "{} idle, {} at most",
                duration(life.idle),
                duration(life.absolute)
            )
        },
    );
    [
        power.scopes.as_str().to_owned(),
        duration(power.access_ttl),
        refresh,
        power.consent.as_str().to_owned(),
        yes_no.to_owned(),
    ]
}

fn print_power(power: &PowerTable) {
    let rows = power.rows().map(|(name, power)| {
        let [scopes, access, connection, consent, preticks] = power_words(power);
        [
            name.to_owned(),
            scopes,
            access,
            connection,
            consent,
            preticks,
        ]
    });
    let heads = [
        "power",
        "scopes",
        "access",
        "connection",
        "consent",
        "preticks_destructive",
    ];
    table(heads, &rows);
}

fn power_json(power: &Power) -> Value {
    let seconds =
        |pick: fn(RefreshLife) -> Duration| power.refresh.map(|life| pick(life).as_secs());
    json!({
        "scopes": power.scopes.as_str(),
        "access_seconds": power.access_ttl.as_secs(),
        "refresh_idle_seconds": seconds(|life| life.idle),
        "refresh_absolute_seconds": seconds(|life| life.absolute),
        "consent": power.consent.as_str(),
        "preticks_destructive": power.preticks_destructive,
    })
}

fn as_json(settings: &Settings) -> Value {
    let rows = settings.power.rows();
    let power: serde_json::Map<String, Value> = rows
        .into_iter()
        .map(|(name, power)| (name.to_owned(), power_json(power)))
        .collect();
    json!({
        "version": settings.seq,
        "dcr": settings.dcr.as_str(),
        "cimd": settings.cimd.as_str(),
        "cimd_listed": settings.cimd_listed,
        "listed_sources": settings.listed_sources,
        "refresh_grace_seconds": settings.refresh_grace_seconds,
        "limits": settings.limits,
        "power": power,
    })
}

/// The versions of a document.
pub(super) fn print_history(rows: &[VersionRow], json: bool) {
    if json {
        let rows = rows.iter().map(|row| {
            json!({
                "version": row.seq, "at": row.at.seconds(), "actor": row.actor, "note": row.note,
            })
        });
        println!("{}", rows.collect::<Value>());
        return;
    }
    let rows: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let (at, actor) = (when(row.at), row.actor.clone());
            [row.seq.to_string(), at, actor, row.note.clone()]
        })
        .collect();
    table(["version", "when", "who", "what"], &rows);
}

async fn print_diff(hub: &Hub, old: u64, new: u64) -> Result<(), Failure> {
    let (old, new) = (pretty(hub, old).await?, pretty(hub, new).await?);
    let lines = diff(&old, &new);
    if lines.is_empty() {
        println!("Nothing differs.");
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

async fn pretty(hub: &Hub, version: u64) -> Result<String, Failure> {
    let text = hub.store.document_version(Document::Settings, version);
    let Some(text) = text.await? else {
        return Err(format!(
            "there is no version {version} of the settings, or it is not kept any more"
        )
        .into());
    };
    let value: Value = serde_json::from_str(&text)?;
    Ok(serde_json::to_string_pretty(&value)?)
}

fn limits_with(mut limits: Limits, changes: &[String]) -> Result<Limits, Failure> {
    for change in changes {
        let (name, value) = change
            .split_once('=')
            .ok_or_else(|| format!("`{change}` is not NAME=VALUE"))?;
        match name {
            "authorize" => limits.authorize = rate(value)?,
            "register" => limits.register = rate(value)?,
            "register_wide" => limits.register_wide = rate(value)?,
            "waiting" => limits.waiting = count(value)?,
            "waiting_per_software" => limits.waiting_per_software = count(value)?,
            _ => {
                return Err(format!(
                    "`{name}` is not a limit: authorize, register, register_wide, waiting, \
                     waiting_per_software"
                )
                .into());
            }
        }
    }
    Ok(limits)
}

fn rate(text: &str) -> Result<Rate, Failure> {
    let parts = text.split_once('/');
    let parsed = parts.and_then(|(burst, per_minute)| {
        Some(Rate {
            burst: burst.parse().ok()?,
            per_minute: per_minute.parse().ok()?,
        })
    });
    parsed.ok_or_else(|| format!("`{text}` is not BURST/PER-MINUTE such as 60/60").into())
}

fn count(text: &str) -> Result<u32, Failure> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number").into())
}

fn power_with(mut power: PowerTable, changes: &[String]) -> Result<PowerTable, Failure> {
    for change in changes {
        let parts = change
            .split_once('=')
            .and_then(|(place, value)| Some((place.split_once('.')?, value)));
        let Some(((row, name), value)) = parts else {
            return Err(format!("`{change}` is not ROW.NAME=VALUE").into());
        };
        let row = match row {
            "first_party" => &mut power.first_party,
            "verified" => &mut power.verified,
            "known" => &mut power.known,
            "unverified" => &mut power.unverified,
            "unverified_raised" => &mut power.unverified_raised,
            _ => {
                return Err(format!(
                    "`{row}` is not a row: first_party, verified, known, unverified, \
                     unverified_raised"
                )
                .into());
            }
        };
        change_row(row, name, value)?;
    }
    Ok(power)
}

fn change_row(row: &mut Power, name: &str, value: &str) -> Result<(), Failure> {
    let wrong = || format!("`{value}` is no value of `{name}`");
    let life = || parse_duration(value).ok_or_else(wrong);
    match name {
        "scopes" => {
            row.scopes = ScopeCeiling::parse(value).ok_or_else(wrong)?;
        }
        "access" => row.access_ttl = life()?,
        "idle" => {
            let idle = life()?;
            let absolute = row.refresh.map_or(idle, |life| life.absolute);
            row.refresh = Some(RefreshLife { idle, absolute });
        }
        "absolute" => {
            let absolute = life()?;
            let idle = row.refresh.map_or(absolute, |life| life.idle);
            row.refresh = Some(RefreshLife { idle, absolute });
        }
        "refresh" if value == "none" => row.refresh = None,
        "consent" => {
            row.consent = Consent::parse(value).ok_or_else(wrong)?;
        }
        "preticks_destructive" => {
            row.preticks_destructive = match value {
                "yes" => true,
                "no" => false,
                _ => return Err(wrong().into()),
            };
        }
        _ => {
            return Err(format!(
                "`{name}={value}` is not of a power row: scopes, access, idle, absolute, \
                 refresh=none, consent, preticks_destructive"
            )
            .into());
        }
    }
    Ok(())
}
