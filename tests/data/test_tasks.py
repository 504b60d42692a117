"""The tasks as tokens, and their mixture."""

import collections
import dataclasses
import re

import numpy as np
import pytest

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks
from tdmm_jax.errors import UserError
from tdmm_jax.language import cues, lexicon, wording

TEXTS = ["A man smiles for a while.", "She frowns, then nods.", "1.6 seconds: {prompt}"]


@pytest.fixture(scope="module")
def vocab():
  return vocab_lib.train(TEXTS * 5, num_codes=40, num_pieces=320, num_extra_ids=4)


def make_clips(count=40, frames=(12, 30)):
  rng = np.random.default_rng(0)
  return [
    {
      "codes": rng.integers(0, 40, rng.integers(*frames)),
      "prompt": TEXTS[i % 2],
      "captions": TEXTS[:2],
      "attributes": lexicon.parse(TEXTS[i % 2]),
    }
    for i in range(count)
  ]


def drawn(vocab, rates, seed=0, clips=None, **settings):
  mixture = tasks.Mixture(rates, **settings)
  return mixture.draw(vocab, clips or make_clips(), np.random.default_rng(seed))


def task_of(vocab, example):
  return vocab.tasks[example["encoder_tokens"][0] - vocab.task_offset]


def said(vocab, tokens):
  return vocab.decode_text(tokens[1:])


def motion_of(vocab, tokens):
  """Codes between <som> and <eom>; None for what is no motion token."""
  tokens = list(tokens)
  inside = tokens[tokens.index(vocab.som_id) + 1 : tokens.index(vocab.eom_id)]
  return [t - vocab.motion_offset if t >= vocab.motion_offset else None for t in inside]


def test_language_to_motion_by_hand(vocab):
  template = "Move for {seconds} seconds: {prompt}"
  example = tasks.l2m_example(vocab, "A man smiles.", [3, 0, 39], template)
  encoder = list(example["encoder_tokens"])
  assert encoder[0] == vocab.task_id("l2m") and encoder[-1] == vocab_lib.EOS_ID
  assert vocab.decode_text(encoder[1:]) == "Move for 0.1 seconds: A man smiles."
  offset = vocab.motion_offset
  np.testing.assert_array_equal(
    example["decoder_targets"],
    [vocab.som_id, offset + 3, offset, offset + 39, vocab.eom_id, vocab_lib.EOS_ID],
  )
  assert len(example["decoder_targets"]) == 3 + tasks.NUM_MOTION_SPECIALS


def test_acts_that_are_read_follow_the_prompt(vocab):
  reads = dataclasses.replace(vocab, read_acts=True)
  make = lambda ids, prompt, **how: tasks.l2m_encoder(ids, prompt, 25, **how).tolist()
  told = reads.encode_text("sadness frowning; nod then")
  plain = make(vocab, TEXTS[1])
  told = [*plain[:-1], *told, vocab_lib.EOS_ID]
  assert make(reads, TEXTS[1], terms="sadness frowning; nod then") == told
  assert make(reads, TEXTS[1], terms="") == plain
  assert len(make(reads, TEXTS[1])) > len(plain)
  for prompt in ("", "Qwx zkv."):  # nothing is read
    assert make(reads, prompt) == make(vocab, prompt)


def test_some_prompts_in_training_have_no_acts_beside_them_and_some_no_times():
  texts = [*TEXTS, "sadness frowning; nod then", "happiness smiling"] * 5
  vocab = vocab_lib.train(texts, 40, 420, 4, whole=wording.TIMES)
  reads = dataclasses.replace(vocab, read_acts=True)
  times = {reads.encode_text(time)[-1] for time in wording.TIMES}

  def shares(acts_dropout):
    examples = drawn(reads, {"l2m": 5.0}, acts_dropout=acts_dropout)
    rows = [e["encoder_tokens"].tolist() for e in examples]
    said = [reads.decode_text(row[1:]) for row in rows]
    told = [bool({"happiness", "sadness"} & set(words.split())) for words in said]
    # A smile that lasts has no times.
    nods = [bool(times & set(row)) for row, w in zip(rows, said) if "nod then" in w]
    cued = [len(e["decoder_cues"]) > 0 for e in examples]
    return np.mean(told), np.mean(nods or [0]), np.mean(cued)

  assert shares(0.0) == (1, 1, 1) and shares(1.0) == (0, 0, 0)
  told, timed, cued = shares(0.25)  # of four quarters: nothing, no times, cues alone
  assert 0.65 < told < 0.85 and 0.2 < timed < 0.5 and 0.4 < cued < 0.6


def test_an_encoder_is_asked_for_the_acts_of_its_motion(vocab):
  attributes = lexicon.parse("She nods twice, then winks with her left eye.")
  for encoder in (tasks.m2l_encoder, tasks.qa_encoder):
    example = tasks.text_example(
      encoder, vocab, "She nods.", [7, 7, 8], "What is this?", attributes
    )
    np.testing.assert_array_equal(example["encoder_cues"], cues.of(attributes))
    n = example["motion_tokens"]
    given = tasks.motion_ids(vocab, [7, 7, 8])
    np.testing.assert_array_equal(example["encoder_tokens"][-n:], given)
  examples = drawn(vocab, {"m2l": 1.0, "qa": 1.0})
  assert examples and all(len(e["encoder_cues"]) for e in examples)


def test_a_decoder_is_told_the_acts_that_find_room(vocab):
  separator = vocab.extra_id(0)
  clips = make_clips(60)
  for longest in (10_000, 24):
    examples = drawn(
      vocab, {"m2l": 1}, clips=clips, tells_acts=True, decoder_length=longest
    )
    rows = [e["decoder_targets"].tolist() for e in examples]
    told = [row.index(separator) for row in rows]
    assert [e["told_tokens"] for e in examples] == [n + 1 for n in told]
    texts = {text for clip in clips for text in tasks.clip_texts(clip)}
    assert {vocab.decode_text(row[n + 1 :]) for row, n in zip(rows, told)} <= texts
    fits = [len(row) <= longest for row in rows]
    assert all(fit or n == 0 for fit, n in zip(fits, told))
  assert any(n == 0 for n in told)


@pytest.mark.parametrize("task", ["m2l", "qa"])
def test_text_of_a_motion_by_hand(vocab, task):
  make = {"m2l": tasks.m2l_encoder, "qa": tasks.qa_encoder}[task]
  example = tasks.text_example(make, vocab, "She frowns.", [7, 7], "What is this?")
  encoder = example["encoder_tokens"]
  assert encoder[0] == vocab.task_id(task)
  np.testing.assert_array_equal(encoder[-5:], tasks.motion_ids(vocab, [7, 7]))
  assert vocab.decode_text(encoder[1:-5]) == "What is this?"
  assert vocab.decode_text(example["decoder_targets"]) == "She frowns."
  assert example["decoder_targets"][-1] == vocab_lib.EOS_ID


def test_parts_of_a_motion_by_hand(vocab):
  codes, hole = np.arange(10), [None]
  for example, given, target in (
    (tasks.continuation_example(vocab, codes, 4, "{seconds}"), [0, 1, 2, 3], codes[4:]),
    (
      tasks.inbetween_example(vocab, codes, 2, 8, "{seconds}"),
      [0, 1, *hole, 8, 9],
      codes[2:8],
    ),
    (
      tasks.denoising_example(vocab, codes, codes[::-1], "{seconds}"),
      codes[::-1],
      codes,
    ),
  ):
    encoder = example["encoder_tokens"]
    assert motion_of(vocab, encoder) == list(given)
    assert motion_of(vocab, example["decoder_targets"]) == list(target)
    assert said(vocab, encoder) == f"{len(target) / 25:.1f}"  # what is to be written
  inbetween = tasks.inbetween_example(vocab, codes, 2, 8, "{seconds}")
  assert vocab.extra_id(0) in inbetween["encoder_tokens"]
  example = tasks.unconditional_example(vocab, codes, "{seconds}")
  assert said(vocab, example["encoder_tokens"]) == "0.4"
  assert vocab.som_id not in example["encoder_tokens"]


def test_a_told_ending_by_hand(vocab):
  encoder = tasks.l2m_encoder(vocab, "A man smiles.", 25)
  told = tasks.with_ending(vocab, encoder, [3, 0, 39]).tolist()
  offset = vocab.motion_offset
  shown = [vocab.extra_id(0), offset + 3, offset, offset + 39, vocab_lib.EOS_ID]
  assert told == [*encoder[:-1].tolist(), *shown]


@pytest.mark.parametrize("reads", [False, True])
def test_the_ending_that_is_told_is_that_of_the_motion_to_be_written(vocab, reads):
  vocab = dataclasses.replace(vocab, read_acts=reads)
  clips = make_clips(300, (100, 130))
  settings = {"prompt_dropout": 0.3, "num_phases": 4}
  plain = drawn(vocab, {"l2m": 1}, clips=clips, **settings)
  told = drawn(vocab, {"l2m": 1}, clips=clips, told_ending=1.0, **settings)
  assert len(told) == len(clips) and len({len(e["encoder_tokens"]) for e in plain}) > 1
  shown, cut_off, empty = set(), set(), 0
  for clip, example in zip(clips, told):
    encoder = example["encoder_tokens"].tolist()
    target = motion_of(vocab, example["decoder_targets"])
    at = encoder.index(vocab.extra_id(0))
    ending = [token - vocab.motion_offset for token in encoder[at + 1 : -1]]
    assert encoder[-1] == vocab_lib.EOS_ID and vocab.som_id not in encoder
    assert target[-len(ending) :] == ending
    assert target == clip["codes"][: len(target)].tolist()  # frame 0 stays frame 0
    assert f"{len(target) / 25:.1f} seconds" in said(vocab, encoder)
    np.testing.assert_array_equal(example["decoder_cues"][:, cues.START] >= 1, True)
    assert "encoder_cues" not in example  # nobody asks which acts an ending has
    shown.add(len(ending))
    cut_off.add(len(clip["codes"]) - len(target))
    empty += not {"smiles", "frowns,"} & set(said(vocab, encoder).split())
  assert shown == set(range(4, 25)) and cut_off == set(range(26))
  assert 50 < empty < 130  # also what guidance leads away from


def test_told_endings_have_their_share_and_change_nothing_where_there_are_none(vocab):
  clips = make_clips(400)
  tokens = lambda examples: [e["encoder_tokens"].tolist() for e in examples]
  draw = lambda **settings: drawn(vocab, {"l2m": 1}, clips=clips, **settings)
  share = np.mean([vocab.extra_id(0) in row for row in tokens(draw(told_ending=0.3))])
  assert 0.2 < share < 0.4
  assert tokens(draw(told_ending=0.3)) == tokens(draw(told_ending=0.3))
  assert tokens(draw(told_ending=0.0)) == tokens(draw())
  # Nor do other tasks know of it.
  other = {"inbetween": 1, "continuation": 1, "m2l": 1}
  make = lambda **settings: tokens(drawn(vocab, other, **settings))
  assert make(told_ending=1.0) == make()


def test_an_ending_that_finds_no_room_is_not_told(vocab):
  clips = make_clips(100, (60, 100))
  most = max(len(e["encoder_tokens"]) for e in drawn(vocab, {"l2m": 1}, clips=clips))
  examples = drawn(vocab, {"l2m": 1}, told_ending=1.0, encoder_length=most, clips=clips)
  told = [vocab.extra_id(0) in e["encoder_tokens"] for e in examples]
  assert max(len(e["encoder_tokens"]) for e in examples) <= most
  assert 0 < sum(told) < len(told)
  for example in examples:  # what is written has its length
    frames = len(example["decoder_targets"]) - tasks.NUM_MOTION_SPECIALS
    assert f"{frames / 25:.1f} seconds" in said(vocab, example["encoder_tokens"])


@pytest.mark.parametrize("text", ["", "Nod.", TEXTS[0], " ".join(TEXTS * 3)])
def test_span_corruption_loses_nothing(vocab, text):
  ids = vocab.encode_text(text)
  for seed in range(20):
    rng = np.random.default_rng(seed)
    example = tasks.span_corruption_example(vocab, text, rng)
    encoder = example["encoder_tokens"].tolist()
    targets = example["decoder_targets"].tolist()
    assert encoder.pop() == targets.pop() == vocab_lib.EOS_ID
    spans: dict[int, list[int]] = {}
    for token in targets:
      if token >= vocab.num_pieces:
        spans[token] = []
      else:
        spans[[*spans][-1]].append(token)
    # Sentinels in turn, from <extra_id_0>; each span has something in it.
    assert list(spans) == [vocab.extra_id(i) for i in range(len(spans))]
    assert all(spans.values()) and bool(spans) == bool(ids)
    whole = [t for token in encoder[1:] for t in spans.get(token, [token])]
    assert whole == ids
    lost = sum(map(len, spans.values()))
    assert lost == (max(round(0.15 * len(ids)), 1) if ids else 0)
    kept = [token for token in encoder[1:] if token in spans]
    assert len(kept) == len(spans)


def test_span_corruption_leaves_out_any_place(vocab):
  first, last = set(), set()
  ids = vocab.encode_text(TEXTS[0])
  for seed in range(200):
    rng = np.random.default_rng(seed)
    encoder = tasks.span_corruption_example(vocab, TEXTS[0], rng)["encoder_tokens"]
    first.add(int(encoder[1]) >= vocab.num_pieces)
    last.add(int(encoder[-2]) >= vocab.num_pieces)
  assert first == last == {True, False} and len(ids) > 8


def test_rates_are_examples_of_each_clip(vocab):
  rates = {"l2m": 1.0, "m2l": 2.0, "qa": 0.5, "denoising": 0.25, "unconditional": 0.0}
  clips = make_clips(400)
  counts = collections.Counter(
    task_of(vocab, example) for example in drawn(vocab, rates, clips=clips)
  )
  assert counts["l2m"] == 400 and counts["m2l"] == 800
  assert 150 < counts["qa"] < 250 and 60 < counts["denoising"] < 140
  assert set(counts) == {"l2m", "m2l", "qa", "denoising"}


def test_of_motion_that_is_only_heard_no_motion_is_learnt(vocab):
  clips = [clip | {"heard_only": True} for clip in make_clips(4)]
  seen = drawn(vocab, dict.fromkeys(vocab_lib.TASKS, 1.0), clips=clips)
  found = collections.Counter(task_of(vocab, example) for example in seen)
  assert found == {"m2l": 4, "qa": 4, "span_corruption": 4}


def test_every_task_is_drawn_and_weighted_by_what_it_writes(vocab):
  rates = dict.fromkeys(vocab_lib.TASKS, 1.0)
  seen = drawn(vocab, rates, motion_weight=3.0, text_weight=0.5)
  assert {task_of(vocab, example) for example in seen} == set(vocab_lib.TASKS)
  for example in seen:
    text = task_of(vocab, example) in ("m2l", "qa", "span_corruption")
    assert example["weight"] == (0.5 if text else 3.0)
    assert (
      example["encoder_tokens"].dtype == example["decoder_targets"].dtype == np.int32
    )
    assert example["decoder_targets"][-1] == vocab_lib.EOS_ID


def test_a_draw_is_a_function_of_the_seed_alone(vocab):
  rates = dict.fromkeys(vocab_lib.TASKS, 1.0)
  reversed_rates = dict(reversed(rates.items()))
  tokens = lambda examples: [
    (*e["encoder_tokens"].tolist(), *e["decoder_targets"].tolist()) for e in examples
  ]
  assert tokens(drawn(vocab, rates)) == tokens(drawn(vocab, reversed_rates))
  assert tokens(drawn(vocab, rates)) != tokens(drawn(vocab, rates, seed=1))


def test_parts_start_at_the_tokenizers_first_phase_and_noise_keeps_phases(vocab):
  clips = make_clips(60)
  rates = {"continuation": 1.0, "inbetween": 1.0, "denoising": 1.0}
  changed = total = 0
  for clip, start in zip(clips, range(0, 180, 3)):
    examples = drawn(vocab, rates, clips=clips, num_phases=4)[start : start + 3]
    encoders = [motion_of(vocab, e["encoder_tokens"]) for e in examples]
    targets = [motion_of(vocab, e["decoder_targets"]) for e in examples]
    codes = clip["codes"].tolist()
    assert encoders[0] + targets[0] == codes and len(encoders[0]) % 4 == 0
    at = encoders[1].index(None)
    assert encoders[1][:at] + targets[1] + encoders[1][at + 1 :] == codes
    assert at % 4 == 0 and targets[1] and encoders[0] and encoders[1][at + 1 :]
    assert targets[2] == codes
    assert [c // 10 for c in encoders[2]] == [c // 10 for c in codes]
    changed += sum(a != b for a, b in zip(encoders[2], codes))
    total += len(codes)
  assert 0.1 < changed / total < 0.4


def test_short_motions_have_every_task(vocab):
  rates = dict.fromkeys(vocab_lib.TASKS, 1.0)
  seen = drawn(vocab, rates, clips=make_clips(20, (1, 6)), num_phases=8)
  assert len(seen) == 20 * len(vocab_lib.TASKS)


def test_held_out_rows_use_no_training_wording(vocab):
  rates = dict.fromkeys((t for t in vocab_lib.TASKS if t != "span_corruption"), 3.0)

  def wordings(split):
    """What precedes the motion or the duration."""
    texts = [
      said(vocab, e["encoder_tokens"])
      for e in drawn(vocab, rates, split=split, prompt_dropout=1.0)
    ]
    return {re.sub(r"\d+\.\d", "", text) for text in texts}

  train, valid, test = map(wordings, ("train", "valid", "test"))
  assert len(train) > 50 and len(valid) > 10 and len(test) > 20
  assert not train & valid and not train & test and not valid & test


@pytest.mark.parametrize(
  ("rates", "message"),
  [
    ({"l2m": 1, "dance": 1}, "config.task_rates.dance: no such task"),
    ({"l2m": -0.5}, "config.task_rates.l2m: -0.5; give 0"),
    ({"qa": float("nan")}, "config.task_rates.qa: nan"),
    ({"l2m": 0, "m2l": 0}, "config.task_rates: all are 0"),
  ],
)
def test_wrong_rates_are_the_users_error(rates, message):
  with pytest.raises(UserError, match=message):
    tasks.Mixture(rates)


def test_a_prompt_in_free_words_is_asked_whole_and_never_a_description(vocab):
  free = "Her dog died this morning."
  clips = [
    clip | {"prompt": free, "attributes": lexicon.parse(TEXTS[0])}
    for clip in make_clips(200)
  ]
  settings = {"reword": 1.0, "disturb": 1.0}
  asked = drawn(vocab, {"l2m": 1}, clips=clips, **settings)
  texts = [said(vocab, e["encoder_tokens"]) for e in asked]
  whole = sum(vocab.decode_text(vocab.encode_text(free)) in text for text in texts)
  assert 0.55 < whole / len(texts) < 0.85
  described = drawn(vocab, {"m2l": 1}, clips=clips)
  assert not any("dog" in vocab.decode_text(e["decoder_targets"]) for e in described)
  # A clip that nobody described has its prompt alone.
  bare = [clip | {"captions": []} for clip in clips]
  alone = drawn(vocab, {"m2l": 1}, clips=bare)
  assert all("dog" in vocab.decode_text(e["decoder_targets"]) for e in alone)
