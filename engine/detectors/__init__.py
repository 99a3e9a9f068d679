"""Detectors, one family a module."""
