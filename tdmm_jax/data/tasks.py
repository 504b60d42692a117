"""The two tasks as token sequences. Pure numpy; one file to read.

l2m: [<l2m>] instruction with prompt and duration [eos] -> [<som>] motion [<eom>] [eos]
m2l: [<m2l>] instruction [<som>] motion [<eom>] [eos]   -> caption [eos]
"""

import numpy as np

from tdmm_jax.language import instructions
from tdmm_jax.vocab import EOS_ID, Vocab

FPS = 25
NUM_MOTION_SPECIALS = 3  # <som>, <eom>, eos around the motion tokens of a target


def motion_ids(vocab: Vocab, codes) -> np.ndarray:
  """<som> motion <eom> eos."""
  ids = vocab.motion_to_ids(codes)
  return np.concatenate([[vocab.som_id], ids, [vocab.eom_id, EOS_ID]]).astype(np.int32)


def l2m_encoder(
  vocab: Vocab, prompt: str, num_frames: int, template: str | None = None
):
  """Encoder tokens of Language2Motion; the default template is the first one."""
  template = template or instructions.L2M_TRAIN[0]
  text = instructions.l2m_text(prompt, num_frames / FPS, template)
  ids = [vocab.task_id("l2m"), *vocab.encode_text(text), EOS_ID]
  return np.asarray(ids, np.int32)


def m2l_encoder(vocab: Vocab, codes, template: str | None = None) -> np.ndarray:
  """Encoder tokens of Motion2Language."""
  template = template or instructions.M2L_TRAIN[0]
  head = [vocab.task_id("m2l"), *vocab.encode_text(template)]
  return np.concatenate([head, motion_ids(vocab, codes)]).astype(np.int32)


def l2m_example(vocab: Vocab, prompt: str, codes, template: str) -> dict:
  return {
    "encoder_tokens": l2m_encoder(vocab, prompt, len(codes), template),
    "decoder_targets": motion_ids(vocab, codes),
  }


def m2l_example(vocab: Vocab, caption: str, codes, template: str) -> dict:
  targets = [*vocab.encode_text(caption), EOS_ID]
  return {
    "encoder_tokens": m2l_encoder(vocab, codes, template),
    "decoder_targets": np.asarray(targets, np.int32),
  }
