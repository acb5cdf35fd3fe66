//! Licences counted by steps over a resource: the capacity of the devices, or a number entered by hand.
//!
//! Source: reconcile-files reference, section 6.1, type 31.

use super::super::bits::Bits;
use super::super::context::Context;
use crate::model::decimal::Decimal;
use crate::model::estate::Number;
use crate::model::licensing::{Settings, Steps};
use crate::model::reconciliation::Reason;

/// See the module's head.
#[derive(Debug)]
pub struct Capacity {
    steps: Steps,
    /// Set: the resource, entered by hand.
    by_hand: Option<Decimal>,
    units: Bits,
    sum: Decimal,
}

impl Capacity {
    /// Nothing counted yet.
    pub fn new(context: &Context<'_>, settings: &Settings) -> Capacity {
        let steps = settings.steps.map(|steps| context.licensing.steps[steps.get() as usize].clone());
        Capacity {
            steps: steps.unwrap_or_else(Steps::published),
            by_hand: settings.resource_by_hand.then(|| settings.quantity.unwrap_or_default()),
            units: Bits::new(context.estate.devices.len()),
            sum: Decimal::ZERO,
        }
    }

    /// Why a device cannot be counted.
    pub fn missing(&self, context: &Context<'_>, device: Number) -> Option<Reason> {
        let is_missing = self.by_hand.is_none() && !context.device(device).capacity().is_positive();
        is_missing.then_some(Reason::CoreCountMissing)
    }

    fn raise(&self, context: &Context<'_>, device: Number) -> Decimal {
        if self.units.contains(device) { Decimal::ZERO } else { context.device(device).capacity() }
    }

    /// The figure if an installation on `device` were taken too.
    pub fn figure_with(&self, context: &Context<'_>, device: Number) -> Decimal {
        self.steps.figure(self.by_hand.unwrap_or_else(|| self.sum + self.raise(context, device)))
    }

    /// Takes an installation.
    pub fn take(&mut self, context: &Context<'_>, device: Number) {
        self.sum += self.raise(context, device);
        self.units.insert(device);
    }

    /// Today's figure.
    pub fn figure(&self) -> Decimal {
        self.steps.figure(self.by_hand.unwrap_or(self.sum))
    }
}
