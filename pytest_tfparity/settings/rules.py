"""What must hold between settings: files that exist, sides that are complete, nothing stated twice.

Works on the settings of one check after all layers are put together, whoever stated them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison.tolerance import METRICS
from ..errors import Problem, missing_file
from ..formats.format import ROLES, Format, Role, SideSpec, WrongFile, is_elsewhere
from ..formats.registry import formats_for, meant_format
from .roles import PLAIN, merged, setting, side_section, side_spec, stated_format
from .spec import BytesSource, ImageSource, NpzSource
from .stated import Layer, Place

if TYPE_CHECKING:
    from .entries import InputEntry, OutputEntry


def problems_of(
    settings: Layer, *, owner: str, place: Place, root: Path, files: bool = True
) -> list[Problem]:
    """Every problem of a check's settings. ``owner`` names it, ``place`` is where it begins.

    A setting whose value is None was wrong already and is not complained about again. Paths in
    messages are relative to ``root`` where they lie in it. Without ``files`` no file is looked for.
    """
    rules = (
        _export,
        _reference,
        _golden_alone,
        _weights,
        _meaningless,
        _exclusive,
        _side_files,
        _input_files,
        _inputs,
        _vacuous,
        _two_tolerances,
    )
    of_files = (_golden_alone, _side_files, _input_files)
    return [
        Problem(file=at.file, line=at.line, message=message)
        for rule in rules
        if files or rule not in of_files
        for at, message in rule(settings, owner, place, root)
    ]


def _export(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if stated_format(settings, "export") is None:
        usual = formats_for("export")[0]
        how = f"export: {{{usual.word}: PATH}}" if owner.startswith("model ") else f"{usual.word}=PATH"
        yield place, f"{owner} has no export; state the {usual.noun} under test as {how}."


def _reference(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if stated_format(settings, "reference") is not None:
        return
    usual = formats_for("reference")[0]
    for key in side_section("reference").keys:
        if key.setting in settings and key.name != "optional":
            stated = settings[key.setting]
            words = [each.word for each in formats_for("reference") if key.name in each.section.by_name]
            word = (words or [usual.word])[0]
            yield stated.place, f"{stated.label} means nothing without a {word!r}."
            return
    if "golden" not in settings:
        yield (
            place,
            (
                f"{owner} has neither a reference nor a golden; "
                f"state the {usual.noun} that the export must match, or a golden that was made from it."
            ),
        )


def _golden_alone(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    golden = settings.get("golden")
    if golden is None or golden.value is None or _there(golden.value):
        return
    names = f"{golden.label} names {shown_from(golden.value, root)}, which does not exist"
    form, side = stated_format(settings, "reference"), side_spec(settings, "reference")
    if form is None:
        yield golden.place, f"{names}, and without a reference nothing can write it."
    elif side is not None and side.optional and not _named_rightly(form, side, root):
        yield (
            golden.place,
            (
                f"{names}, and neither does the optional {form.noun} {shown_from(side.path, root)}: "
                "there is nothing to compare the export with."
            ),
        )


def _named_rightly(form: Format, side: SideSpec, root: Path) -> bool:
    """Whether the file of a side is there, as far as its name alone tells."""
    if is_elsewhere(side.path):
        return True
    wrong = form.wrong_files(side, lambda path: shown_from(path, root))
    return not any(each.missing and each.key == form.word for each in wrong)


def _weights(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    compare = settings.get("compare")
    if compare is not None and compare.value == "weights" and stated_format(settings, "reference") is None:
        noun = formats_for("reference")[0].noun
        yield compare.place, f"{compare.label} is weights, which needs a {noun} to compare them with."


def _meaningless(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    """Keys of another format than the one that a side has."""
    for role in ROLES:
        form = stated_format(settings, role)
        for key in side_section(role).keys if form is not None else ():
            stated = settings.get(key.setting)
            if stated is None or form is None:
                continue
            words = [each.word for each in formats_for(role) if key.name in each.section.by_name]
            if words and not {form.word, key.name} & set(words):
                yield (
                    stated.place,
                    f"{stated.label} means nothing for a {form.word}: it is a key of {' or '.join(words)}.",
                )


def _exclusive(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    for role in ROLES:
        form = stated_format(settings, role)
        for each in form.exclusive if form is not None else ():
            first, second = (settings.get(setting(role, name)) for name in (each.first, each.second))
            if first is not None and second is not None:
                message = (
                    f"{first.label} and {each.second!r} exclude each other: {each.because}."
                    " Keep one of the two."
                )
                yield max(first.place, second.place, key=lambda at: at.line or 0), message


def _side_files(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    for role in ROLES:
        form, side = stated_format(settings, role), side_spec(settings, role)
        if form is None or side is None:
            continue
        for wrong in form.wrong_files(side, lambda path: shown_from(path, root)):
            named = wrong.key == form.word
            path = side.path if named else side.options[wrong.key]
            if is_elsewhere(path):
                continue
            stated = settings[setting(role, wrong.key)]
            meant = meant_format(path, form, role) if named else None
            stands_in = "golden" in settings if named else _has_golden(settings)
            if meant is not None:
                clause = f", {use_instead(form, meant)}"
            elif wrong.missing and side.optional and stands_in:
                continue
            else:
                clause = f"{wrong.clause}{_golden_hint(settings, role, wrong) if named else ''}"
            yield stated.place, f"{stated.label} names {shown_from(path, root)}{clause}"


def use_instead(stated: Format, meant: Format) -> str:
    """That a file has another format than is stated, and the key that says so: the end of a sentence."""
    article = "an" if meant.noun[0] in "aeiouAEIOU" else "a"
    return f"which is {article} {meant.noun}: write {meant.word!r} in the place of {stated.word!r}."


def _has_golden(settings: Layer) -> bool:
    golden = settings.get("golden")
    return golden is not None and golden.value is not None and _there(golden.value)


def _there(path: Path) -> bool:
    """Whether a file is there, or may be where only a server can say it."""
    return os.path.isfile(path) or is_elsewhere(path)


def _golden_hint(settings: Layer, role: Role, wrong: WrongFile) -> str:
    """That the golden may stand in for a reference which is not there."""
    if role != "reference" or not wrong.missing or not _has_golden(settings):
        return ""
    return " If the golden may stand in for it, add optional: true to the reference."


def _input_files(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    if _has_golden(settings) or "inputs" not in settings:
        return
    for entry in settings["inputs"].value or ():
        source = entry.spec.source
        paths = [source.path] if isinstance(source, NpzSource) else []
        paths += source.paths if isinstance(source, ImageSource | BytesSource) else ()
        for path in paths:
            if not is_elsewhere(path) and (clause := missing_file(path)):
                yield entry.place, f"{entry.label} names {shown_from(path, root)}{clause}"


def shown_from(path: Path, root: Path) -> str:
    """A path in quotes, relative to ``root`` where it lies in it; a URL as messages show it."""
    if is_elsewhere(path):
        from ..url import shown_for

        return repr(shown_for(path))
    try:
        return repr(path.relative_to(root).as_posix())
    except ValueError:
        return repr(str(path))


def _inputs(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    entries: tuple[InputEntry, ...] = settings["inputs"].value or () if "inputs" in settings else ()
    for side in ROLES:
        feeds = settings.get(setting(side, "feeds"))
        constants = feeds.value or {} if feeds is not None else {}
        for entry in entries:
            if entry.spec.source is not None and getattr(entry.spec, side) in constants:
                yield (
                    entry.place,
                    (
                        f"{entry.label} has two sources: it is also a constant in the feeds of the {side}. "
                        "Keep one of them."
                    ),
                )


def _vacuous(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    outputs: tuple[OutputEntry, ...] = settings["outputs"].value or () if "outputs" in settings else ()
    for own in [output.own for output in outputs] or [{}]:
        together = merged((settings, own))
        atol = together.get("atol")
        if atol is not None and atol.value == math.inf and not {"top_k", *METRICS} & set(together):
            hint = "state top_k beside it, or a number"
            yield atol.place, f"{atol.label} is infinite, which passes anything; {hint}."


def _two_tolerances(settings: Layer, owner: str, place: Place, root: Path) -> Iterator[tuple[Place, str]]:
    """A ``rounding`` beside a plain tolerance in one place: of two places the stronger one counts."""
    outputs: tuple[OutputEntry, ...] = settings["outputs"].value or () if "outputs" in settings else ()
    for layer in (settings, *(output.own for output in outputs)):
        plain = next((layer[name] for name in PLAIN if name in layer), None)
        if plain is not None and "rounding" in layer:
            rounding = layer["rounding"]
            yield rounding.place, f"{rounding.label} and {plain.label} are two tolerances; keep one of them."
