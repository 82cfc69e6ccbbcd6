"""The small tokenizer of the `nano` preset, and the special tokens that every preset shares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from angiova.data.prompts import SEG as SEG

PAD, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
IMG_START, IMG_END, IMG_CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"

# The five tokens that Sa2VA adds to InternVL's own, in the reference's order.
SA2VA_TOKENS: Final = (SEG, "<p>", "</p>", "<vp>", "</vp>")
SPECIAL_TOKENS: Final = (
    *(PAD, IM_START, IM_END, IMG_START, IMG_END, IMG_CONTEXT),
    *("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"),
    *SA2VA_TOKENS,
)
NANO_VOCABULARY: Final = 1024

# The form that InternVL3 and Qwen2.5 were trained on; no system turn, as in the reference.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_nano_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on `corpus`; any text can be encoded, the corpus's words cheaply.

    Chinese has no spaces, so each of its characters counts as a word; else whole sentences would become one token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NANO_VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=IM_END,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (PAD, IM_END)],
        chat_template=CHAT_TEMPLATE,
    )
