"""A small random BERT in Hugging Face's layout, for tests of the text encoder."""

import json

import numpy as np
import safetensors.numpy

from tdmm_jax.models import bert, pretrained_bert

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("she", "he", "a", "woman", "smiles", "nods", "face", "motion", "seconds")


def vocabulary() -> list[str]:
  letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
  return [*SPECIAL, *letters, *(f"##{c}" for c in letters if c.isalnum()), *WORDS]


def write(folder, seed: int = 0):
  """Writes config.json, model.safetensors and vocab.txt; the folder."""
  folder.mkdir(parents=True, exist_ok=True)
  words = vocabulary()
  sizes = bert.Sizes(len(words), 32, 4, 48, 2, 512, 1e-12, words.index("[CLS]"))
  stored = {"model_type": "bert", "hidden_act": "gelu", "type_vocab_size": 2}
  for ours, theirs in pretrained_bert.THEIRS.items():
    stored[theirs] = getattr(sizes, ours)
  (folder / "config.json").write_text(json.dumps(stored))
  (folder / "vocab.txt").write_text("\n".join(words) + "\n")
  (folder / "NOTICE").write_text("Made by a test.\n")
  rng = np.random.default_rng(seed)
  tensors = {}
  for path, theirs, shape in pretrained_bert.entries(sizes):
    spread = 1.0 if path[-1] == "embedding" else 0.2
    mean = 1.0 if path[-1] == "scale" else 0.0
    tensors[theirs] = (mean + spread * rng.normal(size=shape)).astype(np.float32)
  safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
  return folder
