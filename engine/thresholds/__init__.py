"""Threshold policies and calibration."""
