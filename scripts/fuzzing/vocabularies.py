"""Two small vocabularies for tokenize_feature, trained on the words of the columns."""

from __future__ import annotations

import io
import pathlib

from fuzzing import columns as arrow

BPE, PIECES = "tokenizer.json", "spiece.model"
SENTENCES = [f"{first} {second} price 价格 é" for first in arrow.WORDS for second in arrow.WORDS if "\0" not in first + second]


def write_vocabularies(folder: pathlib.Path) -> pathlib.Path:
    """Write both to the folder."""
    import sentencepiece
    from tokenizers import Tokenizer
    from tokenizers.models import BPE as Model
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(Model())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(vocab_size=300, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.save(str(folder / BPE))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=60, minloglevel=2, hard_vocab_limit=False
    )
    (folder / PIECES).write_bytes(model.getvalue())
    return folder
