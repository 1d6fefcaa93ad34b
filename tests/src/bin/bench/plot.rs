//! Plots as plain SVG. Text and lines take their colour from the reader's light or dark setting; bars and curves have
//! colours that stand out on both.

use std::fmt::Write as _;

use crate::table::thousands;

const WIDTH: f64 = 760.0;

/// Of bars and curves, in turn.
const COLOURS: [&str; 4] = ["#2f81c7", "#d9822b", "#c9455a", "#3f9d6b"];

/// A bar, and the ceiling that bounds it.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) ceiling: Option<f64>,
}

/// A curve with its points from left to right.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) points: Vec<[f64; 2]>,
}

/// Horizontal bars, each before its ceiling.
pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    const LEFT: f64 = 250.0;
    let most = bars.iter().map(|bar| bar.value.max(bar.ceiling.unwrap_or(0.0))).fold(1.0, f64::max);
    let wide = |value: f64| value / most * (WIDTH - LEFT - 190.0);
    let height = 64.0 + bars.len() as f64 * 34.0;
    let mut svg = begin(title, height);
    for (at, bar) in bars.iter().enumerate() {
        let y = 48.0 + at as f64 * 34.0;
        text(&mut svg, LEFT - 10.0, y + 16.0, "end", &bar.label);
        if let Some(ceiling) = bar.ceiling {
            rect(&mut svg, LEFT, y, wide(ceiling), r#"class="ceiling""#);
        }
        rect(&mut svg, LEFT, y, wide(bar.value), &format!(r#"fill="{}""#, COLOURS[0]));
        let end = LEFT + wide(bar.value.max(bar.ceiling.unwrap_or(0.0)));
        let beside = bar.ceiling.map_or_else(String::new, |ceiling| format!(" of {}", thousands(ceiling)));
        text(&mut svg, end + 8.0, y + 16.0, "start", &format!("{}{beside} {unit}", thousands(bar.value)));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Curves over a common axis that begins at zero.
pub(crate) fn curves(title: &str, across: &str, up: &str, curves: &[Curve]) -> String {
    const LEFT: f64 = 64.0;
    const TOP: f64 = 56.0;
    const RIGHT: f64 = 120.0;
    const BOTTOM: f64 = 56.0;
    const HEIGHT: f64 = 360.0;
    let most = |axis: usize| {
        let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point[axis]);
        round_up(values.fold(0.0, f64::max))
    };
    let (most_x, most_y) = (most(0), most(1));
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin(title, HEIGHT);
    for step in 0..=4 {
        let part = f64::from(step) / 4.0;
        let (at_x, at_y) = (x(most_x * part), y(most_y * part));
        line(&mut svg, [LEFT, at_y], [WIDTH - RIGHT, at_y]);
        text(&mut svg, LEFT - 8.0, at_y + 4.0, "end", &short(most_y * part));
        text(&mut svg, at_x, HEIGHT - BOTTOM + 20.0, "middle", &short(most_x * part));
    }
    text(&mut svg, LEFT - 8.0, TOP - 12.0, "end", up);
    text(&mut svg, WIDTH - RIGHT, HEIGHT - BOTTOM + 42.0, "end", across);
    let mut taken = f64::MAX;
    let mut sorted: Vec<(&Curve, &str)> = curves.iter().zip(COLOURS.into_iter().cycle()).collect();
    // The lowest curve's name first, so that names that lie close are pushed upwards.
    let last_y = |curve: &Curve| curve.points.last().map_or(0.0, |point| point[1]);
    sorted.sort_by(|(one, _), (other, _)| last_y(one).total_cmp(&last_y(other)));
    for (curve, colour) in sorted {
        let points: Vec<String> =
            curve.points.iter().map(|point| format!("{:.1},{:.1}", x(point[0]), y(point[1]))).collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2.5"/>"#,
            points.join(" ")
        );
        if let Some(end) = curve.points.last() {
            let at = (y(end[1]) + 4.0).min(taken - 16.0);
            taken = at;
            text(&mut svg, x(end[0]) + 8.0, at, "start", &curve.label);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn begin(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">
<style>
text {{ font: 13px sans-serif; fill: #24292f }} .title {{ font-weight: bold; font-size: 15px }}
.ceiling {{ fill: #8884; stroke: #888 }} line {{ stroke: #8886 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}
</style>
<text class="title" x="12" y="26">{title}</text>
"##
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let what = escaped(what);
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{what}</text>"#);
}

fn rect(svg: &mut String, x: f64, y: f64, width: f64, style: &str) {
    let _ = writeln!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="22" {style}/>"#);
}

fn line(svg: &mut String, from: [f64; 2], to: [f64; 2]) {
    let ([x1, y1], [x2, y2]) = (from, to);
    let _ = writeln!(svg, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The next of some steps between powers of ten whose quarters are short numbers.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn short(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { thousands(value) } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_all_values() {
        assert_eq!(
            [3.1, 8.0, 81.0, 1_001.0, 0.0].map(|value| round_up(value).round()),
            [3.0, 8.0, 100.0, 1_200.0, 0.0]
        );
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_of_its_ceiling() {
        let bar = Bar { label: "a < b".to_owned(), value: 50.0, ceiling: Some(100.0) };
        let svg = bars("title", "/s", &[bar]);
        let widths: Vec<f64> =
            svg.split("width=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
        assert_eq!(widths, [320.0, 160.0]);
        assert!(svg.contains("a &lt; b") && svg.contains("50 of 100 /s"), "{svg}");
    }
}
