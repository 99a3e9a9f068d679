"""Splits, training loops and checkpoints."""
