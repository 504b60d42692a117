"""Motions tracked in text-to-video clips as a TFDS dataset."""
