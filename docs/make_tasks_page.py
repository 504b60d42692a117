"""Prints docs/tasks.md: an example of each task, as a row of training has it.

python docs/make_tasks_page.py > docs/tasks.md

The clip is one of the prompt suite; its motion tokens are random, for no tokenizer is
at hand. Everything else is what training sees. A test compares the file with this
script's output.
"""

import dataclasses
import re

import numpy as np

from configs import lm_base, lm_demo
from data_prep import prompts
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks
from tdmm_jax.language import instructions

NUM_CODES, NUM_PHASES, SHOWN_FRAMES = 1000, 8, 24
INTRODUCTION = """# Tasks

The language model learns a mixture of tasks (`tdmm_jax/data/tasks.py`); an example is
one token sequence for the encoder and one for the decoder. `config.task_rates` says how
many examples of each a clip gives in an epoch: 0.5 is one in every other epoch, 0 is
never. `config.l2m_weight` and `config.m2l_weight` say how much a token counts in the
loss, where motion is written and where text is. `config.prompt_dropout` is the share of
l2m's prompts that are left empty, for guidance, `config.reword` that of prompts whose
words are exchanged for others of the same meaning, which captions do not use,
`config.disturb` that of prompts, and of questions, with changes to the words that say
nothing of the face.

| task | what it teaches | rate, demo | rate, base |
|---|---|---|---|
{rates}

There are {count} wordings of instructions and questions (`tdmm_jax/language`); those of
the valid and the test split occur nowhere in training. Most are questions, which
patterns make (`question_wordings.py`): a model that is asked in a few wordings knows no
others. Answers are made from a record's attributes, in words that `lexicon.parse` reads
back. A run that was trained with questions answers them:

    tdmm describe motion.npz --question "Does the head move?"

Examples of all tasks are packed into rows by a plan that is made for each epoch from
their lengths and the seed alone: batch N is a function of (seed, N), on any number of
hosts.

## An example of each

A clip of the prompt suite, cut to {seconds:g} s here:

> {prompt}

`▁` begins a word; `<motion_N>` stands for a token of the tokenizer (random ones here).
"""
TEACHES = {
  "l2m": "Language2Motion: a prompt becomes motion",
  "m2l": "Motion2Language: a motion becomes a caption",
  "qa": "answers to questions about a motion",
  "continuation": "what comes after the first frames",
  "inbetween": "what belongs between first and last frames",
  "unconditional": "motion without a prompt",
  "denoising": "the motion behind one with wrong codes",
  "span_corruption": "T5's pre-training, on captions",
}


def readable(vocab: vocab_lib.Vocab, tokens) -> str:
  """The tokens by their names; runs of motion tokens are cut short."""
  special = {vocab_lib.EOS_ID: "</s>", vocab.som_id: "<som>", vocab.eom_id: "<eom>"}
  special |= {vocab.task_id(task): f"<{task}>" for task in vocab.tasks}
  special |= {vocab.extra_id(i): f"<extra_id_{i}>" for i in range(vocab.num_extra_ids)}
  names = []
  for token in map(int, tokens):
    if token >= vocab.motion_offset:
      names.append(f"<motion_{token - vocab.motion_offset}>")
    else:
      names.append(special.get(token) or vocab.pieces.id_to_piece(token))
  text = " ".join(names)
  motion = r"(<motion_\d+> <motion_\d+>)(?: <motion_\d+>)+ (<motion_\d+>)"
  return re.sub(motion, r"\1 ... \2", text)


def page() -> str:
  plans = prompts.make_suite(400, seed=0)
  clip = next(
    plan
    for plan in plans
    if plan.attributes["micro_actions"] and len(plan.attributes["segments"]) > 1
  )
  rates = dict.fromkeys(vocab_lib.TASKS, 1.0)
  texts = tasks.texts(rates, [dataclasses.asdict(plan) for plan in plans], 20_000)
  vocab = vocab_lib.train(texts, NUM_CODES, 1500)
  rng = np.random.default_rng(0)
  per_phase = NUM_CODES // NUM_PHASES
  phases = np.arange(SHOWN_FRAMES) % NUM_PHASES
  example = {
    "codes": phases * per_phase + rng.integers(per_phase, size=SHOWN_FRAMES),
    "prompt": clip.prompt,
    "captions": clip.captions,
    "attributes": clip.attributes,
  }
  mixture = tasks.Mixture(rates, num_phases=NUM_PHASES)
  return _text(vocab, example, mixture.draw(vocab, [example], rng))


def _text(vocab, clip, examples) -> str:
  demo, base = (c.get_config().task_rates for c in (lm_demo, lm_base))
  rows = [f"| {t} | {TEACHES[t]} | {demo[t]:g} | {base[t]:g} |" for t in vocab.tasks]
  count = len(instructions.all_wordings())
  parts = [
    INTRODUCTION.format(
      rates="\n".join(rows),
      count=f"{count:,}",
      prompt=clip["prompt"],
      seconds=SHOWN_FRAMES / tasks.FPS,
    )
  ]
  for task, example in zip(vocab.tasks, examples, strict=True):
    encoder = readable(vocab, example["encoder_tokens"])
    decoder = readable(vocab, example["decoder_targets"])
    parts.append(f"**{task}**\n\n```\nencoder  {encoder}\ndecoder  {decoder}\n```\n")
  return "\n".join(parts)


if __name__ == "__main__":
  print(page(), end="")
