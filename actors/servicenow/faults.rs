//! Faults that the stand-in makes on demand: `--fault fail=2:9,drop=1,slow=50,open`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

/// Longest delay, so that a typing error does not look like a hang.
const SLOW_MAX: Duration = Duration::from_secs(600);

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// By sequence of a segment: how many of its transmissions are refused with code 1.
    pub fail: BTreeMap<u32, u32>,
    /// Segments that are taken, but whose first answer is lost with the connection.
    pub drop: Vec<u32>,
    /// Before every answer of the integration endpoint.
    pub slow: Duration,
    /// A run of somebody else's is open.
    pub open: bool,
}

/// Why the text of `--fault` is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--fault cannot be `{0}`: wanted are fail=SEGMENT:TIMES, drop=SEGMENT, slow=MILLISECONDS, open")]
pub struct FaultError(String);

impl FromStr for Faults {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Faults, FaultError> {
        let mut faults = Faults::default();
        for part in text.split(',') {
            let wrong = || FaultError(part.chars().take(60).flat_map(char::escape_debug).collect());
            let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
            match part.split_once('=') {
                Some(("fail", rule)) => {
                    let (segment, times) = rule.split_once(':').ok_or_else(wrong)?;
                    faults.fail.insert(number(segment)?, number(times)?);
                }
                Some(("drop", segment)) => faults.drop.push(number(segment)?),
                Some(("slow", millis)) => {
                    faults.slow = Duration::from_millis(u64::from(number(millis)?));
                    if faults.slow > SLOW_MAX {
                        return Err(wrong());
                    }
                }
                None if part == "open" => faults.open = true,
                _ => return Err(wrong()),
            }
        }
        Ok(faults)
    }
}

/// The faults that are still to be made.
#[derive(Debug)]
pub struct Armed(Mutex<Faults>);

impl Armed {
    /// All of them.
    pub fn new(faults: Faults) -> Armed {
        Armed(Mutex::new(faults))
    }

    /// Whether this transmission of segment `sequence` is refused.
    pub fn refuses(&self, sequence: u32) -> bool {
        let mut faults = self.0.lock().expect("no holder of this lock panics");
        match faults.fail.get_mut(&sequence) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether the answer to segment `sequence` is lost.
    pub fn loses(&self, sequence: u32) -> bool {
        let mut faults = self.0.lock().expect("no holder of this lock panics");
        let at = faults.drop.iter().position(|known| *known == sequence);
        at.map(|at| faults.drop.remove(at)).is_some()
    }

    /// Delay of every answer.
    pub fn delay(&self) -> Duration {
        self.0.lock().expect("no holder of this lock panics").slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_written_and_happen_so_often() {
        let faults: Faults = "fail=2:2,drop=1,slow=5,open".parse().unwrap();
        assert!(faults.open && faults.slow == Duration::from_millis(5));
        let armed = Armed::new(faults);
        assert_eq!([2, 1, 2, 2].map(|segment| armed.refuses(segment)), [true, false, true, false]);
        assert_eq!([2, 1, 1].map(|segment| armed.loses(segment)), [false, true, false]);
        for text in ["", "fail", "fail=2", "fail=a:1", "drop=-1", "slow=9999999", "explode", "open=yes"] {
            assert!(text.parse::<Faults>().is_err(), "{text}");
        }
    }
}
