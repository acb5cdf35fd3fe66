//! The XML registries that installers keep in a home. `None`: not of the form that is read.

use super::Claim;
use crate::formats::xml::{Token, XmlReader};

/// `.com.zerog.registry.xml`: `registry`, `products`, `product` with name and version, and its `vendor`.
///
/// Source: files of InstallAnywhere as installers leave them; their form is not published.
pub(super) fn install_anywhere(bytes: &[u8]) -> Option<Vec<Claim>> {
    let mut xml = XmlReader::new(bytes);
    let mut claims: Vec<Claim> = Vec::new();
    let (mut depth, mut product_depth) = (0usize, None);
    loop {
        match xml.next_token().ok()? {
            Token::Open(tag) => {
                let text = |attribute| tag.get(attribute).unwrap_or("").to_owned();
                match tag.name() {
                    "registry" if depth == 0 => {}
                    _ if depth == 0 => return None,
                    "product" if product_depth.is_none() => {
                        claims.push(Claim { name: text("name"), version: text("version"), ..Claim::default() });
                        product_depth = Some(depth);
                    }
                    "vendor" if product_depth == depth.checked_sub(1) => {
                        if let Some(claim) = claims.last_mut() {
                            claim.publisher = text("name");
                        }
                    }
                    _ => {}
                }
                depth += 1;
            }
            Token::Close { .. } => {
                depth = depth.saturating_sub(1);
                if product_depth == Some(depth) {
                    product_depth = None;
                }
            }
            Token::End => return Some(claims),
        }
    }
}

/// `registry.xml` of a BEA home: `product` with its `release`, and in that each `component` that has a version.
///
/// A release without such a component stands for its product, at the release's level.
pub(super) fn bea(bytes: &[u8]) -> Option<Vec<Claim>> {
    let mut xml = XmlReader::new(bytes);
    let mut claims: Vec<Claim> = Vec::new();
    let (mut depth, mut product, mut release) = (0usize, String::new(), None);
    loop {
        match xml.next_token().ok()? {
            Token::Open(tag) => {
                let text = |attribute| tag.get(attribute).unwrap_or("").to_owned();
                match tag.name() {
                    "bea-product-information" if depth == 0 => {}
                    _ if depth == 0 => return None,
                    "product" => product = text("name"),
                    "release" => release = Some((depth, claims.len(), text("level"))),
                    "component" if release.is_some() && tag.get("version").is_some() => {
                        claims.push(Claim { name: text("name"), version: text("version"), ..Claim::default() });
                    }
                    _ => {}
                }
                depth += 1;
            }
            Token::Close { .. } => {
                depth = depth.saturating_sub(1);
                if let Some((_, before, level)) = release.take_if(|(at, ..)| *at == depth)
                    && claims.len() == before
                {
                    claims.push(Claim { name: product.clone(), version: level, ..Claim::default() });
                }
            }
            Token::End => return Some(claims),
        }
    }
}
