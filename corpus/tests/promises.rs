//! The corpus is what it says it is, and `balanced` keeps its promises over it.

use std::collections::BTreeSet;

use vestibule_corpus::{
    arrival::{Arrival, Came, Label, corpus},
    judge::{Hub, Outcome},
    report::Report,
};
use vestibule_policy::catalogue::Catalogue;
use vestibule_protocol::trust::{Preset, Standing};

/// Of each label.
const ARRIVALS_MIN: usize = 200;

fn of(corpus: &[Arrival], label: Label) -> Vec<&Arrival> {
    corpus.iter().filter(|a| a.label == label).collect()
}

#[test]
fn there_are_enough_of_each_label_and_no_two_are_one() {
    let corpus = corpus().unwrap();
    for label in [Label::Honest, Label::Abusive] {
        assert!(of(&corpus, label).len() >= ARRIVALS_MIN, "{label:?}");
    }
    let ids: BTreeSet<&str> = corpus.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(ids.len(), corpus.len(), "an id is there twice");
    let mut seen = BTreeSet::new();
    for arrival in &corpus {
        let Arrival {
            came,
            source,
            score,
            before,
            redirect_in_use,
            ..
        } = arrival;
        let what = format!("{came:?} {source:?} {score:?} {before:?} {redirect_in_use:?}");
        assert!(seen.insert(what), "{} is there twice", arrival.id);
        assert!(arrival.note.len() >= 10, "{} has no reason", arrival.id);
    }
}

/// What is varied cannot be a few bodies with other numbers in them.
#[test]
fn bodies_are_varied() {
    let corpus = corpus().unwrap();
    for label in [Label::Honest, Label::Abusive] {
        let arrivals = of(&corpus, label);
        let bodies: BTreeSet<&str> = arrivals
            .iter()
            .map(|arrival| match &arrival.came {
                Came::Registered { body } => body.as_str(),
                Came::ByDocument { document, .. } => document.as_str(),
            })
            .collect();
        assert!(bodies.len() * 10 >= arrivals.len() * 9, "{label:?}");
        let kinds: BTreeSet<&str> = arrivals.iter().map(|a| a.kind.as_str()).collect();
        assert!(kinds.len() >= 8, "{label:?}: {kinds:?}");
        for door in [true, false] {
            let by_door = |a: &&&Arrival| matches!(a.came, Came::Registered { .. }) == door;
            assert!(arrivals.iter().filter(by_door).count() >= 20, "{label:?}");
        }
    }
}

/// Each product of the catalogue is there, by its own name, and no honest arrival is refused.
#[test]
fn honest_arrivals_are_valid_and_every_known_product_is_among_them() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    let honest = of(&corpus, Label::Honest);
    for arrival in &honest {
        let facts = hub.facts(arrival);
        assert!(facts.is_ok(), "{}: {facts:?}", arrival.id);
    }
    let products: BTreeSet<&str> = honest.iter().filter_map(|a| a.product.as_deref()).collect();
    let catalogue = Catalogue::built_in();
    let listed: BTreeSet<&str> = catalogue
        .entries()
        .iter()
        .map(|entry| entry.product.as_str())
        .collect();
    assert_eq!(products, listed);
}

/// No abusive arrival has a standing: else it would be no abuse, or the catalogue would be wrong.
#[test]
fn nobody_vouches_for_an_abusive_arrival() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    for arrival in of(&corpus, Label::Abusive) {
        if let Ok(facts) = hub.facts(arrival) {
            assert_eq!(
                facts.client.standing,
                Standing::Unverified,
                "{}",
                arrival.id
            );
        }
    }
}

/// `balanced`: no honest known client is blocked or held, and at least 95 % of the abusive ones are
/// at least warned of and cut to reading.
#[test]
fn balanced_keeps_its_promises() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    let report = Report::of(&hub, Preset::Balanced, &corpus);
    assert_eq!(report.broken_promises(), Vec::<String>::new());
}

/// A page with old figures is worse than none: paste what `cargo xtask corpus` prints.
#[test]
fn the_page_shows_the_figures_of_today() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    let page = include_str!("../../docs/corpus.md");
    for preset in Preset::ALL {
        let summary = Report::of(&hub, *preset, &corpus).summary();
        assert!(page.contains(&summary), "docs/corpus.md lacks\n{summary}");
    }
}

/// What the parser refuses whatever the preset is a small part, refused for what it is there to
/// show; and what no signal finds stays in.
#[test]
fn the_rate_is_made_by_the_policies() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    let report = Report::of(&hub, Preset::Balanced, &corpus);
    let tricks = ["document trick", "redirect trick"];
    for (arrival, judgement) in &report.judged {
        let is_trick = tricks.contains(&arrival.kind.as_str());
        let is_refused = judgement.outcome == Outcome::Refused;
        assert_eq!(is_refused, is_trick, "{}: {judgement:?}", arrival.id);
    }
    let (all, valid) = (report.hits(), report.hits_among_valid());
    assert!((all.whole - valid.whole) * 10 <= all.whole, "{all} {valid}");
    assert!(
        valid.part < valid.whole,
        "no hard case is left in the corpus"
    );
}

/// The presets are in order: none is harder on a known client, and none is softer on abuse, than
/// the one before it.
#[test]
fn presets_differ_in_the_order_of_their_names() {
    let (corpus, hub) = (corpus().unwrap(), Hub::default());
    let reports = [Preset::Open, Preset::Balanced, Preset::Strict]
        .map(|preset| Report::of(&hub, preset, &corpus));
    let pairs = reports.iter().zip(reports.iter().skip(1));
    for (softer, harder) in pairs {
        assert!(harder.hits().part >= softer.hits().part);
        assert!(harder.false_alarms().part >= softer.false_alarms().part);
        for ((arrival, soft), (_, hard)) in softer.judged.iter().zip(&harder.judged) {
            let (soft, hard) = (soft.outcome, hard.outcome);
            assert!(hard >= soft, "{}: {soft:?} then {hard:?}", arrival.id);
        }
    }
}
