"""The operator's API over HTTP, on both databases."""
