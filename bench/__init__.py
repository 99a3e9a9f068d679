"""Benchmarks, peers, data generators and result tables."""
