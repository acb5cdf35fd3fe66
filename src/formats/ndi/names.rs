//! Names that were met in a file: each is compared once.

use hashbrown::HashMap;

use crate::formats::xml::{SYMBOLS_MAX, Symbol};

/// The columns of one shape by the symbols of their names: each name is compared once in a file.
pub(super) struct SymbolColumns([u8; SYMBOLS_MAX]);

impl SymbolColumns {
    const UNKNOWN: u8 = u8::MAX;
    const NONE: u8 = u8::MAX - 1;

    /// The column of `symbol`, if it is one's; `look` finds it out the first time.
    pub(super) fn of(&mut self, symbol: Symbol, look: impl Fn() -> Option<usize>) -> Option<usize> {
        let known = &mut self.0[symbol.index()];
        if *known == SymbolColumns::UNKNOWN {
            // No shape has so many columns as to meet the marks.
            *known = look().map_or(SymbolColumns::NONE, |column| column as u8);
        }
        (*known != SymbolColumns::NONE).then_some(usize::from(*known))
    }
}

impl Default for SymbolColumns {
    fn default() -> SymbolColumns {
        SymbolColumns([SymbolColumns::UNKNOWN; SYMBOLS_MAX])
    }
}

/// Numbers of the property names met so far.
#[derive(Default)]
pub(super) struct PropertyNames {
    numbers: HashMap<Box<str>, (u32, Option<&'static str>)>,
}

impl PropertyNames {
    pub(super) fn find(&self, name: &str) -> Option<(u32, Option<&'static str>)> {
        self.numbers.get(name).copied()
    }

    pub(super) fn learn(&mut self, name: &str, number: u32, key: Option<&'static str>) {
        self.numbers.insert(name.into(), (number, key));
    }
}
