"""Input pipelines: pure functions of (seed, step), on any number of hosts."""

import grain
import numpy as np
import pytest

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import pipeline, tasks
from tdmm_jax.language import lexicon

TEXTS = ["A man smiles.", "She frowns, then nods.", "Eyes closed, mouth open."]


@pytest.fixture(scope="module")
def vocab():
  return vocab_lib.train(TEXTS * 5, num_codes=40, num_pieces=320, num_extra_ids=4)


def make_clips(count=23):
  rng = np.random.default_rng(0)
  return [
    {
      "codes": rng.integers(0, 40, rng.integers(4, 20)),
      "prompt": TEXTS[i % 3],
      "captions": TEXTS,
      "attributes": lexicon.parse(TEXTS[i % 3]),
    }
    for i in range(count)
  ]


def make_rows(vocab, seed=0, chunk_clips=2_048, num_rows=400, batch_size=1, **changes):
  settings = {"rates": {"l2m": 1.0, "m2l": 1.0}, "text_weight": 0.25} | changes
  mixture = tasks.Mixture(**settings)
  return pipeline.PackedTasks(
    *(vocab, make_clips(), 192, 96, num_rows, seed, mixture, chunk_clips),
    batch_size=batch_size,
  )


def equal(a, b):
  assert a.keys() == b.keys()
  for key in a:
    np.testing.assert_array_equal(a[key], b[key], err_msg=key)


@pytest.mark.parametrize("chunk_clips", [5, 2_048])
@pytest.mark.parametrize("rates", [None, dict.fromkeys(vocab_lib.TASKS, 0.6)])
def test_row_n_is_a_pure_function_of_seed_and_n(vocab, rates, chunk_clips):
  changes = {"rates": rates} if rates else {}
  changes["chunk_clips"] = chunk_clips
  forwards = make_rows(vocab, **changes)
  rows = [forwards[i] for i in range(120)]  # several epochs
  assert forwards.rows_per_chunk * forwards.chunks_per_epoch < 120
  for order in (range(119, -1, -1), np.random.default_rng(0).permutation(120)[:40]):
    fresh = make_rows(vocab, **changes)
    for i in order:
      equal(fresh[int(i)], rows[i])
  other = make_rows(vocab, seed=1, **changes)
  assert any(
    (other[i]["decoder_target_tokens"] != rows[i]["decoder_target_tokens"]).any()
    for i in range(5)
  )


@pytest.mark.parametrize("chunk_clips", [23, 10, 4])
def test_an_epoch_holds_every_clip_in_both_directions(vocab, chunk_clips):
  rows = make_rows(vocab, chunk_clips=chunk_clips)
  size = rows.rows_per_chunk * rows.chunks_per_epoch
  epoch = [rows[i] for i in range(size, 2 * size)]  # the second
  targets = np.concatenate([row["decoder_target_tokens"] for row in epoch])
  weights = np.concatenate([row["decoder_loss_weights"] for row in epoch])
  said = np.concatenate([row["encoder_input_tokens"] for row in epoch])
  codes = np.bincount(np.concatenate([clip["codes"] for clip in make_clips()]))
  motion = lambda ids: np.bincount(
    ids[ids >= vocab.motion_offset] - vocab.motion_offset
  )
  np.testing.assert_array_equal(motion(targets), codes)  # l2m's targets
  np.testing.assert_array_equal(motion(said), codes)  # m2l's inputs
  assert (
    (said == vocab.task_id("l2m")).sum() == (said == vocab.task_id("m2l")).sum() == 23
  )
  assert set(weights[targets >= vocab.motion_offset]) == {1.0}
  assert (weights == 0.25).any() and not weights[targets == 0].any()


def test_epochs_deal_the_clips_into_other_chunks(vocab):
  rows = make_rows(vocab, chunk_clips=8)
  lengths = np.array([len(clip["codes"]) for clip in make_clips()])
  epochs = [[rows._picked(3 * epoch + part) for part in range(3)] for epoch in (0, 1)]
  for chunks in epochs:
    assert sorted(np.concatenate(chunks)) == list(range(23))
    assert sorted(map(len, chunks)) == [7, 8, 8]
    # All chunks hold long clips and short ones.
    assert np.ptp([lengths[chunk].mean() for chunk in chunks]) < lengths.std() / 2
  assert set(epochs[0][0]) != set(epochs[1][0])


def test_seeking_far_draws_one_chunk(vocab):
  rows = make_rows(vocab, chunk_clips=8, num_rows=10**6)
  batches = pipeline.lm_iterator(rows, 8)
  batches.seek(90_000)
  far = next(batches)
  # Others that are read ahead may come from the chunks that follow.
  assert rows.num_draws <= 40
  alone = make_rows(vocab, chunk_clips=8, num_rows=10**6)
  row = alone[90_000 * 8]
  assert alone.num_draws == 1
  equal(row, {key: value[0] for key, value in far.items()})


@pytest.fixture
def many_lanes(monkeypatch):
  """Batches of 8 have four lanes of two rows."""
  monkeypatch.setattr(pipeline, "_LANE_ROWS", 2)
  monkeypatch.setattr(pipeline, "_LANES_FROM", 8)


def in_lanes(vocab, rows=None, num_rows=10**6):
  packed = make_rows(vocab, chunk_clips=6, num_rows=num_rows, batch_size=8)
  return packed, pipeline.lm_iterator(packed, 8, rows)


def test_lanes_are_a_function_of_the_batch_alone():
  sizes = (1, 64, 500, 512, 1_000, 2_048, 4_093)
  lanes = [pipeline.num_lanes(size) for size in sizes]
  assert lanes == [1, 1, 1, 8, 10, 32, 1]


def test_lanes_read_every_row_of_every_chunk_once(vocab, many_lanes):
  packed, _ = in_lanes(vocab)
  assert packed._lanes == 4
  places = [packed._place(index) for index in range(8 * 3 * packed.rows_per_chunk)]
  rows = [(chunk, row) for _, chunk, row in places]
  assert len(set(rows)) == len(rows) and {row for _, row in rows} == {
    *range(packed.rows_per_chunk)
  }
  # Two rows of each lane in a batch: as many batches as half of six chunks' rows.
  assert {chunk for chunk, _ in rows} == set(range(4 * 6))
  assert all(chunk % 4 == lane for lane, chunk, _ in places)
  whole = make_rows(vocab, chunk_clips=6)
  for index in (0, 5, 8 * packed.rows_per_chunk + 3):
    _, chunk, row = packed._place(index)
    equal(packed[index], whole[chunk * packed.rows_per_chunk + row])


def test_a_host_draws_the_chunks_of_its_lanes_alone(vocab, many_lanes):
  _, batches = in_lanes(vocab)
  hosts = [in_lanes(vocab, rows) for rows in ([0, 1], [2, 3], [4, 5, 6, 7])]
  drawn = {number: set() for number in range(3)}
  for number, (packed, _) in enumerate(hosts):
    load = packed._load
    packed._load = lambda chunk, number=number, load=load: (
      drawn[number].add(chunk % 4) or load(chunk)
    )
  for _ in range(9):
    batch = next(batches)
    for (_, host), rows in zip(hosts, (slice(0, 2), slice(2, 4), slice(4, 8))):
      equal(next(host), {key: value[rows] for key, value in batch.items()})
  assert drawn == {0: {0}, 1: {1}, 2: {2, 3}}


def test_seeking_far_in_lanes_draws_a_chunk_a_lane(vocab, many_lanes):
  packed, _ = in_lanes(vocab)
  row = packed[90_000 * 8 + 5]
  assert packed.num_draws == 1
  _, batches = in_lanes(vocab)
  batches.seek(90_000)
  equal(row, {key: value[5] for key, value in next(batches).items()})


def test_a_chunk_that_never_fits_leaves_rows_out_and_says_so(vocab, monkeypatch):
  said = []
  monkeypatch.setattr(pipeline.logging, "warning", lambda *args: said.append(args))
  rows = make_rows(vocab)
  rows.rows_per_chunk //= 2
  held = sum(rows[i]["encoder_segment_ids"].max() for i in range(rows.rows_per_chunk))
  assert rows.num_draws == pipeline._ATTEMPTS
  assert [args[1:] for args in said] == [(46 - held, 46, 0)] and 20 < held < 46


def test_chunks_of_fixed_size_cost_little_room():
  """Rows that a demo's chunk would not need: 1 % on average, and none leaves any."""
  rng = np.random.default_rng(0)

  class Mixture:  # lengths as the demo's, without the text
    def draw(self, vocab, clips, rng):
      tokens = lambda n: np.zeros(n, np.int8)
      pair = lambda e, d: {"encoder_tokens": tokens(e), "decoder_targets": tokens(d)}
      l2m = [pair(rng.integers(14, 40), len(c["codes"]) + 3) for c in clips]
      m2l = [pair(len(c["codes"]) + 15, rng.integers(8, 28)) for c in clips]
      return l2m + m2l

  clips = [{"codes": np.zeros(n, np.int8)} for n in rng.integers(50, 128, 3_000)]
  packed = pipeline.PackedTasks(None, clips, 256, 160, 10**6, 0, Mixture())
  needed = [len(packed._drawn(chunk, 0)[1]) for chunk in range(16)]
  assert max(needed) <= packed.rows_per_chunk < 1.015 * np.mean(needed)


def test_test_rows_use_no_training_instruction(vocab):
  first = lambda rows: {tuple(rows[i]["encoder_input_tokens"][:6]) for i in range(30)}
  assert not first(make_rows(vocab)) & first(make_rows(vocab, split="test"))


def test_dropped_prompts_are_their_share(vocab):
  def prompted(share):
    rows = make_rows(vocab, prompt_dropout=share)
    rows[0]
    examples = [e for e in rows._chunks[0].examples if e["encoder_tokens"][0] == task]
    return np.mean([any(text in said(e) for text in TEXTS) for e in examples])

  task = vocab.task_id("l2m")
  said = lambda example: vocab.decode_text(example["encoder_tokens"][1:])
  assert prompted(0.0) == 1 and prompted(1.0) == 0 and 0.2 < prompted(0.5) < 0.8


def motions(count=11):
  rng = np.random.default_rng(0)
  return [
    {
      "vectors": np.full((n, 3), i) + np.arange(n)[:, None] / 100,
      "valid": np.ones(n, bool),
    }
    for i, n in enumerate(rng.integers(5, 40, count))
  ]


def iterator(kind, vocab, seed=0, rows=None):
  if kind == "tokenizer":
    return pipeline.tokenizer_iterator(motions(), 16, 4, seed, rows)
  return pipeline.lm_iterator(make_rows(vocab, seed), 4, rows)


SHARES = {
  "alternate rows": [[0, 2], [1, 3]],
  "halves": [[0, 1], [2, 3]],
  "four hosts": [[0], [1], [2], [3]],
  "both need all": [[0, 1, 2, 3]] * 2,
}


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("kind", ["tokenizer", "lm"])
def test_hosts_make_the_batches_of_one(kind, shares, vocab):
  whole = iterator(kind, vocab)
  hosts = [iterator(kind, vocab, rows=rows) for rows in shares]
  for _ in range(12):
    batch = next(whole)
    for host, rows in zip(hosts, shares, strict=True):
      equal(next(host), {key: value[rows] for key, value in batch.items()})


def test_a_host_reads_no_row_of_another():
  seen = []

  class Source:
    def __len__(self):
      return 40

    def __getitem__(self, index):
      seen.append(int(index))
      return {"x": np.array(index)}

  batches = pipeline.Batches(grain.MapDataset.source(Source()), 4, [1, 3])
  got = [next(batches)["x"].tolist() for _ in range(10)]
  assert got == [[4 * n + 1, 4 * n + 3] for n in range(10)]
  assert {index % 4 for index in seen} == {1, 3} and len(set(seen)) == 20


@pytest.mark.parametrize("kind", ["tokenizer", "lm"])
@pytest.mark.parametrize("stop", [1, 9])
def test_batch_n_is_a_function_of_seed_and_n(kind, stop, vocab):
  first = iterator(kind, vocab)
  for _ in range(stop):
    next(first)
  assert first.next_batch == stop
  rest = [next(first) for _ in range(8)]
  second = iterator(kind, vocab)
  next(second)
  second.seek(stop)
  for batch in rest:
    equal(next(second), batch)
  third = iterator(kind, vocab, rows=[2, 3])  # another number of hosts
  third.seek(stop)
  equal(next(third), {key: value[[2, 3]] for key, value in rest[0].items()})


def test_the_seed_decides_and_epochs_differ():
  first = lambda seed: next(pipeline.tokenizer_iterator(motions(), 16, 4, seed))
  equal(first(0), first(0))
  assert (first(0)["params"] != first(1)["params"]).any()
  stream = pipeline.tokenizer_iterator(motions(), 16, 11, 0)
  one, two = next(stream), next(stream)  # 11 clips: one epoch a batch
  clip_ids = lambda batch: np.floor(batch["params"][:, 0, 0] + 1e-4)
  assert sorted(clip_ids(one)) == sorted(clip_ids(two)) == list(range(11))
  assert (clip_ids(one) != clip_ids(two)).any()


def test_windows_are_padded_and_masked():
  motion = {"vectors": np.arange(12.0).reshape(6, 2), "valid": np.ones(6, bool)}
  motion["valid"][2] = False
  window = pipeline.motion_window(motion, 8, 0)
  np.testing.assert_array_equal(window["mask"], [1, 1, 0, 1, 1, 1, 0, 0])
  np.testing.assert_array_equal(window["params"][6:], [[10, 11]] * 2)  # the last, held
  cut = pipeline.motion_window(motion, 3, 2)
  np.testing.assert_array_equal(cut["params"], motion["vectors"][2:5])
  np.testing.assert_array_equal(cut["mask"], [0, 1, 1])
