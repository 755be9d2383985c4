"""What a language model is asked, and which of its answers are captions."""

from __future__ import annotations

import re

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
