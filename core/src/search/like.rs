//! `LIKE` and `ILIKE` as SQLite has them.

/// Whether `text` has the form of `pattern`, in which `%` stands for any text and `_` for one character.
pub(super) fn matches(pattern: &str, text: &str, any_case: bool) -> bool {
    let same = |a: char, b: char| a == b || (any_case && a.eq_ignore_ascii_case(&b));
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on if what follows the last `%` does not fit: with one more character under it.
    let mut retry = None;
    loop {
        let (before_pattern, before_text) = (pattern.clone(), text.clone());
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('%'), _) => {
                text = before_text;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some('_'), Some(_)) => {}
            (Some(wanted), Some(found)) if same(wanted, found) => {}
            (_, None) if before_pattern.clone().all(|c| c == '%') => return true,
            _ => {
                let Some((after, under)) = &mut retry else { return false };
                if under.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), under.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[track_caller]
    fn check(pattern: &str, text: &str, exact: bool, any_case: bool) {
        assert_eq!((matches(pattern, text, false), matches(pattern, text, true)), (exact, any_case));
    }

    #[test]
    fn percent_is_any_text_and_underscore_one_character() {
        check("", "", true, true);
        check("", "a", false, false);
        check("%", "", true, true);
        check("a%c", "abbc", true, true);
        check("a%c", "abbcd", false, false);
        check("%ab%ab", "abcabab", true, true);
        check("_", "é", true, true);
        check("_", "", false, false);
        check("a_c%%", "abc", true, true);
        check("%\n%", "a\nb", true, true);
    }

    #[test]
    fn only_ascii_letters_lose_their_case() {
        check("ABC", "abc", false, true);
        check("É", "é", false, false);
        check("A_%", "abc", false, true);
    }
}
