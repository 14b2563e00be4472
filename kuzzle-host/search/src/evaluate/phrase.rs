use crate::document::Terms;

/// One place of a phrase: the word that stands there, or how it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) term: String,
    /// Its place, counted from the phrase's first word.
    pub(crate) offset: u32,
    pub(crate) prefix: bool,
}

/// How often a phrase occurs in a field: whole when `slop` is 0, else the more the words are out of place the less an
/// occurrence counts. 0 when it does not occur.
pub(crate) fn frequency(slots: &[Slot], slop: u32, terms: &Terms) -> f32 {
    let mut lists: Vec<Vec<i64>> = Vec::with_capacity(slots.len());
    for slot in slots {
        let mut starts: Vec<i64> = if slot.prefix {
            terms
                .with_prefix(&slot.term)
                .flat_map(|posting| posting.positions.iter())
                .map(|it| i64::from(*it))
                .collect()
        } else {
            let Some(posting) = terms.find(&slot.term) else { return 0.0 };
            posting.positions.iter().map(|it| i64::from(*it)).collect()
        };
        if starts.is_empty() {
            return 0.0;
        }
        starts.sort_unstable();
        starts.iter_mut().for_each(|start| *start -= i64::from(slot.offset));
        lists.push(starts);
    }
    if slop == 0 { exact(&lists) } else { sloppy(slots, &lists, slop) }
}

fn exact(lists: &[Vec<i64>]) -> f32 {
    let Some((first, others)) = lists.split_first() else { return 0.0 };
    let occurs = |start: &&i64| others.iter().all(|list| list.binary_search(start).is_ok());
    first.iter().filter(occurs).count() as f32
}

/// Looks at each narrowest window that holds every word: its width is how far they are out of place.
fn sloppy(slots: &[Slot], lists: &[Vec<i64>], slop: u32) -> f32 {
    let mut at = vec![0usize; lists.len()];
    let mut frequency = 0.0;
    loop {
        let starts: Vec<i64> =
            lists.iter().zip(&at).filter_map(|(list, at)| list.get(*at).copied()).collect();
        if starts.len() < lists.len() {
            return frequency;
        }
        let least = starts.iter().copied().min().unwrap_or(0);
        let width = starts.iter().copied().max().unwrap_or(0) - least;
        if width <= i64::from(slop) && distinct(slots, &starts) {
            frequency += 1.0 / (1.0 + width as f32);
        }
        match starts.iter().position(|start| *start == least) {
            Some(first) => at[first] += 1,
            None => return frequency,
        }
    }
}

/// Whether no word of the text serves for two words of the phrase.
fn distinct(slots: &[Slot], starts: &[i64]) -> bool {
    let mut places: Vec<i64> =
        slots.iter().zip(starts).map(|(slot, start)| start + i64::from(slot.offset)).collect();
    places.sort_unstable();
    places.windows(2).all(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurs(phrase: &str, slop: u32, text: &str) -> f32 {
        let slot = |(offset, term): (u32, &str)| Slot {
            term: term.trim_end_matches('*').to_owned(),
            offset,
            prefix: term.ends_with('*'),
        };
        let slots: Vec<Slot> = (0u32..).zip(phrase.split(' ')).map(slot).collect();
        let tokens = text.split(' ').map(str::to_owned).zip(0u32..).collect();
        frequency(&slots, slop, &Terms::new(tokens))
    }

    #[test]
    fn words_in_order() {
        assert_eq!(occurs("quick fox", 0, "the quick brown fox"), 0.0);
        assert_eq!(occurs("quick brown", 0, "quick brown and quick brown"), 2.0);
        assert_eq!(occurs("quick fox", 1, "the quick brown fox"), 0.5);
        // Two words that changed places are two moves apart.
        assert_eq!(occurs("fox quick", 1, "quick fox"), 0.0);
        assert_eq!(occurs("fox quick", 2, "quick fox"), 1.0 / 3.0);
        assert_eq!(occurs("quick br*", 0, "quick brown"), 1.0);
        assert_eq!(occurs("a a", 3, "a b"), 0.0);
        assert_eq!(occurs("a a", 3, "a b a"), 0.5);
    }
}
