"""A ``tfparity.yaml`` as a test file: each of its models is a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..errors import HealthWarning, TfparityError
from ..settings import schema
from ..settings.resolve import ModelEntry
from ..settings.spec import ParitySpec
from .failure import ParityFailure
from .groups import plain_nodeid
from .progress import progress_on_terminal
from .record import keep, keep_golden
from .session import ManifestCheck, parity_session


class ManifestFile(pytest.File):
    """A ``tfparity.yaml``: one test a model."""

    def collect(self) -> Iterator[ParityItem]:
        """The models of the manifest, in file order; all its problems at once if it has any."""
        try:
            session = parity_session(self.config)
            marks: dict[str, list[str | pytest.MarkDecorator]] = {}  # of a group's models they are the same
            for model in session.manifest_checks(self.path):
                item = ParityItem.from_parent(self, name=model.name, model=model)
                if model.group not in marks:
                    marks[model.group] = list(_marks(session.manifest(self.path).models[model.name]))
                for mark in marks[model.group]:
                    item.add_marker(mark)
                yield item
        except TfparityError as error:
            raise self.CollectError(str(error)) from error


def _marks(entry: ModelEntry) -> Iterator[str | pytest.MarkDecorator]:
    """The marks that a model states for its test."""
    stated = {key.name: entry.own[key.name].value for key in schema.TEST if key.name in entry.own}
    yield from stated.get("marks", ())
    if "skip" in stated:
        yield pytest.mark.skip(reason=stated["skip"])
    if "xfail" in stated:
        yield pytest.mark.xfail(reason=stated["xfail"])


class ParityItem(pytest.Item):
    """The check of one model of a manifest."""

    def __init__(self, *, model: ManifestCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._model = model
        self.add_marker(pytest.mark.parity(self.name))
        self.extra_keyword_matches.add(model.group)

    @property
    def spec(self) -> ParitySpec:
        """The check that the manifest states. Raises SettingsError where that is wrong for this model."""
        return self._model.spec

    def runtest(self) -> None:
        """Make the check; raise ``ParityFailure`` with the report."""
        keep_golden(self, self.spec)
        session = parity_session(self.config)
        with progress_on_terminal(self.config, self.name, session.progress):
            result = session.check(self.spec, plain_nodeid(self))
        keep(self, result)
        if not result.passed:
            raise ParityFailure(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:
        """The report alone: a traceback through our own code would tell the user nothing."""
        if isinstance(excinfo.value, ParityFailure | HealthWarning):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The model's line in the manifest."""
        return self.path, (self._model.line or 1) - 1, self.name
