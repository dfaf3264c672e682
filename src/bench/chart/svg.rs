//! SVG as text: its elements, escaped and with one decimal place, so that equal pictures are equal
//! bytes.

use std::fmt::Write;

/// The fonts that a viewer has anyhow.
const FONTS: &str = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// The width of an average character, as a share of the font's size.
const CHARACTER_WIDTH: f64 = 0.56;

/// The size of most texts.
pub(super) const FONT_SIZE: f64 = 12.0;

/// Which point of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG that is being written.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// Begins a picture of a size in pixels, on a white ground of its own.
    pub(super) fn begin(width: f64, height: f64, title: &str) -> Self {
        Self::begin_at(0.0, width, height, title)
    }

    /// Begins one whose upper edge is so many pixels down in another one.
    pub(super) fn begin_at(y: f64, width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { text: String::new() };
        let y = if y > 0.0 { format!(" y=\"{y}\"") } else { String::new() };
        svg.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{y} width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\">"
        ));
        svg.push(format_args!("<title>{}</title>", escaped(title)));
        svg.push(format_args!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"));
        svg
    }

    /// Returns a picture that holds others, each of which says where it is.
    pub(super) fn around(width: f64, height: f64, pictures: &[String]) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n{}</svg>\n",
            pictures.concat()
        )
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, size: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if size > FONT_SIZE + 2.0 { " font-weight=\"600\"" } else { "" };
        let (x, y, text) = (rounded(at.0), rounded(at.1), escaped(text));
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{weight}{anchor} fill=\"#222222\">{text}</text>"
        ));
    }

    /// A text on a dark ground, around a place.
    pub(super) fn light_text(&mut self, at: (f64, f64), text: &str) {
        let (x, y, text) = (rounded(at.0), rounded(at.1), escaped(text));
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{FONT_SIZE}\" text-anchor=\"middle\" \
             fill=\"#ffffff\">{text}</text>"
        ));
    }

    /// Draws through the points. `dashes` is an SVG dash pattern; an empty one is a solid line.
    pub(super) fn line(&mut self, points: &[(f64, f64)], color: &str, width: f64, dashes: &str) {
        let mut path = String::new();
        for &(x, y) in points {
            let separator = if path.is_empty() { "" } else { " " };
            let _infallible = write!(path, "{separator}{},{}", rounded(x), rounded(y));
        }
        let dashes = if dashes.is_empty() {
            String::new()
        } else {
            format!(" stroke-dasharray=\"{dashes}\"")
        };
        self.push(format_args!(
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"{dashes}/>"
        ));
    }

    /// A filled circle with a white rim, which parts it from a line below.
    pub(super) fn dot(&mut self, at: (f64, f64), color: &str) {
        let (x, y) = (rounded(at.0), rounded(at.1));
        self.push(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{color}\" stroke=\"#ffffff\"/>"
        ));
    }

    pub(super) fn rectangle(&mut self, corner: (f64, f64), size: (f64, f64), color: &str) {
        let (x, y, width, height) =
            (rounded(corner.0), rounded(corner.1), rounded(size.0), rounded(size.1));
        self.push(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{color}\"/>"
        ));
    }

    pub(super) fn end(mut self) -> String {
        self.push(format_args!("</svg>"));
        self.text
    }

    fn push(&mut self, element: std::fmt::Arguments) {
        let _infallible = writeln!(self.text, "{element}");
    }
}

/// About how wide a text is in the usual size, in pixels.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT_SIZE * CHARACTER_WIDTH
}

/// One decimal place, and no negative zero.
fn rounded(pixels: f64) -> String {
    let tenths = (pixels * 10.0).round() / 10.0;
    format!("{}", if tenths == 0.0 { 0.0 } else { tenths })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_numbers_are_short() {
        let mut svg = Svg::begin(10.0, 10.0, "a < b & c");
        svg.text((1.25, -0.01), Anchor::End, FONT_SIZE, "<&>");
        let text = svg.end();
        assert!(text.contains("<title>a &lt; b &amp; c</title>"), "{text}");
        assert!(text.contains("x=\"1.3\" y=\"0\""), "{text}");
        assert!(text.contains(">&lt;&amp;&gt;</text>"), "{text}");
    }
}
