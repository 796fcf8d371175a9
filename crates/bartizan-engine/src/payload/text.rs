//! Text: UTF-8, as a whole by a regular expression where there is one. Linear in the payload's length.

use bartizan_core::policy::{Misfit, PayloadCheck};
use regex::{Regex, RegexBuilder};

use super::REGEX_BYTES_MAX;

/// Text.
#[derive(Debug)]
pub(super) struct Text {
    whole: Option<Regex>,
}

impl Text {
    pub(super) fn new(pattern: Option<&str>) -> Result<Text, String> {
        let Some(pattern) = pattern else { return Ok(Text { whole: None }) };
        // By itself first: what closes a group that it has not opened would mean something else inside one.
        compile(pattern)?;
        Ok(Text { whole: Some(compile(&format!(r"\A(?:{pattern})\z"))?) })
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
    // It draws where the mistake is, over several lines.
    built.map_err(|error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}

impl PayloadCheck for Text {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        let text = std::str::from_utf8(payload).map_err(|_| Misfit("it is not UTF-8".into()))?;
        match &self.whole {
            Some(whole) if !whole.is_match(text) => Err(Misfit("it does not match the pattern as a whole".into())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_utf8_and_matches_as_a_whole() {
        let any = Text::new(None).unwrap();
        assert!(any.check("µm".as_bytes()).is_ok());
        assert!(any.check(b"\xff").is_err());
        let number = Text::new(Some(r"-?\d+|nan")).unwrap();
        for (payload, fits) in [("12", true), ("-1", true), ("nan", true), ("12 ", false), ("x12", false), ("", false)]
        {
            assert_eq!(number.check(payload.as_bytes()).is_ok(), fits, "{payload:?}");
        }
    }

    #[test]
    fn an_expression_that_is_none_or_too_large_or_looks_around_is_refused() {
        for pattern in ["(", "a)|(b", "(?=a)", r"(a)\1", "((a{1000}){1000}){1000}"] {
            assert!(Text::new(Some(pattern)).is_err(), "{pattern}");
        }
    }
}
