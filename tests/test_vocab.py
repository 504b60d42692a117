"""One id space: text stays text, motion stays motion, offsets are stored."""

import json

import numpy as np
import pytest

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.errors import UserError

TEXTS = ["A woman smiles broadly, then nods twice.", "He frowns and looks away."]


@pytest.fixture(scope="module")
def vocab():
  return vocab_lib.train(TEXTS * 4, num_codes=1000, num_pieces=330, num_extra_ids=100)


def test_the_layout(vocab):
  """0 pad, 1 eos, 2 unk, pieces, extra ids, tasks, <som>, <eom>, motion last."""
  assert (vocab_lib.PAD_ID, vocab_lib.EOS_ID, vocab_lib.UNK_ID) == (0, 1, 2)
  pieces = vocab.pieces
  assert (pieces.pad_id(), pieces.eos_id(), pieces.unk_id()) == (0, 1, 2)
  assert vocab.task_offset == vocab.num_pieces + 100
  tasks = [vocab.task_id(task) for task in vocab_lib.TASKS]
  after = vocab.task_offset + len(tasks)
  assert tasks == list(range(vocab.task_offset, after))
  assert (vocab.som_id, vocab.eom_id, vocab.motion_offset) == (
    after,
    after + 1,
    after + 2,
  )


def test_the_table_is_whole_tiles(vocab):
  assert vocab.table_size % 128 == 0
  assert 0 <= vocab.table_size - (vocab.motion_offset + 1000) < 128


@pytest.mark.parametrize(
  "text",
  [
    "<motion_5>",
    "<som> <eom> <extra_id_0> <l2m>",
    "</s> <pad> <unk> <s>",
    "<0x41>",
    "naïve façade — “smile” 😀 微笑 улыбка",
    "It's 100% real; isn't it?",
    "",
  ],
)
def test_any_text_is_text_and_comes_back(vocab, text):
  ids = vocab.encode_text(text)
  assert all(vocab_lib.UNK_ID < i < vocab.num_pieces for i in ids)
  assert vocab.decode_text(ids) == text


def test_decoding_stops_at_eos_and_drops_what_is_no_text(vocab):
  ids = vocab.encode_text("He nods.")
  noise = [
    0,
    vocab.som_id,
    vocab.motion_offset + 7,
    vocab.num_pieces,
    vocab.task_offset,
  ]
  assert vocab.decode_text([*noise, *ids, *noise, 1, *ids]) == "He nods."


def test_decoded_text_is_one_printable_line(vocab):
  byte = lambda value: vocab.pieces.piece_to_id(f"<0x{value:02X}>")
  ids = [*vocab.encode_text("He"), *map(byte, b"\n\x0c\x1b\x00\r"), byte(ord("x"))]
  assert vocab.decode_text(ids) == "He x"


def test_motion_ids_come_back_and_others_are_refused(vocab):
  codes = np.array([0, 999, 5])
  ids = vocab.motion_to_ids(codes)
  assert ids.min() == vocab.motion_offset and ids.max() < vocab.table_size
  np.testing.assert_array_equal(vocab.ids_to_motion(ids), codes)
  for wrong in (vocab.motion_offset - 1, vocab.motion_offset + 1000):
    with pytest.raises(ValueError, match="outside the motion tokens"):
      vocab.ids_to_motion([wrong])


def test_offsets_are_read_back_never_recomputed(vocab, tmp_path):
  vocab.save(tmp_path)
  back = vocab_lib.load(tmp_path)
  assert back.encode_text(TEXTS[0]) == vocab.encode_text(TEXTS[0])
  assert (back.motion_offset, back.table_size) == (
    vocab.motion_offset,
    vocab.table_size,
  )
  offsets = json.loads((tmp_path / "vocab.json").read_text())
  offsets["motion_offset"] += 64  # an imported vocabulary with padded rows
  (tmp_path / "vocab.json").write_text(json.dumps(offsets))
  assert vocab_lib.load(tmp_path).motion_offset == vocab.motion_offset + 64
  assert {p.name for p in tmp_path.iterdir()} == {"spiece.model", "vocab.json"}


def test_a_vocabulary_of_before_there_were_more_tasks_has_two(vocab, tmp_path):
  vocab.save(tmp_path)
  offsets = json.loads((tmp_path / "vocab.json").read_text())
  assert tuple(offsets.pop("tasks")) == vocab_lib.TASKS == vocab.tasks
  (tmp_path / "vocab.json").write_text(json.dumps(offsets))
  assert vocab_lib.load(tmp_path).tasks == ("l2m", "m2l")


def test_extra_ids_count_down_as_t5s(vocab):
  assert vocab.extra_id(0) == vocab.task_offset - 1
  assert vocab.extra_id(99) == vocab.num_pieces
  with pytest.raises(ValueError, match="<extra_id_100>: there are 100"):
    vocab.extra_id(100)


def test_a_missing_vocabulary_is_the_users_error(tmp_path):
  with pytest.raises(UserError, match=r"spiece\.model: missing"):
    vocab_lib.load(tmp_path)


def test_the_same_texts_give_the_same_pieces(vocab):
  again = vocab_lib.train(TEXTS * 4, 1000, 330, 100)
  assert again.model_proto == vocab.model_proto
