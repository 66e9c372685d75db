"""Trainers of preference-aligned checkpoints."""
