//! The look of progress bars.

use std::fmt::Write;

use indicatif::{ProgressState, ProgressStyle};

/// The style of a template, with `{rate}` for whole steps per second.
///
/// # Panics
/// When the template is malformed.
pub(crate) fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        // The text is a buffer in memory, which does not fail.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    style.with_key("rate", rate)
}
