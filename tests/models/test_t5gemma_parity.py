"""Our T5Gemma against Hugging Face's, both ways, in the peers' own environment.

One process of the peers reads the models that we wrote, and writes models of its own:
each kind's logits, encodings and greedy tokens of the same inputs must be ours.
"""

import functools
import pathlib
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import t5gemma_folders

from tdmm_jax.decoding import sample
from tdmm_jax.models import pretrained_t5gemma, t5_layouts
from tdmm_jax.models.t5gemma import T5Gemma

PEER = pathlib.Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
NEW_TOKENS = 14  # more than a window
PEER_SCRIPT = """
import json, sys
import numpy as np, torch
from transformers import T5GemmaConfig, T5GemmaForConditionalGeneration
folder, new_tokens = sys.argv[1], int(sys.argv[2])
given = np.load(f"{folder}/in.npz")
t = {name: torch.from_numpy(given[name]).long() for name in given.files}

def answers(model):
  ids = {"input_ids": t["encoder"], "attention_mask": t["mask"]}
  decoder = t["decoder"].clone()
  decoder[:, 0] = model.config.decoder.bos_token_id
  with torch.no_grad():
    encoded = model.model.encoder(**ids).last_hidden_state
    logits = model(**ids, decoder_input_ids=decoder).logits
    tokens = model.generate(**ids, do_sample=False, num_beams=1,
                            max_new_tokens=new_tokens, suppress_tokens=[0])
  return {"encoded": encoded.numpy(), "logits": logits.numpy(),
          "tokens": tokens.numpy()[:, 1:]}

for kind in sys.argv[3:]:
  ours, info = T5GemmaForConditionalGeneration.from_pretrained(
    f"{folder}/ours_{kind}", output_loading_info=True)
  assert not any(info.values()), info
  np.savez(f"{folder}/ours_{kind}.npz", **answers(ours.eval()))
  torch.manual_seed(0)
  model = T5GemmaForConditionalGeneration(
    T5GemmaConfig.from_pretrained(f"{folder}/ours_{kind}"))
  for name, parameter in model.named_parameters():
    kernel = parameter.ndim > 1 and "embed" not in name
    size = 2 * parameter.shape[-1] ** -0.5 if kernel else 0.3 / parameter.ndim**2
    parameter.data = size * torch.randn(parameter.shape)
  model.eval().save_pretrained(f"{folder}/theirs_{kind}", max_shard_size="60KB")
  np.savez(f"{folder}/theirs_{kind}.npz", **answers(model))
"""


def inputs():
  rng = np.random.default_rng(0)
  encoder = rng.integers(4, t5gemma_folders.ROWS, (3, 40))
  decoder = rng.integers(4, t5gemma_folders.ROWS, (3, 25))
  encoder[1, 22:] = encoder[2, 5:] = 0
  decoder[:, 0] = 0  # how rows start here
  return encoder, decoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """ours_KIND/ and theirs_KIND/ with the peers' answers beside them."""
  if not PEER.exists():
    pytest.skip("no .venv-peers (make test builds it)")
  folder = tmp_path_factory.mktemp("t5gemma")
  for kind in t5gemma_folders.KINDS:
    t5gemma_folders.write(folder / f"ours_{kind}", kind)
  encoder, decoder = inputs()
  mask = (encoder > 0).astype(np.int64)
  np.savez(folder / "in.npz", encoder=encoder, decoder=decoder, mask=mask)
  arguments = [folder, str(NEW_TOKENS), *t5gemma_folders.KINDS]
  subprocess.run([PEER, "-c", PEER_SCRIPT, *arguments], check=True, timeout=300)
  for kind, (*_, name) in t5gemma_folders.KINDS.items():
    pieces = (folder / f"ours_{kind}" / name).read_bytes()
    (folder / f"theirs_{kind}" / name).write_bytes(pieces)
  return folder


@functools.cache
def loaded(path, scan_layers=False):
  found = pretrained_t5gemma.find(path)
  tied, params = found.fields["logits_via_embedding"], found.params()
  model = T5Gemma(found.num_rows, found.sizes, 0.0, tied, scan_layers=scan_layers)
  return model, t5_layouts.stack_layers(params) if scan_layers else params


THEIRS = [f"theirs_{kind}" for kind in t5gemma_folders.KINDS]
CASES = [f"ours_{kind}" for kind in t5gemma_folders.KINDS] + THEIRS


@pytest.mark.parametrize(
  ("case", "scan_layers"), [(c, False) for c in CASES] + [(THEIRS[1], True)]
)
def test_logits_and_encodings_are_hugging_faces(folder, case, scan_layers):
  expected = np.load(folder / f"{case}.npz")
  model, params = loaded(folder / case, scan_layers)
  encoder, decoder = inputs()
  segments = (encoder > 0).astype(np.int32)
  apply = lambda *args, **kw: jax.jit(functools.partial(model.apply, **kw))(
    {"params": params}, *args
  )
  encoded = apply(encoder, segments, method="encode")
  seen = segments > 0
  assert np.abs(np.asarray(encoded)[seen] - expected["encoded"][seen]).max() <= 1e-4
  logits = apply(encoder, decoder, segments, np.ones_like(decoder))
  assert np.std(expected["logits"]) > 0.1
  assert np.abs(np.asarray(logits) - expected["logits"]).max() <= 1e-4


@pytest.mark.parametrize("case", THEIRS)
def test_greedy_tokens_are_the_same(folder, case):
  model, params = loaded(folder / case)
  encoder, _ = inputs()
  anything = np.zeros((3, NEW_TOKENS), np.int32)
  tokens = sample.decode(
    model,
    params,
    jnp.asarray(encoder, jnp.int32),
    anything + 1,  # padding is not written, and starts a row here
    anything + t5gemma_folders.ROWS,
    jax.random.key(0),
  )
  expected = np.load(folder / f"{case}.npz")["tokens"]
  tokens = np.asarray(tokens)[:, : expected.shape[1]]
  np.testing.assert_array_equal(tokens, expected)
  assert len(np.unique(tokens)) > 1
