"""Our T5 against Hugging Face's, both ways, in the peers' own environment.

One process of the peers reads the models that we wrote, and writes models of its own:
each kind's logits, encodings and greedy tokens of the same inputs must be ours.
"""

import functools
import json
import pathlib
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import t5_folders

from tdmm_jax.decoding import sample
from tdmm_jax.models import pretrained, t5, t5_layouts

PEER = pathlib.Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
NEW_TOKENS = 12
PEER_SCRIPT = """
import json, sys
import numpy as np, torch
from transformers import T5Config, T5ForConditionalGeneration
folder, sizes, new_tokens = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
given = np.load(f"{folder}/in.npz")
t = {name: torch.from_numpy(given[name]).long() for name in given.files}

def answers(model):
  ids = {"input_ids": t["encoder"], "attention_mask": t["mask"]}
  with torch.no_grad():
    encoded = model.encoder(**ids).last_hidden_state
    logits = model(**ids, decoder_input_ids=t["decoder"]).logits
    tokens = model.generate(**ids, do_sample=False, num_beams=1,
                            max_new_tokens=new_tokens)
  return {"encoded": encoded.numpy(), "logits": logits.numpy(),
          "tokens": tokens.numpy()[:, 1:]}

for kind, (activation, tied) in json.loads(sys.argv[4]).items():
  torch.manual_seed(0)
  model = T5ForConditionalGeneration(T5Config(
    **sizes, feed_forward_proj=activation, tie_word_embeddings=tied, dropout_rate=0.1,
    decoder_start_token_id=0))
  if not tied:  # transformers 5 ties the tables whatever the config says
    shape = model.lm_head.weight.shape
    model.lm_head.weight = torch.nn.Parameter(torch.randn(shape) * 0.3)
  # The default initialisation leaves norms at 1, and layers too faint for tied tables
  # to write anything but their input.
  for name, parameter in model.named_parameters():
    if "norm" in name:
      parameter.data += 0.3 * torch.randn(parameter.shape)
    if name.endswith(("o.weight", "wo.weight")):
      parameter.data *= 4
  model.eval().save_pretrained(f"{folder}/theirs_{kind}", max_shard_size="60KB")
  np.savez(f"{folder}/theirs_{kind}.npz", **answers(model))
  ours, info = T5ForConditionalGeneration.from_pretrained(
    f"{folder}/ours_{kind}", output_loading_info=True)
  assert not any(info.values()), info
  np.savez(f"{folder}/ours_{kind}.npz", **answers(ours.eval()))
"""


def inputs():
  rng = np.random.default_rng(0)
  encoder = rng.integers(2, t5_folders.ROWS, (3, 150))  # beyond 128, the last distance
  decoder = rng.integers(2, t5_folders.ROWS, (3, 40))
  encoder[1, 90:] = encoder[2, 5:] = 0
  return encoder, decoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """ours_KIND/ and theirs_KIND/ with the peers' answers beside them."""
  if not PEER.exists():
    pytest.skip("no .venv-peers (make test builds it)")
  folder = tmp_path_factory.mktemp("t5")
  for kind in t5_folders.KINDS:
    t5_folders.write(folder / f"ours_{kind}", kind)
  encoder, decoder = inputs()
  mask = (encoder > 0).astype(np.int64)
  np.savez(folder / "in.npz", encoder=encoder, decoder=decoder, mask=mask)
  sizes = json.loads((folder / "ours_t5_1_1" / "config.json").read_text())
  names = ("d_model", "d_kv", "d_ff", "num_heads", "num_layers", "num_decoder_layers")
  sizes = {name: sizes[name] for name in (*names, "vocab_size")}
  arguments = [folder, json.dumps(sizes), str(NEW_TOKENS), json.dumps(t5_folders.KINDS)]
  subprocess.run([PEER, "-c", PEER_SCRIPT, *arguments], check=True, timeout=300)
  pieces = (folder / "ours_t5_1_1" / "spiece.model").read_bytes()
  for kind in t5_folders.KINDS:
    (folder / f"theirs_{kind}" / "spiece.model").write_bytes(pieces)
  return folder


@functools.cache
def loaded(path, scan_layers=False):
  found = pretrained.find(path)
  params = found.params()
  fields = found.fields | {"scan_layers": scan_layers}
  model = t5.T5(found.num_rows, **fields)
  return model, t5_layouts.stack_layers(params) if scan_layers else params


THEIRS = [f"theirs_{kind}" for kind in t5_folders.KINDS]
CASES = [f"ours_{kind}" for kind in t5_folders.KINDS] + THEIRS


@pytest.mark.parametrize(
  ("case", "scan_layers"), [(c, False) for c in CASES] + [(c, True) for c in THEIRS]
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
def test_packed_in_one_row_the_logits_are_the_same(folder, case):
  expected = np.load(folder / f"{case}.npz")["logits"]
  model, params = loaded(folder / case)
  encoder, decoder = inputs()
  lengths = (encoder > 0).sum(1)
  row = lambda parts: np.concatenate([np.concatenate(parts), np.zeros(7, int)])[None]
  ids = np.arange(1, 4)
  logits = jax.jit(model.apply)(
    {"params": params},
    row([tokens[:n] for tokens, n in zip(encoder, lengths)]),
    row(decoder),
    row([np.repeat(i, n) for i, n in zip(ids, lengths)]),
    row([np.repeat(i, decoder.shape[1]) for i in ids]),
  )
  whole = np.asarray(logits)[0, :-7].reshape(expected.shape)
  assert np.abs(whole - expected).max() <= 1e-4


@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_are_the_same(folder, case):
  model, params = loaded(folder / case)
  encoder, _ = inputs()
  anything = np.zeros((3, NEW_TOKENS), np.int32)
  tokens = sample.decode(
    model,
    params,
    jnp.asarray(encoder, jnp.int32),
    anything,
    anything + t5_folders.ROWS,
    jax.random.key(0),
  )
  expected = np.load(folder / f"{case}.npz")["tokens"]
  tokens = np.asarray(tokens)[:, : expected.shape[1]]
  np.testing.assert_array_equal(tokens, expected)
  assert len(np.unique(tokens)) > 1
