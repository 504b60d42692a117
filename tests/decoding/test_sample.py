"""Decoding: constraints cannot be broken, greedy is the model's argmax."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import linen as nn

from tdmm_jax.decoding import beam, constraints, sample, streaming
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5_layouts
from tdmm_jax.models.t5 import T5
from tdmm_jax.vocab import EOS_ID


@dataclasses.dataclass(frozen=True)
class Ids:
  """The ids of a vocabulary; the constraints read nothing else of it."""

  num_pieces: int = 30
  som_id: int = 40
  eom_id: int = 41
  motion_offset: int = 42
  num_codes: int = 12


VOCAB = 64
MODEL = T5(VOCAB, 16, 2, 8, 24, 1, 1)


@functools.cache
def parameters():
  ones = jnp.ones((1, 4), jnp.int32)
  variables = jax.jit(MODEL.init)(jax.random.key(0), ones, ones, ones, ones)
  # Sharp logits, so that unlikely tokens are very unlikely.
  params = nn.meta.unbox(variables["params"])
  params["logits_dense"]["kernel"] *= 6.0
  return params


def prompts(batch):
  tokens = np.random.default_rng(0).integers(2, 30, (batch, 7)).astype(np.int32)
  tokens[-1, 4:] = 0
  return tokens


FRAMES = [1, 5, 9]
LENGTH = 12
HOT = sample.Sampling(temperature=9.0)
SETTINGS = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.3), (5.0, 0.9), (1e-6, 0.9), (1e-30, 0.5)]


@pytest.mark.parametrize("temperature, top_p", SETTINGS)
def test_motion_has_the_exact_length_whatever_is_drawn(temperature, top_p):
  low, high = constraints.exact_motion(Ids(), FRAMES, LENGTH)
  seen = set()
  for seed in range(12):
    tokens = np.asarray(
      sample.decode(
        MODEL,
        parameters(),
        prompts(3),
        low,
        high,
        jax.random.key(seed),
        sample.Sampling(temperature=temperature, top_p=top_p),
      )
    )
    for row, frames in zip(tokens, FRAMES, strict=True):
      motion, rest = row[1 : frames + 1], row[frames + 1 :]
      assert row[0] == 40 and ((motion >= 42) & (motion < 54)).all()
      np.testing.assert_array_equal(rest, [41, EOS_ID] + [0] * (LENGTH - frames - 3))
    seen.add(tokens.tobytes())
  assert len(seen) == 1 if temperature < 1e-3 else len(seen) > (1 if top_p > 0.5 else 0)


def test_each_frame_draws_from_its_phases_codes():
  low, high = constraints.exact_motion(Ids(), [7], LENGTH, num_phases=3)
  tokens = np.asarray(
    sample.decode(MODEL, parameters(), prompts(1), low, high, jax.random.key(0), HOT)
  )
  np.testing.assert_array_equal((tokens[0, 1:8] - 42) // 4, np.arange(7) % 3)


def test_text_may_begin_with_what_is_told():
  low, high = constraints.text_only(Ids(), 2, 8, [np.array([7, 35, 9]), np.array([35])])
  assert (low[0, :3].tolist(), high[0, :3].tolist()) == ([7, 35, 9], [8, 36, 10])
  assert (low[1, :2].tolist(), high[1, 1]) == ([35, EOS_ID], 30)
  tokens = sample.decode(MODEL, parameters(), prompts(2), low, high, jax.random.key(0))
  assert np.asarray(tokens)[0, :3].tolist() == [7, 35, 9]


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_text_is_pieces_then_eos_then_padding(temperature):
  low, high = constraints.text_only(Ids(), 3, 8)
  for seed in range(12):
    tokens = np.asarray(
      sample.decode(
        MODEL,
        parameters(),
        prompts(3),
        low,
        high,
        jax.random.key(seed),
        sample.Sampling(temperature=temperature),
      )
    )
    for row in tokens:
      (ends,) = np.nonzero(row == EOS_ID)
      assert len(ends) == 1  # the last position allows nothing else
      assert ((row[: ends[0]] > EOS_ID) & (row[: ends[0]] < 30)).all()
      assert (row[ends[0] + 1 :] == 0).all()


@pytest.mark.parametrize("repeats", [1, 4])  # many rows: the cache grows in stages
def test_greedy_is_the_argmax_of_teacher_forcing(repeats):
  low, high = constraints.exact_motion(Ids(), FRAMES * repeats, LENGTH)
  encoder = prompts(3 * repeats)
  tokens = np.asarray(
    sample.decode(MODEL, parameters(), encoder, low, high, jax.random.key(0))
  )
  shifted = np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
  inputs = (encoder, shifted, encoder > 0, np.ones_like(shifted))
  logits = np.array(jax.jit(MODEL.apply)({"params": parameters()}, *inputs))
  ids = np.arange(VOCAB)
  logits[(ids < low[..., None]) | (ids >= high[..., None])] = -np.inf
  np.testing.assert_array_equal(logits.argmax(-1), tokens)
  assert len(np.unique(tokens[2, 1:10])) > 1
  assert len(np.unique(tokens, axis=0)) > 2 * repeats


def test_a_row_does_not_depend_on_its_neighbours_greedily():
  low, high = constraints.exact_motion(Ids(), FRAMES, LENGTH)
  run = lambda rows: sample.decode(
    MODEL, parameters(), prompts(3)[rows], low[rows], high[rows], jax.random.key(0)
  )
  together = run(np.array([0, 1, 2]))
  for row in range(3):
    np.testing.assert_array_equal(run(np.array([row]))[0], together[row])


def test_same_seed_same_tokens():
  low, high = constraints.exact_motion(Ids(), FRAMES, LENGTH)
  draw = lambda seed: np.asarray(
    sample.decode(MODEL, parameters(), prompts(3), low, high, jax.random.key(seed), HOT)
  )
  np.testing.assert_array_equal(draw(1), draw(1))
  assert (draw(1) != draw(2)).any()


def test_top_p_by_hand():
  logits = np.log(np.array([[0.1, 0.5, 0.05, 0.3, 0.05], [0.2, 0.2, 0.2, 0.2, 0.2]]))
  kept = lambda p: np.asarray(sample.top_p_filter(logits, p)) > -1e9
  np.testing.assert_array_equal(kept(0.49)[0], [0, 1, 0, 0, 0])
  np.testing.assert_array_equal(kept(0.51)[0], [0, 1, 0, 1, 0])
  np.testing.assert_array_equal(kept(0.79)[0], [0, 1, 0, 1, 0])
  np.testing.assert_array_equal(kept(0.85)[0], [1, 1, 0, 1, 0])
  np.testing.assert_array_equal(kept(1e-6)[0], [0, 1, 0, 0, 0])  # never none
  np.testing.assert_array_equal(kept(0.5)[1], [1, 1, 1, 1, 1])  # ties stay together


def test_too_many_frames_for_the_positions_is_refused():
  with pytest.raises(ValueError, match="10 frames do not fit 12"):
    constraints.exact_motion(Ids(), [10], 12)


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 3.0])
def test_guidance_moves_away_from_no_prompt(guidance):
  low, high = constraints.exact_motion(Ids(), FRAMES, LENGTH)
  prompted = prompts(3)
  unprompted = np.where(np.arange(7) < 2, prompted, 0)
  encoder = prompted if guidance == 1.0 else np.concatenate([prompted, unprompted])
  tokens = np.asarray(
    sample.decode(
      MODEL,
      parameters(),
      encoder,
      low,
      high,
      jax.random.key(0),
      sample.Sampling(guidance=guidance),
    )
  )
  shifted = np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]

  def log_probs(encoder):
    inputs = (encoder, shifted, encoder > 0, np.ones_like(shifted))
    logits = jax.jit(MODEL.apply)({"params": parameters()}, *inputs)
    return np.array(jax.nn.log_softmax(logits))

  with_prompt, without = log_probs(prompted), log_probs(unprompted)
  scores = without + guidance * (with_prompt - without)
  ids = np.arange(VOCAB)
  forbidden = (ids < low[..., None]) | (ids >= high[..., None])
  scores[forbidden] = -np.inf
  if guidance > 1:  # only what the prompt makes likely enough
    likeliest = np.where(forbidden, -np.inf, with_prompt).max(-1, keepdims=True)
    unlikely = np.exp(with_prompt - likeliest) < 0.05
    assert (scores.argmax(-1) != np.where(unlikely, -np.inf, scores).argmax(-1)).any()
    scores[unlikely] = -np.inf
  for row, frames in enumerate(FRAMES):
    best = scores[row].argmax(-1)[: frames + 3]
    np.testing.assert_array_equal(tokens[row, : frames + 3], best)


def test_the_likeliest_is_argmax_and_the_first_of_several():
  rng = np.random.default_rng(0)
  logits = rng.integers(0, 4, (50, 9)).astype(np.float32)
  logits[0], logits[1, :5] = -np.inf, -np.inf
  found = sample.likeliest(jnp.asarray(logits))
  np.testing.assert_array_equal(found, logits.argmax(-1))


def test_an_untied_model_has_the_same_logits():
  tied = MODEL.clone(logits_via_embedding=True)
  params = {k: v for k, v in parameters().items() if k != "logits_dense"}
  untied, more = t5_layouts.untied(tied, params)
  tokens = prompts(3)
  ones = np.ones_like(tokens)
  logits = [
    jax.jit(model.apply)({"params": p}, tokens, tokens, ones, ones)
    for model, p in ((tied, params), (untied, more))
  ]
  assert not untied.logits_via_embedding
  np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)
  assert np.std(logits[0]) > 0.1
  assert t5_layouts.untied(untied, more) == (untied, more)


def test_top_k_by_hand():
  logits = np.array([[1.0, 5.0, 2.0, 4.0, 3.0], [2.0, 2.0, 1.0, 2.0, 0.0]])
  kept = lambda k: np.isfinite(np.asarray(sample.top_k_filter(jnp.asarray(logits), k)))
  np.testing.assert_array_equal(kept(2)[0], [0, 1, 0, 1, 0])
  np.testing.assert_array_equal(kept(1)[1], [1, 1, 0, 1, 0])  # ties stay together
  for k in (0, 5, 99):
    assert kept(k).all()


def test_penalty_by_hand():
  logits, seen = np.array([[2.0, -2.0, 3.0]]), np.array([[True, True, False]])
  lower = sample.penalize(logits, seen, 2.0)
  np.testing.assert_allclose(lower, [[1.0, -4.0, 3.0]])


def test_top_k_1_is_greedy_and_a_huge_penalty_never_repeats():
  low, high = constraints.exact_motion(Ids(), [9], LENGTH)
  run = lambda **options: np.asarray(
    sample.decode(
      MODEL,
      parameters(),
      prompts(1),
      low,
      high,
      jax.random.key(0),
      sample.Sampling(**options),
    )
  )
  np.testing.assert_array_equal(run(temperature=1.0, top_k=1), run())
  assert len(set(run()[0, 1:10])) < 9  # so that the next line means something
  assert len(set(run(repetition_penalty=1e6)[0, 1:10])) == 9


def test_another_value_compiles_nothing(monkeypatch):
  traced, next_token = [], sample._next_token
  monkeypatch.setattr(
    sample, "_next_token", lambda *args: traced.append(1) or next_token(*args)
  )
  low, high = constraints.exact_motion(Ids(), [3, 8, 6, 2, 9], LENGTH)
  run = lambda *values: np.asarray(
    sample.decode(
      MODEL,
      parameters(),
      np.concatenate([prompts(5), prompts(5)]),
      low,
      high,
      jax.random.key(0),
      sample.Sampling(**dict(zip(sample._VALUES, values))),
    )
  )
  first = run(0.8, 0.7, 2.0, 1.2)
  programs = len(traced)
  assert programs > 0
  for values in ((0.9, 0.6, 3.0, 1.1), (5.0, 0.99, 1.5, 1.01), (0.8, 0.7, 2.0, 1.2)):
    last = run(*values)
  assert len(traced) == programs
  np.testing.assert_array_equal(first, last)
  assert (run(5.0, 0.99, 2.0, 1.2) != first).any()
  run(0.0, 0.7, 2.0, 1.2)  # greedy is another program
  assert len(traced) > programs


@pytest.mark.parametrize("repeats", [1, 2])  # many rows: the cache grows in stages
def test_pieces_of_a_loop_are_the_whole_and_rows_draw_for_themselves(repeats):
  low, high = constraints.exact_motion(Ids(), FRAMES * repeats, LENGTH)
  sampling = sample.Sampling(temperature=2.0, guidance=2.0)
  encoder = prompts(3 * repeats)
  encoder = np.concatenate([encoder, np.maximum(encoder - 1, 0)])
  keys = sample.row_keys(jax.random.key(5), 3 * repeats)
  whole = np.asarray(
    sample.decode(MODEL, parameters(), encoder, low, high, keys, sampling)
  )
  pieces = streaming.token_stream(
    MODEL, parameters(), encoder, low, high, keys, sampling, [1, 4, 5, 12]
  )
  pieces = [np.asarray(piece) for piece in pieces]
  assert [piece.shape[1] for piece in pieces] == [1, 3, 1, 7]
  np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
  alone = sample.decode(
    MODEL,
    parameters(),
    encoder[[2, 2 + 3 * repeats]],
    low[2:3],
    high[2:3],
    keys[2:3],
    sampling,
  )
  np.testing.assert_array_equal(alone[0], whole[2])
  assert (whole[2, 1:6] != whole[1, 1:6]).any()


def test_fixed_frames_stay_and_the_others_follow_them():
  fixed = np.array([3, -1, 7, -1, -1])
  low, high = constraints.exact_motion(Ids(), [5], LENGTH, fixed=[fixed])
  for seed in range(8):
    tokens = sample.decode(
      MODEL, parameters(), prompts(1), low, high, jax.random.key(seed), HOT
    )
    codes = np.asarray(tokens)[0, 1:6] - 42
    np.testing.assert_array_equal(codes[[0, 2]], [3, 7])
    assert (codes >= 0).all() and (codes < 12).all()
  for wrong in ([1, 2], [12, -1, -1, -1, -1]):
    with pytest.raises(ValueError, match="fixed codes of row 0"):
      constraints.exact_motion(Ids(), [5], LENGTH, fixed=[wrong])


@pytest.mark.parametrize(
  "name, value",
  [
    ("temperature", -1.0),
    ("temperature", float("nan")),
    ("top_p", 0.0),
    ("top_p", 1.5),
    ("top_k", -1),
    ("guidance", -0.5),
    ("repetition_penalty", 0.0),
  ],
)
def test_settings_out_of_range_are_named(name, value):
  with pytest.raises(UserError, match=f"{name} .*out of range"):
    sample.Sampling(**{name: value})


SHARED = """
import functools, sys
import jax, numpy as np
sys.path.insert(0, "tests/decoding")
import test_sample as this
from tdmm_jax import sharding
from tdmm_jax.decoding import constraints, sample

frames = [1, 5, 9, 3]
low, high = constraints.exact_motion(this.Ids(), frames, this.LENGTH)
params = this.parameters()
can_share = sharding.can_share_rows
for guidance in (1.0, 2.0):
  rows = this.prompts(4 if guidance == 1.0 else 8)
  decode = functools.partial(sample.decode, this.MODEL, params, rows, low, high,
                             jax.random.key(3), sample.Sampling(1.0, guidance=guidance))
  assert sharding.can_share_rows(4, params)
  shared = np.asarray(decode())
  again = decode(shared_params=sample.shared(params))
  np.testing.assert_array_equal(again, shared)
  sharding.can_share_rows = lambda *_: False
  alone = np.asarray(decode())
  np.testing.assert_array_equal(shared, alone)
  sharding.can_share_rows = can_share
assert len({row.tobytes() for row in shared}) == 4

# CPU devices read the same memory.
big = jax.random.normal(jax.random.key(0), (64, 64))
pointers = {s.data.unsafe_buffer_pointer()
            for s in sharding.on_every_device({"w": big})["w"].addressable_shards}
assert pointers == {big.unsafe_buffer_pointer()}
"""


def test_devices_that_share_rows_make_the_same_tokens():
  tiny.run_python(SHARED.replace("tests/", f"{tiny.REPO}/tests/"), devices=2)


class Spelling(Ids):
  """Pieces that letters are: a word begins with _, which is a piece of its own."""

  LETTERS = "..._abcdefghijklmnopqrst,.;:!?"  # ids 3 to 29

  def encode_text(self, text):
    spelt = " ".join(text.split()).replace(" ", "_")
    return [self.LETTERS.index(letter, 3) for letter in f"_{spelt}"]


@pytest.mark.parametrize("num_beams", [0, 3])
def test_text_has_no_words_but_those_given(num_beams):
  """Sampled and searched for, whatever the model likes; and the last one may be cut."""
  this, length = Spelling(), 24
  wanted = {"hold", "holds", "a", "nod"}
  words = constraints.words_of(this, sorted(wanted))
  limits = constraints.text_only(this, 3, length)
  given = (MODEL, parameters(), prompts(3), *limits)
  seen = set()
  for seed in range(1 if num_beams else 8):
    if num_beams:
      tokens, _ = beam.decode(*given, words, num_beams=num_beams, alpha=3.0)
    else:
      tokens = sample.decode(*given, jax.random.key(seed), HOT, words=words)
    for row in np.asarray(tokens):
      ended = row[row > 0]
      assert ended[-1] == EOS_ID
      text = "".join(this.LETTERS[i] for i in ended[:-1])
      said = [word.rstrip(",.;:!?") for word in text.split("_")[1:]]
      if len(ended) == length and said and said[-1] not in wanted:
        assert any(word.startswith(said.pop()) for word in wanted)
      assert set(said) <= wanted, text
      seen |= set(said)
  assert num_beams or len(seen) > 1


def test_text_begins_as_it_is_told():
  this = Spelling()
  begins = this.encode_text("nod hold")
  limits = constraints.text_only(this, 2, 16, [begins, begins])
  words = constraints.words_of(this, ["a", "nod"])  # which "hold" is none of
  given = (MODEL, parameters(), prompts(2), *limits, jax.random.key(0), HOT)
  for row in np.asarray(sample.decode(*given, words=words)):
    np.testing.assert_array_equal(row[: len(begins)], begins)
