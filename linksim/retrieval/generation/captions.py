"""Generated captions of a data set: made once, stored as text, the same for every run.

Those of the built-in sets come with linksim. Others are generated before the first training that asks for them, and
kept in the cache folder; a generation that is killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from linksim.core.errors import LinksimError, StoreError
from linksim.core.file_lock import held
from linksim.core.files import cache_folder
from linksim.core.heartbeat import counted
from linksim.core.seeding import stream_seed
from linksim.retrieval.data import RetrievalSet

INSTRUCTIONS = {
    "image": "Describe the same picture in other words, in one short sentence. Keep every fact.",
    "audio": "Describe the same sound in other words, in one short sentence. Keep every fact.",
    "motion": "Describe the same movement in other words, in one short sentence. Keep every fact.",
}
"""Prompts of SC-LMKB's Fig. 4, by modality: the paper shows one for retrieval; this wording is for a small model."""

_LEAST_WORDS, _MOST_WORDS = 2, 40


def prompt(caption: str, modality: str) -> list[dict[str, str]]:
    """The chat that asks for another caption, in the messages of a chat template."""
    return [{"role": "system", "content": "You describe things."},  # else the template adds a longer one
            {"role": "user", "content": f"{INSTRUCTIONS[modality]}\n\nDescription: {caption}"}]


def parsed(answer: str) -> str | None:
    """The caption in an answer: its first line, without a heading and quotes; None if there is none.

    :param answer: as the model wrote it.
    """
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    if not lines:
        return None
    heading = r"^[\w ]{0,30}description[\w ]{0,20}:\s*|^(sure|here)[^:]{0,60}:\s*"
    text = re.sub(heading, "", lines[0], flags=re.IGNORECASE)
    text = re.sub(r"\s+", " ", text).strip().strip("\"'“”*").strip()
    return text if _LEAST_WORDS <= len(text.split()) <= _MOST_WORDS else None


RELEASED = Path(__file__).parent / "released"
"""Captions that come with linksim, one file a data set; never written to."""

NUM_CANDIDATES = 3
TEMPERATURE, TOP_P, MAX_TOKENS = 0.8, 0.95, 32
_BATCH = 64


def generated_captions(data: RetrievalSet) -> dict[str, list[str]]:
    """Generated captions by training caption; a caption that the model found no words for has fewer.

    :raises LinksimError: they are not generated yet, or what is kept of them is damaged.
    """
    for path in (RELEASED / _name(data), cache_folder() / "generated" / _name(data)):
        if path.is_file():
            made = _kept(path)
            if all(text in made for text in data.train.captions):
                return made
    raise LinksimError(f"{data.name}: no generated captions; `linksim train` generates them")


def is_generated(data: RetrievalSet) -> bool:
    """Whether generated captions of a set are there."""
    try:
        generated_captions(data)
    except StoreError:
        raise
    except LinksimError:
        return False
    return True


def generate_captions(data: RetrievalSet, model: str, say: Callable[[str], None]) -> None:
    """Generate what is not there yet, and keep it in the cache folder.

    :param model: see `linksim.retrieval.generation.language_model.TextGenerator`.
    :param say: is told how far it is.
    :raises LinksimError: the model is not to be had.
    :raises StoreError: the cache folder cannot be written.
    """
    path = cache_folder() / "generated" / _name(data)
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_suffix(".lock"), f"generates {path}", say))
        except OSError as error:
            raise _not_kept(path, error) from None
        _generate(data, model, path, say)


def _generate(data: RetrievalSet, model: str, path: Path, say: Callable[[str], None]) -> None:
    from linksim.retrieval.generation.language_model import TextGenerator  # start-up

    texts = sorted(dict.fromkeys(data.train.captions), key=len)  # of like length: little padding
    made = _kept(path)
    missing = [text for text in texts if text not in made]
    generator = TextGenerator(model) if missing else None
    for first in counted(f"generating captions of {data.name}, {_BATCH} at a time", range(0, len(missing), _BATCH)):
        batch = missing[first:first + _BATCH]
        found: dict[str, list[str]] = {text: [] for text in batch}
        for turn in range(NUM_CANDIDATES):
            answers = generator.answers([prompt(text, data.modality) for text in batch], TEMPERATURE, TOP_P, MAX_TOKENS,
                                        stream_seed(turn, "generation", batch[0]))
            for text, answer in zip(batch, answers):
                if (caption := parsed(answer)) and caption != text and caption not in found[text]:
                    found[text].append(caption)
        made |= found
        _keep(path, data, model, made)
        say(f"generated captions of {data.name}: {len(made)} of {len(texts)} captions have theirs, kept in {path}")


def generated_digest(data: RetrievalSet) -> str:
    """Digest of the generated captions, as checkpoints name them.

    :raises LinksimError: they are not generated yet.
    """
    made = generated_captions(data)
    text = json.dumps([made[caption] for caption in data.train.captions])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _name(data: RetrievalSet) -> str:
    digest = hashlib.sha256(json.dumps(sorted(set(data.train.captions))).encode()).hexdigest()[:12]
    return f"{data.name}-{digest}.json"


def _kept(path: Path) -> dict[str, list[str]]:
    """The captions of a file; none where there is no file.

    :raises StoreError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        made = json.loads(path.read_text(encoding="utf-8"))["captions"]
        if not all(isinstance(found, list) and all(isinstance(text, str) for text in found) for found in made.values()):
            raise TypeError("captions are lists of texts")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: damaged ({type(error).__name__}: {error}); delete it, and `linksim train` generates "
                         "it anew") from None
    return made


def _keep(path: Path, data: RetrievalSet, model: str, made: dict[str, list[str]]) -> None:
    about = {"data": data.identity, "model": model, "temperature": TEMPERATURE, "top_p": TOP_P, "captions": made}
    waiting = path.with_suffix(".tmp")
    try:
        waiting.write_text(json.dumps(about, ensure_ascii=False, indent=0), encoding="utf-8")
        os.replace(waiting, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            waiting.unlink(missing_ok=True)
        raise _not_kept(path, error) from None


def _not_kept(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be kept: {error}; set LINKSIM_CACHE to a folder that can be written")
