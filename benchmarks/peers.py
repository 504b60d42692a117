"""The peers' side of `benchmarks.run`: PyTorch, in an environment of its own.

Run by `benchmarks.run` with .venv-peers' python; imports nothing of the project. It
reads one JSON request a line and answers one JSON line:

  {"prepare": NAME}          -> {"compile_s": seconds of the first call}
  {"run": NAME, "seconds", "cpu"} -> {"rate": items a second, of CPU time if "cpu"}
  {"drop": NAME}             -> {}

argv[1] is an npz with the inputs that both sides are given, argv[2] the sizes (JSON).
The VQ-VAE is T2M-GPT's (arXiv:2301.06052), written here from its description: widths,
depth, dilations, EMA codebook with resets, losses and optimiser.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class ResBlock(nn.Module):
  """Dilated residual convolution: ReLU, width 3, ReLU, width 1."""

  def __init__(self, width, dilation):
    super().__init__()
    self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
    self.point = nn.Conv1d(width, width, 1)

  def forward(self, x):
    return x + self.point(F.relu(self.wide(F.relu(x))))


def res_stack(width, depth, reverse):
  dilations = [3**i for i in range(depth)]
  blocks = [ResBlock(width, d) for d in (dilations[::-1] if reverse else dilations)]
  return nn.Sequential(*blocks)


class EmaQuantizer(nn.Module):
  """Nearest code, straight through; EMA statistics, unused codes are reset."""

  def __init__(self, num_codes, width, decay=0.99):
    super().__init__()
    self.decay = decay
    codes = torch.randn(num_codes, width)
    self.register_buffer("codes", codes)
    self.register_buffer("sums", codes.clone())
    self.register_buffer("counts", torch.ones(num_codes))

  def nearest(self, flat):
    distance = (
      flat.pow(2).sum(1, keepdim=True)
      - 2 * flat @ self.codes.t()
      + self.codes.pow(2).sum(1)[None]
    )
    return distance.argmin(1)

  def forward(self, x):
    flat = x.transpose(1, 2).reshape(-1, x.shape[1])
    index = self.nearest(flat)
    quantized = F.embedding(index, self.codes)
    commit = F.mse_loss(flat, quantized.detach())
    if self.training:
      self._update(flat.detach(), index)
    quantized = flat + (quantized - flat).detach()
    shape = (x.shape[0], x.shape[2], x.shape[1])
    return quantized.reshape(shape).transpose(1, 2), commit

  @torch.no_grad()
  def _update(self, flat, index):
    one_hot = F.one_hot(index, len(self.codes)).to(flat.dtype)
    sums, counts = one_hot.t() @ flat, one_hot.sum(0)
    self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
    self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay)
    used = (self.counts >= 1.0).to(flat.dtype)[:, None]
    fresh = flat[torch.randint(len(flat), (len(self.codes),))]
    mean = self.sums / self.counts.clamp(min=1e-9)[:, None]
    self.codes.copy_(used * mean + (1 - used) * fresh)


class T2mGptVqVae(nn.Module):
  """T2M-GPT's tokenizer: 4 frames a token, width 512, depth 3, dilation 3."""

  def __init__(self, features, width, depth, num_codes, halvings=2):
    super().__init__()
    encoder = [nn.Conv1d(features, width, 3, padding=1), nn.ReLU()]
    for _ in range(halvings):
      encoder += [nn.Conv1d(width, width, 4, 2, 1), res_stack(width, depth, False)]
    self.encoder = nn.Sequential(*encoder, nn.Conv1d(width, width, 3, padding=1))
    decoder = [nn.Conv1d(width, width, 3, padding=1), nn.ReLU()]
    for _ in range(halvings):
      decoder += [res_stack(width, depth, True), nn.Upsample(scale_factor=2)]
      decoder += [nn.Conv1d(width, width, 3, padding=1)]
    decoder += [nn.Conv1d(width, width, 3, padding=1), nn.ReLU()]
    self.decoder = nn.Sequential(*decoder, nn.Conv1d(width, features, 3, padding=1))
    self.quantizer = EmaQuantizer(num_codes, width)

  def encode(self, motion):
    x = self.encoder(motion.transpose(1, 2))
    return self.quantizer.nearest(x.transpose(1, 2).reshape(-1, x.shape[1]))

  def forward(self, motion):
    quantized, commit = self.quantizer(self.encoder(motion.transpose(1, 2)))
    return self.decoder(quantized).transpose(1, 2), commit


def skinning(given, sizes, backward):
  from smplx.lbs import lbs

  tensors = {
    name.removeprefix("head_"): torch.from_numpy(given[name])
    for name in given.files
    if name.startswith("head_")
  }
  betas, pose = torch.from_numpy(given["betas"]), torch.from_numpy(given["pose"])
  target = torch.from_numpy(given["target"])
  names = ("v_template", "shapedirs", "posedirs", "J_regressor", "parents")
  arrays = [tensors[name] for name in (*names, "lbs_weights")]

  @torch.no_grad()
  def forward():
    lbs(betas, pose, *arrays)

  def forward_backward():
    b, p = betas.clone().requires_grad_(), pose.clone().requires_grad_()
    vertices, _ = lbs(b, p, *arrays)
    (vertices - target).pow(2).mean().backward()

  return (forward_backward if backward else forward), len(betas)


def tokenizer(given, sizes, train):
  motion = torch.from_numpy(given["t2m_motion"])  # [batches, B, W, 263]
  torch.manual_seed(0)
  model = T2mGptVqVae(
    motion.shape[-1], sizes["vq_width"], sizes["vq_depth"], sizes["vq_codes"]
  )
  at = iter(range(10**9))
  num_frames = motion.shape[1] * motion.shape[2]
  if not train:
    model.eval()

    @torch.no_grad()
    def encode():
      model.encode(motion[next(at) % len(motion)])

    return encode, num_frames
  model.train()
  update = torch.optim.AdamW(model.parameters(), lr=2e-4, betas=(0.9, 0.99))
  # "velocity" in T2M-GPT is the local joint velocities' share of the features.
  local = slice(4, 4 + 21 * 3)

  def step():
    x = motion[next(at) % len(motion)]
    y, commit = model(x)
    loss = F.smooth_l1_loss(y, x) + 0.02 * commit
    loss = loss + 0.5 * F.smooth_l1_loss(y[..., local], x[..., local])
    update.zero_grad()
    loss.backward()
    update.step()

  return step, num_frames


def t5(sizes):
  import transformers

  config = transformers.T5Config(
    vocab_size=sizes["lm_vocab"],
    d_model=sizes["lm_dim"],
    d_kv=sizes["lm_dim"] // sizes["lm_heads"],
    d_ff=sizes["lm_mlp"],
    num_layers=sizes["lm_layers"],
    num_decoder_layers=sizes["lm_layers"],
    num_heads=sizes["lm_heads"],
    dropout_rate=0.0,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=True,
    decoder_start_token_id=0,
    pad_token_id=0,
    eos_token_id=1,
  )
  torch.manual_seed(0)
  return transformers.T5ForConditionalGeneration(config)


def lm_train(given, sizes, padded):
  """`padded`: examples of mixed lengths, each batch padded to its longest."""
  model = t5(sizes).train()
  update = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
  at = iter(range(10**9))
  size = sizes["lm_batch"]
  if padded:
    lengths = given["mixed_lengths"]  # [N, 2]: encoder, decoder
    batches = [lengths[i : i + size] for i in range(0, len(lengths) - size + 1, size)]
  else:
    full = np.array([[sizes["lm_encoder"], sizes["lm_decoder"]]] * size)
    batches = [full]
  rng = np.random.default_rng(0)
  made = []
  for batch in batches:
    encoder = np.zeros((len(batch), batch[:, 0].max()), np.int64)
    labels = np.full((len(batch), batch[:, 1].max()), -100, np.int64)
    for row, (m, n) in enumerate(batch):
      encoder[row, :m] = rng.integers(3, sizes["lm_vocab"], m)
      labels[row, :n] = rng.integers(3, sizes["lm_vocab"], n)
    made.append([torch.from_numpy(x) for x in (encoder, encoder != 0, labels)])

  def step():
    encoder, mask, labels = made[next(at) % len(made)]
    loss = model(input_ids=encoder, attention_mask=mask, labels=labels).loss
    update.zero_grad()
    loss.backward()
    update.step()

  return step, float(np.mean([batch.sum() for batch in batches]))


def lm_generate(given, sizes, batch):
  model = t5(sizes).eval()
  encoder = torch.from_numpy(given["lm_prompts"][:batch]).long()
  steps = sizes["lm_decoder"]

  @torch.no_grad()
  def generate():
    out = model.generate(
      input_ids=encoder,
      attention_mask=torch.ones_like(encoder),
      max_new_tokens=steps,
      min_new_tokens=steps,
      do_sample=False,
      num_beams=1,
      use_cache=True,
    )
    assert out.shape == (batch, steps + 1)

  return generate, batch * steps


WORK = {
  "face_forward": lambda given, sizes: skinning(given, sizes, False),
  "face_backward": lambda given, sizes: skinning(given, sizes, True),
  "tokenizer_train": lambda given, sizes: tokenizer(given, sizes, True),
  "tokenizer_encode": lambda given, sizes: tokenizer(given, sizes, False),
  "lm_train": lambda given, sizes: lm_train(given, sizes, False),
  "lm_train_useful": lambda given, sizes: lm_train(given, sizes, True),
  "lm_generate_batch1": lambda given, sizes: lm_generate(given, sizes, 1),
  "lm_generate_batch16": lambda given, sizes: lm_generate(given, sizes, 16),
}


def main():
  given, sizes = np.load(sys.argv[1]), json.loads(sys.argv[2])
  out, sys.stdout = sys.stdout, sys.stderr  # answers alone reach stdout
  ready = {}
  for line in sys.stdin:
    request = json.loads(line)
    if "prepare" in request:
      name = request["prepare"]
      call, items = ready[name] = WORK[name](given, sizes)
      start = time.perf_counter()
      call()
      answer = {"compile_s": time.perf_counter() - start}
    elif "drop" in request:
      ready.pop(request["drop"], None)
      answer = {}
    else:
      call, items = ready[request["run"]]
      clock = time.process_time if request["cpu"] else time.perf_counter
      start, count = clock(), 0
      while (spent := clock() - start) < request["seconds"] or not count:
        call()
        count += 1
      answer = {"rate": count * items / spent}
    print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
  main()
