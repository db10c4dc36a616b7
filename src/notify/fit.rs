//! How a text becomes as short as a channel takes it. What is longer would be refused, or cut by the provider in silence and in the
//! middle of the link.

const ELLIPSIS: &str = "…";

/// The first characters that fit, and an ellipsis where something was cut. The link at the end is kept: it is what the reader needs.
pub fn bytes(text: &str, link: Option<&str>, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let with_link = link.map(|link| format!("{ELLIPSIS} {link}")).filter(|tail| tail.len() <= bytes_max);
    let tail = with_link.unwrap_or_else(|| ELLIPSIS.to_owned());
    let mut end = bytes_max.saturating_sub(tail.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &text[..end])
}

/// The same for limits that count characters.
pub fn chars(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max - 1).chain(ELLIPSIS.chars()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_keeps_its_link() {
        let link = "https://cl.example.org/c/0123456789abcdef";
        assert_eq!(bytes("楼楼", None, 6), "楼楼");
        for bytes_max in 60..70 {
            let text = format!("{} {link}", "楼".repeat(30));
            let cut = bytes(&text, Some(link), bytes_max);
            let head = cut.strip_suffix(&format!("… {link}")).unwrap();
            assert!(cut.len() <= bytes_max && bytes_max - cut.len() < 3, "{} of {bytes_max}", cut.len());
            assert!(!head.is_empty() && head.chars().all(|c| c == '楼'), "{head}");
            let bare = bytes(&text, None, bytes_max);
            assert!(bare.len() <= bytes_max && bare.ends_with("楼…"), "{bare}");
        }
        let endless = "x".repeat(100);
        assert_eq!(bytes(&format!("楼楼楼 {endless}"), Some(&endless), 10), "楼楼…", "a link that is no text any more");
    }

    #[test]
    fn a_long_value_is_cut_by_characters() {
        assert_eq!(chars("3号楼等2处", 6), "3号楼等2处");
        assert_eq!(chars("3号楼等20处", 6), "3号楼等2…");
    }
}
