//! What needs nodes.
