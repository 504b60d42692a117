"""The simulated corpus as a TFDS dataset."""
