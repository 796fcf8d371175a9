//! The compiled policy image and its evaluator.
