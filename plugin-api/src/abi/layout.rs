//! Are two builds' ideas of a type compatible?

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, check_layout_compatibility,
};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};

/// Why two layouts do not fit.
#[derive(Clone, Debug)]
pub struct LayoutMismatch {
    /// One line: the first few differences.
    pub summary: String,
    /// Every difference with where it is; often hundreds of lines.
    pub details: String,
}

impl fmt::Display for LayoutMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for LayoutMismatch {}

/// Whether a value of layout `actual` can be used through layout `expected`, in either direction of age.
///
/// A table may be newer or older than the reader: one of the two must be the other's beginning. The library's check
/// accepts a newer implementation only, so it is run both ways. Costs up to a millisecond the first time; each pair of
/// layouts is checked once per process.
///
/// # Errors
///
/// With the differences, when neither is an extension of the other.
pub fn check_layouts(
    expected: &'static TypeLayout,
    actual: &'static TypeLayout,
) -> Result<(), LayoutMismatch> {
    type Known = Mutex<HashMap<(usize, usize), Result<(), LayoutMismatch>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    // Layouts are statics of libraries that are never unloaded: an address names one for ever.
    let key = (std::ptr::from_ref(expected).addr(), std::ptr::from_ref(actual).addr());
    if key.0 == key.1 {
        return Ok(());
    }
    let known = KNOWN.get_or_init(Known::default);
    if let Some(result) = known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return result.clone();
    }
    let result = check_both_ways(expected, actual);
    known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, result.clone());
    result
}

fn check_both_ways(expected: &'static TypeLayout, actual: &'static TypeLayout) -> Result<(), LayoutMismatch> {
    let Err(errors) = check_layout_compatibility(expected, actual) else { return Ok(()) };
    if check_layout_compatibility(actual, expected).is_ok() {
        return Ok(());
    }
    Err(mismatch(&errors))
}

fn mismatch(errors: &AbiInstabilityErrors) -> LayoutMismatch {
    const SHOWN: usize = 3;
    let mut differences: Vec<String> = Vec::new();
    for error in &errors.errors {
        let place =
            error.stack_trace.last().map_or_else(|| "the table".to_owned(), |step| place(&step.expected));
        for reason in &error.errs {
            let line = format!("{place}: {}", describe(reason));
            if !differences.contains(&line) {
                differences.push(line);
            }
        }
    }
    let more = differences.len().saturating_sub(SHOWN);
    let mut summary = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        summary.push_str(&format!("; and {more} more"));
    }
    LayoutMismatch { summary, details: errors.to_string() }
}

fn place(step: &TLFieldOrFunction) -> String {
    match step {
        TLFieldOrFunction::Field(field) => format!("`{}` (a `{}`)", field.name(), field.layout().name()),
        TLFieldOrFunction::Function(function) => format!("function `{}`", function.name),
    }
}

fn describe(reason: &AbiInstability) -> String {
    match reason {
        AbiInstability::Size(size) => format!("{} bytes, expected {}", size.found, size.expected),
        AbiInstability::Alignment(align) => format!("alignment {}, expected {}", align.found, align.expected),
        AbiInstability::FieldCountMismatch(count) => {
            format!("{} fields, expected {}", count.found, count.expected)
        }
        AbiInstability::UnexpectedField(field) => {
            format!("field `{}`, expected `{}`", field.found.name(), field.expected.name())
        }
        AbiInstability::Name(name) => {
            format!("type `{}`, expected `{}`", name.found.name(), name.expected.name())
        }
        AbiInstability::TooManyVariants(count) => {
            format!("{} variants, expected {}", count.found, count.expected)
        }
        other => {
            let text = format!("{other:?}");
            let end = text.find(['(', ' ', '{']).unwrap_or(text.len());
            format!("differs in {}", &text[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi_stable::StableAbi;

    #[repr(C)]
    #[derive(StableAbi)]
    struct Small {
        number: u32,
    }

    mod newer {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Small {
            number: u32,
            extra: u64,
        }
    }

    #[allow(dead_code, reason = "only the layouts are compared")]
    mod tables {
        use abi_stable::StableAbi;

        #[repr(C)]
        #[derive(StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = OldRef, prefix_fields = OldPrefix)))]
        #[sabi(missing_field(option))]
        pub(super) struct Table {
            #[sabi(last_prefix_field)]
            first: extern "C" fn(u32) -> u32,
        }

        pub(super) mod grown {
            use abi_stable::StableAbi;

            #[repr(C)]
            #[derive(StableAbi)]
            #[sabi(kind(Prefix(prefix_ref = OldRef, prefix_fields = OldPrefix)))]
            #[sabi(missing_field(option))]
            pub(crate) struct Table {
                #[sabi(last_prefix_field)]
                first: extern "C" fn(u32) -> u32,
                second: extern "C" fn(u64),
            }
        }
    }

    #[test]
    fn a_changed_struct_is_refused_both_ways_in_one_line() {
        for (expected, actual) in
            [(Small::LAYOUT, newer::Small::LAYOUT), (newer::Small::LAYOUT, Small::LAYOUT)]
        {
            let mismatch = check_layouts(expected, actual).unwrap_err();
            assert!(mismatch.summary.contains("bytes, expected"), "{}", mismatch.summary);
            assert!(!mismatch.summary.contains('\n'), "{}", mismatch.summary);
            assert!(mismatch.details.lines().count() > 1);
        }
    }

    #[test]
    fn a_grown_table_works_in_both_directions_of_age() {
        let (old, new) =
            (<tables::OldRef as StableAbi>::LAYOUT, <tables::grown::OldRef as StableAbi>::LAYOUT);
        assert!(check_layouts(old, new).is_ok());
        assert!(check_layouts(new, old).is_ok());
    }
}
