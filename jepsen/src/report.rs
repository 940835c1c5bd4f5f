//! A page for people: faults, answers, latencies and verdicts over time.
//!
//! The page is one file without scripts. Everything from outside is escaped.

use std::fmt::Write;
use std::path::Path;

use crate::config::{Config, Judgements, verdict};
use crate::history::{History, Outcome};

/// Width of the charts, in pixels.
const WIDTH: f64 = 1_100.0;
const HEIGHT: f64 = 160.0;

/// What happened in one second.
#[derive(Debug, Clone, Default)]
struct Second {
    ok: usize,
    refused: usize,
    failed: usize,
    unknown: usize,
    latencies_ms: Vec<f64>,
}

/// A fault from beginning to end.
#[derive(Debug)]
struct Band {
    name: String,
    from: f64,
    to: f64,
    details: String,
}

/// The page of a run.
#[must_use]
pub fn page(
    folder: &Path,
    config: Option<&Config>,
    history: &History,
    judgements: &Judgements,
) -> String {
    let seconds = seconds(history);
    let bands = bands(history, seconds.len() as f64);
    let title = config.map_or_else(
        || folder.display().to_string(),
        |config| {
            let nemesis = config.nemesis.join(", ");
            format!("{} under {nemesis}, seed {}", config.workload, config.seed)
        },
    );
    let title = escape(&title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font:14px sans-serif;margin:2em;max-width:1150px}}td,th{{text-align:left;\
         padding:2px 12px 2px 0;vertical-align:top}}.valid{{color:#176b2c}}\
         .invalid{{color:#b00020}}.unknown,.empty{{color:#8a5a00}}\
         svg{{background:#fafafa;border:1px solid #ddd}}\
         text{{font:11px sans-serif}}</style>\n<h1>{title}</h1>\n\
         <p>Verdict: <b class=\"{0}\">{0}</b></p>\n",
        verdict(judgements)
    );
    page.push_str("<table><tr><th>checker<th>verdict<th>figures and findings</tr>\n");
    for (name, judgement) in judgements {
        let mut said: Vec<String> = judgement.notes.iter().map(|note| escape(note)).collect();
        said.extend(judgement.findings.iter().map(|finding| escape(finding)));
        let _ = writeln!(
            page,
            "<tr><td>{}<td class=\"{1}\">{1}<td>{2}</tr>",
            escape(name),
            judgement.verdict,
            said.join("<br>")
        );
    }
    page.push_str("</table>\n<h2>Answers a second</h2>\n");
    page.push_str(&throughput(&seconds, &bands));
    page.push_str(
        "<p>green: success, blue: refused by the rules, grey: certainly not done, red: \
                   unknown; shaded: a fault is on, with its number below</p>\n<h2>Latency, ms (logarithmic)</h2>\n",
    );
    page.push_str(&latency(&seconds, &bands));
    page.push_str("<p>black: median, orange: 99 %, of successes</p>\n<h2>Faults</h2>\n");
    page.push_str("<table><tr><th><th>from, s<th>to, s<th>fault<th>details</tr>\n");
    for (number, band) in (1..).zip(&bands) {
        let (name, details) = (escape(&band.name), escape(&band.details));
        let _ = writeln!(
            page,
            "<tr><td>{number}<td>{:.1}<td>{:.1}<td>{name}<td>{details}</tr>",
            band.from, band.to
        );
    }
    page.push_str("</table>\n</html>\n");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn seconds(history: &History) -> Vec<Second> {
    let mut seconds: Vec<Second> = Vec::new();
    for operation in history.client_operations() {
        let Some(ended) = operation.ended else { continue };
        let at = usize::try_from(ended / 1_000_000_000).unwrap_or(usize::MAX).min(100_000);
        if seconds.len() <= at {
            seconds.resize(at + 1, Second::default());
        }
        let second = &mut seconds[at];
        match &operation.outcome {
            Outcome::Ok(_) => {
                second.ok += 1;
                let latency = ended.saturating_sub(operation.invoked) as f64 / 1e6;
                second.latencies_ms.push(latency);
            }
            Outcome::Fail(reason) if reason.is_decision() => second.refused += 1,
            Outcome::Fail(_) => second.failed += 1,
            Outcome::Info(_) => second.unknown += 1,
        }
    }
    for second in &mut seconds {
        second.latencies_ms.sort_by(f64::total_cmp);
    }
    seconds
}

fn bands(history: &History, end: f64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for fault in &history.faults {
        let at = fault.time as f64 / 1e9;
        let phase = fault.value["phase"].as_str().unwrap_or("");
        match (phase, bands.last_mut()) {
            ("begin", _) => bands.push(Band {
                name: fault.f.clone(),
                from: at,
                to: end,
                details: String::new(),
            }),
            ("on", Some(band)) => band.details = fault.value["what"].to_string(),
            ("end", Some(band)) => {
                band.to = at;
                let _ = write!(band.details, "; effect {}", fault.value["effect"]);
            }
            _ => {}
        }
    }
    bands
}

/// The frame of a chart, with the times of faults shaded.
fn frame(bands: &[Band], count: usize, inside: &str) -> String {
    let scale = WIDTH / count.max(1) as f64;
    let mut svg = format!("<svg width=\"{WIDTH}\" height=\"{}\">\n", HEIGHT + 20.0);
    for (number, band) in (1..).zip(bands) {
        let (x, width) = (band.from * scale, ((band.to - band.from) * scale).max(1.0));
        let name = escape(&band.name);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
             fill=\"#f4c2c2\" opacity=\"0.5\"><title>{name}</title></rect>\
             <text x=\"{x:.1}\" y=\"10\">{number}</text>"
        );
    }
    svg.push_str(inside);
    for at in (0..count).step_by((count / 12).max(1)) {
        let x = at as f64 * scale;
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\">{at} s</text>", HEIGHT + 15.0);
    }
    svg.push_str("</svg>\n");
    svg
}

fn throughput(seconds: &[Second], bands: &[Band]) -> String {
    let all = |second: &Second| second.ok + second.refused + second.failed + second.unknown;
    let most = seconds.iter().map(all).max().unwrap_or(0).max(1) as f64;
    let scale = WIDTH / seconds.len().max(1) as f64;
    let mut inside = String::new();
    for (at, second) in seconds.iter().enumerate() {
        let mut y = HEIGHT;
        let parts = [
            (second.ok, "#3a9d4f"),
            (second.refused, "#5b8def"),
            (second.failed, "#999"),
            (second.unknown, "#c62828"),
        ];
        for (count, colour) in parts.into_iter().filter(|(count, _)| *count > 0) {
            let height = count as f64 / most * (HEIGHT - 15.0);
            y -= height;
            let x = at as f64 * scale;
            let _ = writeln!(
                inside,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                 fill=\"{colour}\"/>",
                (scale - 0.5).max(0.5)
            );
        }
    }
    let _ = writeln!(inside, "<text x=\"{}\" y=\"24\">{most}</text>", WIDTH - 40.0);
    frame(bands, seconds.len(), &inside)
}

fn latency(seconds: &[Second], bands: &[Band]) -> String {
    let scale = WIDTH / seconds.len().max(1) as f64;
    let mut inside = String::new();
    for (share, colour) in [(0.5, "#000"), (0.99, "#ef7d00")] {
        for (at, second) in seconds.iter().enumerate() {
            let Some(last) = second.latencies_ms.len().checked_sub(1) else { continue };
            let latency = second.latencies_ms[(last as f64 * share).round() as usize];
            // From 0.1 ms at the bottom to 10 s at the top.
            let height = ((latency.max(0.1).log10() + 1.0) / 5.0).min(1.0) * HEIGHT;
            let (x, y) = ((at as f64 + 0.5) * scale, HEIGHT - height);
            let _ = writeln!(
                inside,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.8\" fill=\"{colour}\">\
                 <title>{latency:.1} ms</title></circle>"
            );
        }
    }
    for (label, value) in [("1", 1.0_f64), ("10", 10.0), ("100", 100.0), ("1000", 1_000.0)] {
        let y = HEIGHT - (value.log10() + 1.0) / 5.0 * HEIGHT;
        let _ = writeln!(
            inside,
            "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"2\" y=\"{y:.1}\">{label}</text>"
        );
    }
    frame(bands, seconds.len(), &inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped() {
        let mut history = History::default();
        history.faults.push(crate::history::Fault {
            f: "<script>".to_owned(),
            kind: crate::history::Kind::Info,
            value: serde_json::json!({"phase": "begin"}),
            time: 1,
            line: 1,
        });
        let page = page(Path::new("<b>"), None, &history, &Vec::new());
        assert!(!page.contains("<script>") && !page.contains("<b>\n"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }
}
