//! Token buckets and quotas.
