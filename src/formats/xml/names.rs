//! Numbers of the attribute names that a document uses: few, and they come in the same order again and again.

/// Names of one document that are numbered.
pub const SYMBOLS_MAX: usize = 64;

/// Number of an attribute's name, one and the same for it in all tags of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol(u8);

impl Symbol {
    /// Below [`SYMBOLS_MAX`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn bit(self) -> u64 {
        1 << self.0
    }
}

/// The names that were met, each checked once. A name that is equal to one of them needs no second check.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Vec<Known>,
    /// The symbol that came last behind each one: first the one at the beginning of a tag.
    next: Vec<Option<Symbol>>,
}

/// A name of less than 16 bytes with the `=` behind it, as a number: one comparison instead of a loop whose length nobody
/// can predict.
#[derive(Clone, Copy, Debug)]
struct Known {
    text: u128,
    mask: u128,
    length: usize,
}

impl Names {
    /// Length and symbol of the name at the beginning of `bytes`, behind the one with the symbol `previous`, if it was met
    /// before.
    #[inline]
    pub(super) fn find(&mut self, previous: Option<Symbol>, bytes: &[u8]) -> Option<(usize, Symbol)> {
        let met = first_16(bytes);
        let place = previous.map_or(0, |symbol| symbol.index() + 1);
        let is_here = |symbol: Symbol| {
            let known = &self.known[symbol.index()];
            (met & known.mask == known.text).then_some((known.length, symbol))
        };
        let found = self.next.get(place).copied().flatten().and_then(is_here);
        if found.is_some() {
            return found;
        }
        let found = (0..self.known.len()).find_map(|number| is_here(Symbol(number as u8)))?;
        self.expect(place, found.1);
        Some(found)
    }

    /// Numbers a name that was checked; `None` for long ones and for those beyond the number.
    pub(super) fn number(&mut self, previous: Option<Symbol>, name: &[u8]) -> Option<Symbol> {
        if name.len() >= 16 {
            return None;
        }
        let mut text = [0; 16];
        text[..name.len()].copy_from_slice(name);
        text[name.len()] = b'=';
        let mask = u128::MAX >> (8 * (15 - name.len()));
        let text = u128::from_le_bytes(text);
        // White space before its `=` has kept it from being found.
        let known = self.known.iter().position(|known| (known.text, known.mask) == (text, mask));
        let number = known.or_else(|| {
            let has_room = self.known.len() < SYMBOLS_MAX;
            has_room.then(|| self.known.push(Known { text, mask, length: name.len() }))?;
            Some(self.known.len() - 1)
        })?;
        let symbol = Symbol(number as u8);
        self.expect(previous.map_or(0, |symbol| symbol.index() + 1), symbol);
        Some(symbol)
    }

    fn expect(&mut self, place: usize, symbol: Symbol) {
        if self.next.len() <= place {
            self.next.resize(place + 1, None);
        }
        self.next[place] = Some(symbol);
    }
}

/// The first 16 bytes, zeros behind the last one.
#[inline]
fn first_16(bytes: &[u8]) -> u128 {
    match bytes.first_chunk() {
        Some(whole) => u128::from_le_bytes(*whole),
        None => {
            let mut padded = [0; 16];
            padded[..bytes.len()].copy_from_slice(bytes);
            u128::from_le_bytes(padded)
        }
    }
}
