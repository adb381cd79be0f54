//! What the demo prints: each step when it is done, with what was checked.

use std::time::Instant;

/// Prints steps.
pub(super) struct Timeline {
    started: Instant,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(super) fn chapter(title: &str) {
        println!("\n{title}");
    }

    /// A step that succeeded.
    pub(super) fn step(&mut self, what: &str, checked: &[&str]) {
        println!("{:>7.2} s  {what}", self.started.elapsed().as_secs_f64());
        for line in checked {
            println!("            · {line}");
        }
    }
}
