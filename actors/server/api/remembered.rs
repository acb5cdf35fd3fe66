//! Answers that are costly to make and asked for again and again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An answer that took longer to make is given for a while even when it is no longer the newest.
const COSTLY: Duration = Duration::from_millis(100);
/// For so many times of what it took, so that making it takes a tenth of one core at most.
const SHARE: u32 = 10;

struct Made<K, V> {
    of: K,
    value: V,
    began: Instant,
    took: Duration,
}

/// The last answer, and what it was made of.
pub struct Remembered<K, V>(Mutex<Option<Made<K, V>>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Remembered<K, V> {
        Remembered(Mutex::new(None))
    }
}

impl<K: PartialEq, V: Clone> Remembered<K, V> {
    /// The answer made of `of`: the remembered one, or else what `make` makes. Who asks meanwhile waits for it.
    pub fn get<E>(&self, of: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref() {
            let is_spared = made.took > COSTLY && made.began.elapsed() < made.took * SHARE;
            if made.of == of || is_spared {
                return Ok(made.value.clone());
            }
        }
        let began = Instant::now();
        let value = make()?;
        *made = Some(Made { of, value: value.clone(), began, took: began.elapsed() });
        Ok(value)
    }

    /// The last answer, whatever it was made of.
    pub fn last(&self) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|made| made.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_again_only_when_what_it_is_made_of_has_changed() {
        let remembered = Remembered::default();
        let get = |of: u8, value: u8| remembered.get(of, || Ok::<_, ()>(value)).unwrap();
        assert_eq!((get(1, 10), get(1, 11), get(2, 12), get(2, 13)), (10, 10, 12, 12));
        assert_eq!(remembered.get(3, || Err("no")), Err("no"));
        assert_eq!(remembered.last(), Some(12));
    }

    #[test]
    fn a_costly_answer_is_spared() {
        let remembered = Remembered::default();
        let began = Instant::now() - 2 * COSTLY;
        *remembered.0.lock().unwrap() = Some(Made { of: 1, value: 10, began, took: 2 * COSTLY });
        assert_eq!(remembered.get(2, || Ok::<_, ()>(11)), Ok(10));
        remembered.0.lock().unwrap().as_mut().unwrap().began = began - 30 * COSTLY;
        assert_eq!(remembered.get(2, || Ok::<_, ()>(11)), Ok(11));
    }
}
