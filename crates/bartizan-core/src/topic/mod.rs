//! Topic Names and Topic Filters.
