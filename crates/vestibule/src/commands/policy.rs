//! `policy`: write, check, test, try and change the policies that judge clients.
//!
//! `check` and `test` need no database, so that they run where policies are reviewed.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule_engine::{Explanation, Replay, SavePolicyError, Source};
use vestibule_policy::{
    Policies, PolicyProblem, PowerTable,
    facts::{ClientFacts, Facts, SourceFacts},
    facts_json, preset_text,
    tests_file::{CaseResult, run_cases},
};
use vestibule_protocol::trust::{Door, Preset};
use vestibule_store::versions::Document;

use super::{
    ConfigArgs, Failure, VERSIONS_SHOWN, actor,
    settings::{power_words, print_history},
    show::{diff, plain, table, when},
    with_hub,
};
use crate::wiring::{self, Hub};

/// Read, check, test and change the policies that judge clients.
///
/// A policy text is Cedar; docs/policy.md shows the way from a file to the hub and back, and
/// docs/policy-schema.md what a policy can see.
#[derive(Args)]
pub(crate) struct PolicyCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say everything that is wrong with a file, each with its line; needs no database
    Check {
        /// The policies
        file: PathBuf,
    },
    /// What changed between two versions; 0 is the shipped preset `balanced`
    Diff {
        /// The older version
        old: u64,
        /// The newer version
        new: u64,
    },
    /// Why a client is treated as it is: the facts, the policies that fire, what it may
    ///
    /// Without --from no request is looked at, only the client. With it, the files of signals and
    /// the score hook of the configuration are asked as for a request from that address. Counts of
    /// the last hour live in the running hub; here they are 0.
    Explain {
        /// Exact `client_id`
        #[arg(long)]
        client: String,
        /// As if a request came from this address
        #[arg(long)]
        from: Option<IpAddr>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Who changed the policies, newest first
    History {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take over a shipped preset, policies and power table: open, balanced, strict
    Preset {
        /// open, balanced or strict
        #[arg(value_parser = preset)]
        name: Preset,
    },
    /// What the policies of a file would have decided otherwise about kept requests
    Replay {
        /// The policies to try
        file: PathBuf,
        /// How many of the newest decisions to look at
        #[arg(long, default_value_t = 1_000)]
        last: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an old version the newest; 0 is the shipped preset `balanced`
    Rollback {
        /// The version, from `history`
        version: u64,
        /// Why, for the history
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Check a file and let it judge from now on
    Set {
        /// The policies
        file: PathBuf,
        /// Why, for the history
        #[arg(long)]
        why: String,
        /// Only if this is still the version in force, so that nobody's change is lost
        #[arg(long, value_name = "VERSION")]
        after: Option<u64>,
    },
    /// Print the policies in force, or another version
    Show {
        /// A version, from `history`; 0 is the shipped preset `balanced`
        #[arg(long)]
        version: Option<u64>,
        /// A shipped preset instead; needs no database
        #[arg(long, value_parser = preset, conflicts_with = "version")]
        preset: Option<Preset>,
    },
    /// Run test files against policies; needs no database with --policy
    ///
    /// Without --policy the policies and the power table in force are tested; those of the shipped
    /// preset `balanced` where there is no database yet. The form of a test file is in
    /// docs/policy.md.
    Test {
        /// Test files (TOML)
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The policies to test
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Whose power table lies under the scopes, with --policy
        #[arg(long, value_parser = preset, default_value = "balanced", requires = "policy")]
        power: Preset,
    },
}

fn preset(text: &str) -> Result<Preset, &'static str> {
    Preset::parse(text).ok_or("a preset is open, balanced or strict")
}

impl PolicyCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = self.config;
        let action = match self.action {
            Action::Check { file } => return check(&file),
            Action::Show {
                preset: Some(preset),
                ..
            } => {
                print!("{}", preset_text(preset));
                return Ok(ExitCode::SUCCESS);
            }
            Action::Test {
                files,
                policy,
                power,
            } => return test(&config, &files, policy.as_deref(), power).await,
            Action::Explain { client, from, json } => {
                return explain(&config, &client, from, json).await;
            }
            other => other,
        };
        let mut code = ExitCode::SUCCESS;
        let told = &mut code;
        with_hub(&config, async |hub| {
            *told = act(hub, action).await?;
            Ok(())
        })
        .await?;
        Ok(code)
    }
}

async fn act(hub: &Hub, action: Action) -> Result<ExitCode, Failure> {
    let engine = &hub.engine;
    match action {
        Action::Diff { old, new } => {
            let (old, new) = (version(hub, old).await?, version(hub, new).await?);
            let lines = diff(&old, &new);
            if lines.is_empty() {
                println!("Nothing differs.");
            }
            for line in lines {
                println!("{line}");
            }
        }
        Action::History { json } => {
            let rows = engine.versions(Document::Policy, VERSIONS_SHOWN).await?;
            print_history(&rows, json);
            if rows.is_empty() && !json {
                println!("Nobody saved policies yet: the shipped preset `balanced` judges.");
            }
        }
        Action::Preset { name } => {
            let saved = engine.use_preset(name, actor()).await?;
            println!(
                "Version {saved}: the preset {}, policies and power table.",
                name.as_str()
            );
        }
        Action::Replay { file, last, json } => {
            let text = read(&file)?;
            let policies = match Policies::compile(&text) {
                Ok(policies) => policies,
                Err(problems) => return Ok(tell(&file, &text, &problems)),
            };
            print_replay(&engine.replay(&policies, last).await?, json);
        }
        Action::Rollback { version: old, why } => {
            let text = version(hub, old).await?;
            let current = engine.policy_text().await?;
            let why = format!("back to version {old}. {why}");
            let saved = engine.save_policy(&text, current.seq, why.trim_end(), actor());
            println!("Version {} is version {old} again.", saved.await?);
        }
        Action::Set { file, why, after } => {
            let text = read(&file)?;
            let seq = match after {
                Some(seq) => seq,
                None => engine.policy_text().await?.seq,
            };
            match engine.save_policy(&text, seq, &why, actor()).await {
                Ok(saved) => println!("Version {saved} judges from now on."),
                Err(SavePolicyError::Problems(problems)) => {
                    return Ok(tell(&file, &text, &problems));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Action::Show {
            version: wanted, ..
        } => {
            if let Some(wanted) = wanted {
                print!("{}", version(hub, wanted).await?);
            } else {
                let current = engine.policy_text().await?;
                if current.seq == 0 {
                    eprintln!("version 0: the shipped preset `balanced`; nobody saved any yet");
                } else {
                    eprintln!("version {}", current.seq);
                }
                print!("{}", current.text);
            }
        }
        Action::Check { .. } | Action::Explain { .. } | Action::Test { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn version(hub: &Hub, version: u64) -> Result<String, Failure> {
    let text = hub.engine.policy_version(version).await?;
    text.ok_or_else(|| {
        format!("there is no version {version} of the policies, or it is not kept any more").into()
    })
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file);
    Ok(text.map_err(|failure| format!("{} cannot be read: {failure}", file.display()))?)
}

// --- check and test ----------------------------------------------------------------------------

fn check(file: &Path) -> Result<ExitCode, Failure> {
    let text = read(file)?;
    match Policies::compile(&text) {
        Err(problems) => Ok(tell(file, &text, &problems)),
        Ok(policies) => {
            for warning in policies.warnings() {
                eprint!("{}", placed(file, &text, warning, "warning: "));
            }
            let count = policies.ids().count();
            println!("{}: {count} policies, ready to be set.", file.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Print what is wrong, as compilers do.
fn tell(file: &Path, text: &str, problems: &[PolicyProblem]) -> ExitCode {
    for problem in problems {
        eprint!("{}", placed(file, text, problem, ""));
    }
    let count = problems.len();
    let plural = if count == 1 { "" } else { "s" };
    eprintln!("{}: {count} problem{plural}.", file.display());
    ExitCode::FAILURE
}

/// `FILE:line:column: message`, the line, and a caret below the place.
fn placed(file: &Path, text: &str, problem: &PolicyProblem, kind: &str) -> String {
    let (line, column) = (problem.line, problem.column);
    let policy = problem
        .policy
        .as_ref()
        .map_or_else(String::new, |policy| format!("`{policy}`: "));
    let mut told = format!(
        "{}:{line}:{column}: {kind}{policy}{}\n",
        file.display(),
        problem.message
    );
    let index = usize::try_from(line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    if let Some(source) = text.lines().nth(index) {
        let before = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        // Tabs stay tabs, so that the caret stands where the terminal puts the character.
        let indent: String = source
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let shown = source.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
        // Writing to a `String` cannot fail.
        let _ = write!(told, "  | {shown}\n  | {indent}^\n");
    }
    told
}

async fn test(
    config: &ConfigArgs,
    files: &[PathBuf],
    policy: Option<&Path>,
    power: Preset,
) -> Result<ExitCode, Failure> {
    let (policies, table) = match policy {
        Some(file) => {
            let text = read(file)?;
            match Policies::compile(&text) {
                Ok(policies) => (Arc::new(policies), PowerTable::preset(power)),
                Err(problems) => return Ok(tell(file, &text, &problems)),
            }
        }
        None => in_force(config).await?,
    };
    let (mut cases, mut failed) = (0, 0);
    for file in files {
        let text = read(file)?;
        let results = run_cases(&policies, &table, &text)
            .map_err(|failure| format!("{}: {failure}", file.display()))?;
        for CaseResult { name, differences } in results {
            cases += 1;
            if differences.is_empty() {
                continue;
            }
            failed += 1;
            println!("{}: {name}", file.display());
            for difference in differences {
                println!("  {difference}");
            }
        }
    }
    println!("{cases} cases, {failed} failed.");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What judges now; the defaults where there is no database, which a test must not make.
async fn in_force(config: &ConfigArgs) -> Result<(Arc<Policies>, PowerTable), Failure> {
    let checked = config.checked()?;
    if wiring::kept_issuer(&checked).await?.is_none() {
        eprintln!("no database yet: the shipped preset `balanced` is tested");
        let preset = Preset::Balanced;
        return Ok((Policies::preset(preset), PowerTable::preset(preset)));
    }
    let hub = wiring::assemble(&checked).await?;
    let found = (hub.engine.policies(), hub.engine.settings().power);
    hub.store.close().await;
    Ok(found)
}

// --- replay and explain ------------------------------------------------------------------------

fn print_replay(replay: &Replay, json: bool) {
    let Replay {
        looked_at,
        unreadable,
        changes,
    } = replay;
    if json {
        let rows = changes.iter().map(|change| {
            json!({
                "at": change.at.seconds(), "who": change.who, "why": change.change.why,
                "before": change.change.before.trust.as_str(),
                "after": change.change.after.trust.as_str(),
            })
        });
        let changes = rows.collect::<Value>();
        println!(
            "{}",
            json!({"looked_at": looked_at, "unreadable": unreadable, "changes": changes})
        );
        return;
    }
    if !changes.is_empty() {
        let rows: Vec<[String; 3]> = changes
            .iter()
            .map(|change| {
                [
                    when(change.at),
                    change.who.clone(),
                    change.change.why.join("; "),
                ]
            })
            .collect();
        table(["when", "who", "what would be different"], &rows);
    }
    println!(
        "{} of {looked_at} kept decisions would be different.",
        changes.len()
    );
    if *unreadable > 0 {
        println!("{unreadable} were kept by another release and cannot be read.");
    }
}

async fn explain(
    config: &ConfigArgs,
    client: &str,
    from: Option<IpAddr>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let checked = config.checked()?;
    let hub = match from {
        Some(_) => wiring::assemble_to_decide(&checked).await?,
        None => wiring::assemble(&checked).await?,
    };
    let source = Source {
        // RFC 5737: nobody's address.
        ip: from.unwrap_or_else(|| [192, 0, 2, 1].into()),
        user_agent: None,
    };
    let explained = hub.engine.explain(client, &source).await;
    let policies = hub.engine.policies();
    hub.store.close().await;
    let explained = explained?;
    if json {
        println!("{}", explanation_json(&explained, from.is_some()));
    } else {
        print_explanation(&explained, &policies, from);
    }
    Ok(ExitCode::SUCCESS)
}

fn explanation_json(explained: &Explanation, with_source: bool) -> Value {
    let assessment = &explained.assessment;
    let [scopes, access, connection, consent, preticks] = power_words(&explained.power);
    let reasons = assessment.reasons.iter().map(|reason| {
        let outcomes = reason.outcomes.iter().map(|outcome| outcome.as_str());
        json!({
            "policy": reason.policy, "say": reason.say, "risk": reason.risk.as_str(),
            "outcomes": outcomes.collect::<Value>(),
        })
    });
    let mut facts = facts_json::to_json(&explained.facts);
    if !with_source && let Value::Object(facts) = &mut facts {
        facts.remove("source");
    }
    json!({
        "name": explained.name, "door": explained.door.as_str(), "stored": explained.stored,
        "standing": explained.standing.as_str(), "facts": facts,
        "trust": assessment.trust.as_str(), "risk": assessment.risk.as_str(),
        "reasons": reasons.collect::<Value>(), "faults": assessment.faults,
        "may_come_in": explained.arrival.as_ref().map(|verdict| verdict.allowed),
        "approval": explained.approval.map(vestibule_store::approvals::ApprovalPhase::as_str),
        "power": {
            "scopes": scopes, "access": access, "connection": connection, "consent": consent,
            "preticks_destructive": preticks == "yes",
        },
    })
}

fn print_explanation(explained: &Explanation, policies: &Policies, from: Option<IpAddr>) {
    let assessment = &explained.assessment;
    let name = explained.name.as_deref().map_or_else(
        || "it gives itself no name".to_owned(),
        |name| format!("it calls itself “{}”", plain(name)),
    );
    let stored = match (explained.door, explained.stored) {
        (Door::Admin, _) => "an administrator made it",
        (Door::Cimd | Door::Dcr, true) => "somebody approved it before",
        (Door::Cimd | Door::Dcr, false) => "nobody approved it yet",
    };
    println!(
        "Client    by the door {}; {name}; {stored}.",
        explained.door.as_str()
    );
    println!("Standing  {}", explained.standing.as_str());
    print_facts(&explained.facts, from);
    println!();
    if assessment.reasons.is_empty() {
        println!("No policy fires.");
    }
    for reason in &assessment.reasons {
        let outcomes: Vec<&str> = reason.outcomes.iter().map(|o| o.as_str()).collect();
        println!(
            "`{}` fires: {}, risk {}",
            reason.policy,
            outcomes.join(", "),
            reason.risk.as_str()
        );
        if let Some(say) = reason
            .say
            .as_deref()
            .or_else(|| policies.say(&reason.policy))
        {
            println!("    {}.", plain(say));
        }
    }
    for fault in &assessment.faults {
        println!(
            "A policy failed while it was evaluated, so the client is held: {}",
            plain(fault)
        );
    }
    for shadow in &assessment.shadow {
        let outcomes: Vec<&str> = shadow.outcomes.iter().map(|o| o.as_str()).collect();
        println!(
            "Shadow policy `{}` would have: {}",
            shadow.policy,
            outcomes.join(", ")
        );
    }
    println!();
    println!(
        "Trust     {}, risk {}",
        assessment.trust.as_str(),
        assessment.risk.as_str()
    );
    if let Some(phase) = explained.approval {
        println!("Approval  {}", phase.as_str());
    }
    if let Some(verdict) = &explained.arrival {
        let may = if verdict.allowed { "may" } else { "may not" };
        println!(
            "Arrival   a newcomer like it {may} come in ({})",
            verdict.reasons.join(", ")
        );
    }
    let [scopes, access, connection, consent, _] = power_words(&explained.power);
    println!(
        "Power     scopes {scopes}; access tokens for {access}; connection {connection}; \
         asked {consent}"
    );
}

fn print_facts(facts: &Facts, from: Option<IpAddr>) {
    let Facts {
        client,
        source,
        score,
        missing,
    } = facts;
    println!("Facts     {}", client_words(client).join("\n          "));
    if let Some(from) = from {
        println!(
            "Request   {}",
            source_words(from, source).join("\n          ")
        );
        match score {
            Some(score) => println!("Score     {score} of 100"),
            None => println!("Score     none"),
        }
        let names: Vec<&str> = missing.iter().map(|signal| signal.as_str()).collect();
        if !names.is_empty() {
            println!("Missing   {}", names.join(", "));
        }
    }
}

fn client_words(client: &ClientFacts) -> Vec<String> {
    let ClientFacts {
        id: _,
        host,
        door: _,
        software,
        standing: _,
        confidential,
        catalogued,
        redirects,
        days_known,
        people,
        lookalike_of,
        claims,
        homograph_of,
        mixed_script,
        quality,
        foreign_urls,
        reports,
        changes_30d,
        domain_proved,
    } = client;
    let shapes: Vec<&str> = redirects.iter().map(|shape| shape.as_str()).collect();
    let mut words = vec![
        format!("software “{}”", plain(software)),
        format!("returns to: {}", shapes.join(", ")),
        format!("known for {days_known} days, used by {people} people, reported {reports} times"),
        format!("quality of its metadata {quality} of 100"),
        format!("security changes of its document in 30 days: {changes_30d}"),
    ];
    words.extend(
        host.as_ref()
            .map(|host| format!("document host {}", plain(host))),
    );
    let named = [
        ("its name looks like", lookalike_of),
        ("it says, without proof, that it is", claims),
        ("its host looks like", homograph_of),
    ];
    let named = named.into_iter();
    words
        .extend(named.filter_map(|(what, whom)| Some(format!("{what} {}", plain(whom.as_ref()?)))));
    let flags = [
        (*confidential, "it proves itself with a secret or key"),
        (*catalogued, "its exact identity is in the catalogue"),
        (*domain_proved, "its domain is proved"),
        (*mixed_script, "its name mixes scripts"),
        (*foreign_urls, "its metadata names URLs on another site"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, what)| (*what).to_owned()),
    );
    words
}

fn source_words(from: IpAddr, source: &SourceFacts) -> Vec<String> {
    let SourceFacts {
        ip: _,
        asn,
        country,
        listed,
        bad_reputation,
        vendor_egress,
        registrations_last_hour: _,
        software_last_hour: _,
        user_agent: _,
    } = source;
    let mut words = vec![format!("from {from}")];
    words.extend(country.as_ref().map(|country| format!("country {country}")));
    words.extend(asn.map(|asn| format!("network AS{asn}")));
    let flags = [
        (*listed, "on a list of an administrator"),
        (*bad_reputation, "on a list of bad reputation"),
        (
            *vendor_egress,
            "an address that a catalogued vendor publishes",
        ),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, what)| (*what).to_owned()),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_at_its_place() {
        let problem = PolicyProblem {
            line: 2,
            column: 3,
            policy: Some("x".to_owned()),
            message: "no".to_owned(),
        };
        let told = placed(Path::new("p.cedar"), "one\n\té two\n", &problem, "");
        assert_eq!(told, "p.cedar:2:3: `x`: no\n  | \té two\n  | \t ^\n");
        let beyond = PolicyProblem { line: 9, ..problem };
        let told = placed(Path::new("p.cedar"), "one\n", &beyond, "warning: ");
        assert_eq!(told, "p.cedar:9:3: warning: `x`: no\n");
    }
}
