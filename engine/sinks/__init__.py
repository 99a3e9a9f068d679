"""Outputs: Parquet, CSV and NDJSON in order, and the rejects file. Complete under their names, or not there."""
