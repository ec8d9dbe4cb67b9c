//! Lists, read to their end. A list that changes while it is read, or whose pages do not add up to what the forge says it holds,
//! is no answer: an approval that is missing from it, or stands in it twice, must not decide anything.

use serde::de::DeserializeOwned;

use super::error::ForgeError;
use super::wire::{Call, Wire};

/// Entries asked for at once: Gitea and Forgejo give no more.
const PAGE: usize = 50;
/// The most pages: 10,000 entries.
const MOST_PAGES: usize = 200;

/// Where reading a list stands after a page.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    More,
    Done,
}

/// Whether the pages so far fit together. `total` is what the first page said the whole list holds.
fn next(total: Option<usize>, said: Option<usize>, read: usize, page: usize) -> Result<Next, String> {
    if said != total {
        return Err("it changed while it was read".to_owned());
    }
    match total {
        Some(total) if read == total => Ok(Next::Done),
        Some(total) if read > total || page == 0 => {
            Err(format!("the forge says that it has {total} entries and gave {read}"))
        }
        None if page == 0 => Ok(Next::Done),
        _ => Ok(Next::More),
    }
}

impl Wire {
    /// All entries of a list.
    pub(super) async fn list<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Vec<T>, ForgeError> {
        let mut call = call.query("limit", PAGE);
        let incomplete = |call: &Call<'_>, why| ForgeError::Incomplete { what: call.what.clone(), why };
        let (mut all, mut total) = (Vec::new(), None);
        for number in 1..=MOST_PAGES {
            // Without a page number Gitea gives all reviews whatever the limit, and no count to check them by.
            call = call.query("page", number);
            let answer = self.ask(&call).await?;
            let page: Vec<T> = answer.value()?;
            if number == 1 {
                total = answer.total;
            }
            let count = page.len();
            all.extend(page);
            match next(total, answer.total, all.len(), count).map_err(|why| incomplete(&call, why))? {
                Next::More => {}
                Next::Done => return Ok(all),
            }
        }
        Err(incomplete(&call, format!("it has more than {} entries", MOST_PAGES * PAGE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_where_the_count_is_reached_or_where_none_is_given_with_an_empty_page() {
        assert_eq!(next(Some(51), Some(51), 50, 50), Ok(Next::More));
        assert_eq!(next(Some(51), Some(51), 51, 1), Ok(Next::Done));
        assert_eq!(next(Some(0), Some(0), 0, 0), Ok(Next::Done));
        assert_eq!(next(None, None, 50, 50), Ok(Next::More));
        assert_eq!(next(None, None, 50, 0), Ok(Next::Done));
    }

    #[test]
    fn a_list_that_falls_short_goes_beyond_or_changes_is_no_answer() {
        assert!(next(Some(51), Some(51), 50, 0).is_err());
        assert!(next(Some(51), Some(51), 52, 2).is_err());
        assert!(next(Some(51), Some(52), 51, 1).is_err());
        assert!(next(Some(51), None, 51, 1).is_err());
    }
}
