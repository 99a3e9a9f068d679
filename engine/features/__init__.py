"""The feature schema, its inference, encoding and preprocessing."""
