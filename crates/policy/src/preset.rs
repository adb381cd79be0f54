//! The shipped sets of policies: texts that a person can learn from, compiled once.
//!
//! Not here: the numbers of the power table, which a preset has too
//! ([`PowerTable::preset`](crate::PowerTable::preset)).

use std::sync::{Arc, LazyLock};

use vestibule_protocol::trust::Preset;

use crate::cedar::Policies;

static OPEN: LazyLock<Arc<Policies>> = LazyLock::new(|| compiled(Preset::Open));
static BALANCED: LazyLock<Arc<Policies>> = LazyLock::new(|| compiled(Preset::Balanced));
static STRICT: LazyLock<Arc<Policies>> = LazyLock::new(|| compiled(Preset::Strict));

/// The policy text of a preset, as shipped.
pub const fn preset_text(preset: Preset) -> &'static str {
    match preset {
        Preset::Open => include_str!("../presets/open.cedar"),
        Preset::Balanced => include_str!("../presets/balanced.cedar"),
        Preset::Strict => include_str!("../presets/strict.cedar"),
    }
}

impl Policies {
    /// A shipped preset. Compiled once for the process; all callers share its memory of decisions.
    pub fn preset(preset: Preset) -> Arc<Self> {
        let compiled = match preset {
            Preset::Open => &OPEN,
            Preset::Balanced => &BALANCED,
            Preset::Strict => &STRICT,
        };
        Arc::clone(compiled)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the texts are constants, and `presets_compile_without_a_warning` compiles each"
)]
fn compiled(preset: Preset) -> Arc<Policies> {
    Arc::new(Policies::compile(preset_text(preset)).expect("a shipped preset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_compile_without_a_warning() {
        for preset in Preset::ALL {
            let policies = Policies::compile(preset_text(*preset));
            let policies = policies.unwrap_or_else(|problems| panic!("{preset:?}: {problems:#?}"));
            assert_eq!(policies.warnings(), [], "{preset:?}");
        }
    }
}
