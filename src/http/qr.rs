//! Pictures that a phone's camera reads.

use qrcode::QrCode;
use qrcode::render::svg;

/// Pixels of a side, so that it can be printed and scanned from an arm's length.
const SIDE_MIN: u32 = 280;

/// An SVG; `None`: too much text for one picture.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::new(text.as_bytes()).ok()?;
    Some(code.render::<svg::Color>().min_dimensions(SIDE_MIN, SIDE_MIN).quiet_zone(true).build())
}

/// The same as the address of an image.
pub fn address(text: &str) -> Option<String> {
    use base64::Engine;
    svg(text).map(|svg| format!("data:image/svg+xml;base64,{}", base64::engine::general_purpose::STANDARD.encode(svg)))
}
