//! Steps: the more of a resource, the less a further unit of it counts.
//!
//! Source: reconcile-files reference, sections 3 (`steps.csv`) and 6.1; reconcile reference, section 5.3.

use crate::model::decimal::Decimal;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it ends; `None`: nowhere.
    pub up_to: Option<Decimal>,
    /// What a unit within it counts for.
    pub rate: Decimal,
}

/// Steps of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Their name.
    pub name: Box<str>,
    /// Ascending, one without an end last.
    steps: Vec<Step>,
}

/// Published steps: cores up to here count for so many hundredths. Source: reconcile reference, section 5.3.
const PUBLISHED: [(Option<u64>, &str); 5] =
    [(Some(2_500), "1"), (Some(10_000), "0.8"), (Some(50_000), "0.6"), (Some(150_000), "0.4"), (None, "0.2")];

impl Steps {
    /// Steps in whatever order they come.
    pub fn new(name: &str, mut steps: Vec<Step>) -> Steps {
        steps.sort_by_key(|step| (step.up_to.is_none(), step.up_to));
        Steps { name: name.into(), steps }
    }

    /// Those that are published for resource value units.
    pub fn published() -> Steps {
        let step = |(up_to, rate): (Option<u64>, &str)| {
            let rate = Decimal::read(rate).expect("the table has numbers");
            Step { up_to: up_to.map(Decimal::from), rate }
        };
        Steps::new("", PUBLISHED.into_iter().map(step).collect())
    }

    /// What `resource` counts for, rounded up. What lies above the last bound counts nothing.
    pub fn figure(&self, resource: Decimal) -> Decimal {
        let (mut below, mut sum) = (Decimal::ZERO, Decimal::ZERO);
        for step in &self.steps {
            let end = step.up_to.map_or(resource, |up_to| up_to.min(resource));
            if end > below {
                sum += (end - below).times(step.rate);
                below = end;
            }
        }
        sum.ceil()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_count_by_the_steps_they_reach() {
        // Reconcile reference, worked case 18.
        for (resource, figure) in [(150_000_u64, 72_500_u64), (3_001, 2_901), (12_345, 9_907), (0, 0), (2_500, 2_500)] {
            assert_eq!(Steps::published().figure(resource.into()), figure.into(), "{resource}");
        }
        let ends = Steps::new("s", vec![Step { up_to: Some(10_u64.into()), rate: Decimal::ONE }]);
        assert_eq!(ends.figure(25_u64.into()), 10_u64.into(), "above the last bound nothing counts");
    }
}
