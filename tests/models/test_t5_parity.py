"""Our T5.1.1 against Hugging Face's, in the peers' own environment."""

import pathlib
import subprocess

import jax
import numpy as np
import pytest

from tdmm_jax.models.t5 import T5

PEER = pathlib.Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
LAYERS, HEADS, HEAD_DIM, EMB, MLP, VOCAB = 2, 3, 8, 24, 40, 96
PEER_SCRIPT = f"""
import sys
import numpy as np, torch
from transformers import T5Config, T5ForConditionalGeneration
tied = sys.argv[3] == "tied"
torch.manual_seed(0)
model = T5ForConditionalGeneration(T5Config(
  vocab_size={VOCAB}, d_model={EMB}, d_kv={HEAD_DIM}, d_ff={MLP}, num_layers={LAYERS},
  num_decoder_layers={LAYERS}, num_heads={HEADS}, feed_forward_proj="gated-gelu",
  tie_word_embeddings=tied, dropout_rate=0.0)).eval()
if not tied:  # newer transformers tie the tables whatever the config says
  model.lm_head.weight = torch.nn.Parameter(torch.randn({VOCAB}, {EMB}) * 0.3)
# The default initialisation leaves norms at 1 and tables small: stir everything.
for name, parameter in model.named_parameters():
  if "norm" in name:
    parameter.data += 0.3 * torch.randn(parameter.shape)
given = np.load(sys.argv[1])
t = {{name: torch.from_numpy(given[name]).long() for name in given.files}}
with torch.no_grad():
  logits = model(input_ids=t["encoder"], attention_mask=t["mask"],
                 decoder_input_ids=t["decoder"]).logits
weights = {{name: value.numpy() for name, value in model.state_dict().items()}}
np.savez(sys.argv[2], **weights, logits=logits.numpy())
"""


def _attention(theirs, name):
  return {
    ours: {"kernel": theirs[f"{name}.{short}.weight"].T}
    for ours, short in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o"))
  }


def _mlp(theirs, name):
  return {
    part: {"kernel": theirs[f"{name}.DenseReluDense.{part}.weight"].T}
    for part in ("wi_0", "wi_1", "wo")
  }


def _stack(theirs, stack):
  """One stack's parameters; a block's sub-layers are numbered in order."""
  norm = lambda name: {"scale": theirs[f"{name}.weight"]}
  first = f"{stack}.block.0.layer.0.SelfAttention"
  table = theirs[f"{first}.relative_attention_bias.weight"]
  tree = {
    "relpos_bias": {"rel_embedding": table},
    f"{stack}_norm": norm(f"{stack}.final_layer_norm"),
  }
  for index in range(LAYERS):
    block = f"{stack}.block.{index}.layer"
    layer = {"self_attention": _attention(theirs, f"{block}.0.SelfAttention")}
    if stack == "encoder":
      layer["pre_attention_layer_norm"] = norm(f"{block}.0.layer_norm")
    else:
      layer["pre_self_attention_layer_norm"] = norm(f"{block}.0.layer_norm")
      layer["pre_cross_attention_layer_norm"] = norm(f"{block}.1.layer_norm")
      cross = _attention(theirs, f"{block}.1.EncDecAttention")
      layer["encoder_decoder_attention"] = cross
    last = f"{block}.{1 if stack == 'encoder' else 2}"
    layer["pre_mlp_layer_norm"] = norm(f"{last}.layer_norm")
    layer["mlp"] = _mlp(theirs, last)
    tree[f"layers_{index}"] = layer
  return tree


@pytest.mark.skipif(not PEER.exists(), reason="no .venv-peers (make test builds it)")
@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_hugging_faces(tmp_path, tied):
  rng = np.random.default_rng(0)
  encoder = rng.integers(2, VOCAB, (3, 150))  # beyond 128, the last exact distance
  decoder = rng.integers(2, VOCAB, (3, 40))
  encoder[1, 90:] = encoder[2, 5:] = 0
  mask = (encoder > 0).astype(np.int64)
  np.savez(tmp_path / "in.npz", encoder=encoder, decoder=decoder, mask=mask)
  command = [PEER, "-c", PEER_SCRIPT, tmp_path / "in.npz", tmp_path / "out.npz"]
  subprocess.run([*command, "tied" if tied else "untied"], check=True, timeout=300)
  theirs = dict(np.load(tmp_path / "out.npz"))
  params = {
    "token_embedder": {"embedding": theirs["shared.weight"]},
    "encoder": _stack(theirs, "encoder"),
    "decoder": _stack(theirs, "decoder"),
  }
  if not tied:
    params["logits_dense"] = {"kernel": theirs["lm_head.weight"].T}
  model = T5(VOCAB, EMB, HEADS, HEAD_DIM, MLP, LAYERS, LAYERS, 0.0, tied)
  inputs = (encoder, decoder, mask, np.ones_like(decoder))
  ours = jax.jit(model.apply)({"params": params}, *inputs)
  assert np.std(theirs["logits"]) > 0.1
  assert np.abs(np.asarray(ours) - theirs["logits"]).max() <= 1e-4
