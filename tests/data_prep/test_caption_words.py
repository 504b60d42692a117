"""The list of the words of captions holds all of them."""

from data_prep import prompts
from tdmm_jax.language import caption_words


def test_fresh_captions_have_no_other_words():
  plans = prompts.make_suite(150, 99)
  texts = [text for plan in plans for text in plan.captions]
  words = {word for text in texts for word in caption_words.words_in(text)}
  assert len(words) > 300
  assert not words - set(caption_words.load())
