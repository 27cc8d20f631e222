"""The code blocks of a page of the documentation, and what its source says about them.

A block is what stands between two fences. Comments right before it tell what is not for the reader:

    <!-- project: example -->           a new folder, for this block and those after it
    <!-- part of: model -->             this is part of a model of a manifest
    <!-- read, not run: REASON -->      the manifest is read only
    <!-- not run: REASON -->            nothing is done with it
    <!-- with the extra: NAME -->       it is run where this extra is installed
    <!-- excerpt of: FILE -->           this is part of a JSON file
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NOTE = re.compile(r"<!-- ([a-z, ]+?): (.*?) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block: its language, its text, the line of its first fence, what is said about it."""

    page: Path
    line: int
    language: str
    text: str
    notes: Mapping[str, str]

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the block is, if its first line is a comment that names one."""
        named = re.match(r"# ([\w./-]+\.(?:ya?ml|py|ini|toml|sh))\n", self.text)
        return named[1] if named else None

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Of a console: each command, and the lines that it prints."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """Blocks that share a folder, in the order in which a reader meets them."""

    project: str | None
    blocks: list[Block] = field(default_factory=list)


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of ``page``."""
    lines = page.read_text("utf-8").splitlines()
    notes: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("```"):
            end = lines.index("```", number + 1)
            text = "\n".join(lines[number + 1 : end]) + "\n"
            yield Block(page=page, line=number + 1, language=line[3:].strip(), text=text, notes=notes)
            notes, number = {}, end
        elif note := _NOTE.fullmatch(line):
            notes = {**notes, note[1]: note[2]}
        elif line.strip():
            notes = {}
        number += 1


def chapters(page: Path) -> list[Chapter]:
    """The blocks of ``page``, divided where a new folder begins."""
    found: list[Chapter] = []
    for block in blocks(page):
        if not found or "project" in block.notes:
            found.append(Chapter(project=block.notes.get("project")))
        found[-1].blocks.append(block)
    return found


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether ``printed`` is what the page shows, where a line ``...`` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(plain(line)) + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(plain(line) + "\n" for line in printed)) is not None


def plain(line: str) -> str:
    """``line`` without what differs between runs and machines: times, hashes, the last digits of numbers, rounding.

    Nor are rules alike, which are as long as what they hold leaves.
    """
    line = re.sub(r"\d+\.\d+s\b", "0s", line.rstrip())
    line = re.sub(r"\b[0-9a-f]{32,}\b", "0", line)
    line = re.sub(r"\S+ times the rounding \d\S+", "0 times the rounding 0", line)
    line = re.sub(r"by more than \d\S* half ulp", "by more than 0 half ulp", line)
    line = re.sub(r"-?\d+\.\d{2,}(e-?\d+)?", lambda number: f"{float(number[0]):.2g}", line)
    return re.sub(r"([=_-])\1{2,}", r"\1\1\1", line)


def shortened(output: list[str]) -> list[str]:
    """What a page shows of ``output``: without pytest's header and what TensorFlow writes to stderr."""
    kept: list[str] = []
    skipping = ""
    for line in output:
        if re.match(r"=+ test session starts", line):
            skipping = r"$"
        elif re.match(r"-+ Captured stderr", line):
            skipping = r"[-=_]{3}"
        if not skipping:
            kept.append(line.rstrip())
        elif re.match(skipping, line) and "Captured" not in line:
            kept.append("...")
            if skipping != "$":
                kept.append(line.rstrip())
            skipping = ""
    while kept and not kept[-1]:
        kept.pop()
    return kept
