//! What waits is listed and delivered, for every store.
