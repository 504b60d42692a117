"""How a codebook is used."""

import numpy as np


def usage(codes, num_codes: int) -> dict[str, float]:
  """Counts of a flat array of codes.

  Returns:
    num_codes, codebook_used (codes that occur), codebook_zeros_ratio, perplexity
    (exp of the entropy), num_frames.
  """
  counts = np.bincount(np.asarray(codes).ravel(), minlength=num_codes)
  p = counts[counts > 0] / counts.sum()
  used = int((counts > 0).sum())
  return {
    "num_codes": num_codes,
    "codebook_used": used,
    "codebook_zeros_ratio": 1 - used / num_codes,
    "perplexity": float(np.exp(-np.sum(p * np.log(p)))),
    "num_frames": int(counts.sum()),
  }
