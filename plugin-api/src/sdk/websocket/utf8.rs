//! Whether text that comes in pieces is UTF-8.

/// Longest character, in bytes.
const CHARACTER_MAX_BYTES: usize = 4;

/// What was seen of a text so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utf8 {
    /// The beginning of a character that is not whole yet.
    begun: [u8; CHARACTER_MAX_BYTES],
    length: u8,
}

impl Utf8 {
    pub(super) const fn new() -> Self {
        Self { begun: [0; CHARACTER_MAX_BYTES], length: 0 }
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    ///
    /// With the number of bytes before the one that no text may have there; the same however the text was cut.
    pub(super) fn check(&mut self, piece: &[u8]) -> Result<(), usize> {
        let mut rest = piece;
        while self.length > 0
            && let Some((next, after)) = rest.split_first()
        {
            let at = usize::from(self.length);
            if let Some(place) = self.begun.get_mut(at) {
                *place = *next;
            }
            let begun = self.begun.get(..=at).unwrap_or_default();
            match std::str::from_utf8(begun) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_none() => self.length += 1,
                Err(_) => return Err(piece.len() - rest.len()),
            }
            rest = after;
        }
        let Err(error) = std::str::from_utf8(rest) else { return Ok(()) };
        match error.error_len() {
            Some(length) => Err(piece.len() - rest.len() + error.valid_up_to() + length),
            None => {
                for byte in rest.iter().skip(error.valid_up_to()) {
                    if let Some(place) = self.begun.get_mut(usize::from(self.length)) {
                        *place = *byte;
                        self.length += 1;
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the text may end here.
    pub(super) const fn is_whole(self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes that were taken, and whether they are a whole text.
    fn judge(bytes: &[u8], cuts: &[usize]) -> (usize, bool) {
        let mut utf8 = Utf8::new();
        let mut from = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            match utf8.check(&bytes[from..end]) {
                Ok(()) => from = end,
                Err(taken) => return (from + taken, false),
            }
        }
        (bytes.len(), utf8.is_whole())
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_the_standard_library_however_the_text_is_cut(
            pieces in prop::collection::vec(
                prop_oneof![
                    any::<char>().prop_map(|character| character.to_string().into_bytes()),
                    prop::collection::vec(any::<u8>(), 0..3),
                ],
                0..6,
            ),
        ) {
            let bytes = pieces.concat();
            let whole = judge(&bytes, &[]);
            prop_assert_eq!(whole.1, std::str::from_utf8(&bytes).is_ok());
            for cut in 0..=bytes.len() {
                for other in cut..=bytes.len() {
                    prop_assert_eq!(judge(&bytes, &[cut, other]), whole);
                }
            }
        }
    }
}
