//! Pages: a token is the number of items that came before, which only the store that gave it reads.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::store::{PAGE_MAX, Page, PageRequest};

/// Which items of an answer a request means.
pub(crate) fn range(page: &PageRequest) -> Result<Range<usize>> {
    let start = match &page.token {
        None => 0,
        Some(token) => token.parse().map_err(|cause| {
            Error::invalid(
                "this is no page token of this store; pass on what the page before said comes next",
            )
            .with("token", token)
            .because(cause)
        })?,
    };
    Ok(start..start.saturating_add(page.max_results.min(PAGE_MAX)))
}

/// The page of `items`, which are in order, that `page` asks for.
pub(super) fn cut<T>(mut items: Vec<T>, page: &PageRequest) -> Result<Page<T>> {
    let range = range(page)?;
    let is_last = items.len() <= range.end;
    items.truncate(range.end);
    items.drain(..range.start.min(items.len()));
    Ok(page_of(items, &range, is_last))
}

/// A page of `items` that ends at the end of `range`.
pub(crate) fn page_of<T>(items: Vec<T>, range: &Range<usize>, is_last: bool) -> Page<T> {
    // A request for nothing would come back to the same place for ever.
    let next = (!is_last && !range.is_empty()).then(|| range.end.to_string());
    Page { items, next }
}
