//! `GET /api/openapi.json`: what this listener answers, for programs. A test holds it against the routes.

use super::problem::Problem;
use super::{Answer, Api, Question};

/// The document.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn get(_: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    Ok(Answer::Document(DOCUMENT))
}
