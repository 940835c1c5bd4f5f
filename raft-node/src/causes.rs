//! Why something failed, in one line: an error with its causes, or the message of a panic.

/// Joins an error and its causes in one line. Skips a cause whose text is there already.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    if text.contains(OUT_OF_FILES) {
        text.push_str("; the process has reached its limit of open files: raise `ulimit -n`");
    }
    text
}

/// Part of the text of the system's error EMFILE, also where a library keeps only the text.
const OUT_OF_FILES: &str = "(os error 24)";

/// The message of a panic.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
