/// The edits that lead from one word to another, when there are no more than `most`: letters put in, left out, changed,
/// and, with `transpositions`, neighbours that changed places.
pub(crate) fn edits(from: &[char], to: &str, most: u32, transpositions: bool) -> Option<u32> {
    let to: Vec<char> = to.chars().collect();
    if from.len().abs_diff(to.len()) > most as usize {
        return None;
    }
    let width = to.len() + 1;
    let mut two_before = vec![0u32; width];
    let mut before: Vec<u32> = (0u32..).take(width).collect();
    let mut row = vec![0u32; width];
    for (i, letter) in from.iter().enumerate() {
        row[0] = before[0] + 1;
        let mut least = row[0];
        for (j, other) in to.iter().enumerate() {
            let mut cost = (before[j] + u32::from(letter != other)).min(before[j + 1] + 1).min(row[j] + 1);
            if transpositions && i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                cost = cost.min(two_before[j - 1] + 1);
            }
            row[j + 1] = cost;
            least = least.min(cost);
        }
        if least > most {
            return None;
        }
        std::mem::swap(&mut two_before, &mut before);
        std::mem::swap(&mut before, &mut row);
    }
    before.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let edits = |from: &str, to: &str, most| edits(&from.chars().collect::<Vec<_>>(), to, most, true);
        assert_eq!(edits("surprise", "surprize", 2), Some(1));
        assert_eq!(edits("surprise", "suprize", 2), Some(2));
        assert_eq!(edits("ab", "ba", 1), Some(1));
        assert_eq!(edits("kitten", "sitting", 2), None);
        assert_eq!(edits("", "ab", 2), Some(2));
        assert_eq!(edits("é", "e", 1), Some(1));
        assert_eq!(super::edits(&['a', 'b'], "ba", 2, false), Some(2));
    }
}
