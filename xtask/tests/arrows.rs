//! The dependency arrows of ARCHITECTURE.md, checked. Draw a new arrow there before adding it here.

const ARROWS: &[(&str, &[&str])] = &[
    ("vestibule-cimd", &["vestibule-fetch", "vestibule-protocol"]),
    (
        "vestibule-corpus",
        &["vestibule-policy", "vestibule-protocol"],
    ),
    (
        "vestibule-engine",
        &[
            "vestibule-cimd",
            "vestibule-fetch",
            "vestibule-jwt",
            "vestibule-policy",
            "vestibule-protocol",
            "vestibule-seal",
            "vestibule-store",
        ],
    ),
    ("vestibule-fetch", &[]),
    ("vestibule-jwt", &["vestibule-protocol"]),
    ("vestibule-policy", &["vestibule-protocol"]),
    ("vestibule-protocol", &[]),
    (
        "vestibule-resource",
        &["vestibule-fetch", "vestibule-jwt", "vestibule-protocol"],
    ),
    ("vestibule-seal", &[]),
    (
        "vestibule-server",
        &["vestibule-engine", "vestibule-policy", "vestibule-protocol"],
    ),
    ("vestibule-store", &["vestibule-protocol"]),
    (
        "vestibule-store-postgres",
        &["vestibule-protocol", "vestibule-store"],
    ),
    (
        "vestibule-store-sqlite",
        &["vestibule-protocol", "vestibule-store"],
    ),
];

/// Crates that may depend on anything of ours: they only wire, show or measure.
const FREE: &[&str] = &[
    "vestibule",
    "vestibule-example-mcp-server",
    "vestibule-example-agent",
];
/// Crates that may depend on nothing of ours: a bug in our types must not hide itself.
const BLACK_BOX: &[&str] = &["vestibule-benches", "vestibule-conformance", "xtask"];
/// Crates that nothing depends on: they judge ours, and are run, not linked.
const LEAVES: &[&str] = &["vestibule-corpus"];
/// Who may use a library that others must not (`style.md` 2.2).
const WALLS: &[(&str, &[&str])] = &[
    ("axum", &["vestibule", "vestibule-server"]),
    ("cedar-policy", &["vestibule-policy"]),
    ("hyper", &["vestibule-fetch", "vestibule-server"]),
    ("hickory-resolver", &["vestibule-fetch"]),
    ("cedar-policy", &["vestibule-policy"]),
    ("jsonwebtoken", &["vestibule-jwt"]),
    ("deadpool-postgres", &["vestibule-store-postgres"]),
    ("rusqlite", &["vestibule-store-sqlite"]),
    ("tokio-postgres", &["vestibule-store-postgres"]),
];
/// Tests of these may use a store and what it takes to put an engine together.
const TESTS_WITH_A_STORE: &[&str] = &["vestibule-engine", "vestibule-server"];

#[test]
fn crates_depend_only_along_the_drawn_arrows() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .unwrap();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if FREE.contains(&name) {
            continue;
        }
        let drawn = ARROWS
            .iter()
            .find(|(from, _)| *from == name)
            .map(|(_, to)| *to);
        let drawn = drawn.unwrap_or_else(|| {
            assert!(BLACK_BOX.contains(&name), "{name} is missing from ARROWS");
            &[]
        });
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let to = dependency.name.as_str();
            let in_tests = dependency.kind == cargo_metadata::DependencyKind::Development
                && (TESTS_WITH_A_STORE.contains(&name) || to == name);
            assert!(
                drawn.contains(&to) || in_tests,
                "undrawn arrow: {name} -> {to}"
            );
        }
    }
}

#[test]
fn nothing_depends_on_a_leaf() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .unwrap();
    let packages = metadata.workspace_packages();
    for leaf in LEAVES {
        assert!(packages.iter().any(|package| package.name == *leaf));
        for package in &packages {
            let mut dependencies = package.dependencies.iter();
            let depends = dependencies.any(|dependency| dependency.name == *leaf);
            assert!(!depends, "{} -> {leaf}", package.name);
        }
    }
}

#[test]
fn only_the_crate_behind_the_wall_uses_the_library() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .no_deps()
        .exec()
        .unwrap();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let is_ours_to_judge = ARROWS.iter().any(|(from, _)| *from == name);
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| is_ours_to_judge && d.kind == cargo_metadata::DependencyKind::Normal)
        {
            if let Some((_, allowed)) = WALLS
                .iter()
                .find(|(library, _)| *library == dependency.name)
            {
                assert!(
                    allowed.contains(&name),
                    "{name} must not use {}",
                    dependency.name
                );
            }
        }
    }
}

/// The README's first command names no binary.
#[test]
fn cargo_run_starts_the_hub() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir("..") // as a reader does, from the root
        .no_deps()
        .exec()
        .unwrap();
    let binaries: Vec<_> = metadata
        .workspace_default_packages()
        .into_iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.as_str())
        .collect();
    assert_eq!(binaries, ["vestibule"]);
}
