"""What settings describe, made ready: records that become samples, and what is sent. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from device_bridge import (
    CommandSpec,
    Quality,
    Quantity,
    Reading,
    Result,
    Sample,
    SettingsError,
    Value,
    require_unique,
)
from device_bridge.protocols import Checksum, Pattern, framer_for

from .records import Malformed, StructRecord, reader_for, text_of
from .settings import CommandTemplate, InstrumentSettings, KindSettings, PollSettings, StartSettings
from .templates import Template, parameter


class RecordKind:
    """One kind of records.

    Parameters:
        settings: of this kind.
        path: of these settings, with a dot at its end.

    Raises SettingsError.
    """

    def __init__(self, settings: KindSettings, path: str) -> None:
        self._fields = settings.fields
        self._match = Pattern(settings.match, f"{path}match")
        keys = [key for field in settings.fields for key in field.places]
        self._read = reader_for(settings.record, keys, f"{path}record")
        self._no_value = [(Pattern(text, f"{path}no_value"), why) for text, why in settings.no_value.items()]

    def bad(self, reason: str) -> list[Reading]:
        """All its fields without a value."""
        return [field.bad(reason) for field in self._fields]

    def sample(self, frame: bytes, text: str) -> Sample:
        """The readings of a record. Raises Malformed for one that is not of this kind."""
        if not self._match.search(text):
            raise Malformed("is of no kind that is described")
        for pattern, reason in self._no_value:
            if pattern.search(text):
                return self.bad(reason)
        get = self._read(frame, text)
        found = [reading for field in self._fields if (reading := field.read(get)) is not None]
        if not found:
            raise Malformed("speaks of none of the fields")
        return found

    def fits(self, frame: bytes, text: str) -> bool:
        """Whether a record is of this kind."""
        try:
            self.sample(frame, text)
        except Malformed:
            return False
        return True


class Request:
    """What is sent, and how its answer is known.

    Parameters:
        settings: of a question, a command or what is sent at the start.
        path: of these settings.
        description: of the device.

    Raises SettingsError.
    """

    def __init__(
        self, settings: PollSettings | StartSettings | CommandTemplate, path: str, description: Description
    ) -> None:
        self._checksum, self.text = description.checksum, description.text
        self.template = Template(settings.send, f"{path}.send", description.encoding or "utf-8")
        self.timeout_s = settings.timeout
        self._answer = Pattern(settings.answer, f"{path}.answer")
        self.awaits_answer = bool(settings.answer) or isinstance(settings, PollSettings)
        failure = settings.failure if isinstance(settings, CommandTemplate) else ""
        self._failure = Pattern(failure, f"{path}.failure") if failure else None
        if self.template.places and not isinstance(settings, CommandTemplate):
            remedy = "Only commands have them; write {{ and }} for braces."
            raise SettingsError(f"{path}.send", settings.send, "has a place for a parameter", remedy)
        if not self.template.places:
            self._checked_data(settings.send, f"{path}.send")

    def data(self, parameters: Mapping[str, Value]) -> bytes:
        """The bytes to send. Raises CommandError for a parameter that does not fit."""
        data = self.template.fill(parameters)
        return self._checksum.append(data) if self._checksum else data

    def accepts(self, frame: bytes) -> bool:
        """Whether a frame can be its answer."""
        return self._answer.search(self.text(frame)) is not None or self.is_refusal(frame)

    def is_refusal(self, frame: bytes) -> bool:
        """Whether this answer means that it was not done."""
        return self._failure is not None and self._failure.search(self.text(frame)) is not None

    def result(self, answer: bytes) -> Result:
        """What an answer to a command says."""
        text = self.text(answer)
        return Result(ok=not self.is_refusal(answer), detail=text if text.isprintable() else answer.hex(" "))

    def _checked_data(self, send: str, path: str) -> None:
        try:
            self.data({})
        except ValueError as error:
            raise SettingsError(path, send, str(error), "Write append_checksum = false, or send more.") from None


class Question(Request):
    """What is asked at an interval.

    Parameters:
        settings, path, description: as for Request.
        kinds: of records that the answer can be.
    """

    def __init__(self, settings: PollSettings, path: str, description: Description, kinds: list[RecordKind]) -> None:
        super().__init__(settings, path, description)
        self.interval_s = settings.interval
        self.kinds = kinds
        self._names_kind = bool(settings.record)
        self.is_failing = False

    def accepts(self, frame: bytes) -> bool:
        return super().accepts(frame) and (not self._names_kind or self.kinds[0].fits(frame, self.text(frame)))

    def fail(self, reason: str) -> Sample:
        """Takes note that it has no answer; all that answers tell without a value at first, nothing from then on."""
        was_failing, self.is_failing = self.is_failing, True
        return [] if was_failing else [reading for kind in self.kinds for reading in kind.bad(reason)]


class Description:
    """A device as its settings describe it.

    Parameters:
        settings: valid one by one.

    Raises SettingsError for settings that are wrong together.
    """

    def __init__(self, settings: InstrumentSettings) -> None:
        framer_for(settings.framing)
        kinds = settings.kinds
        is_binary = any(isinstance(kind.record, StructRecord) for kind in kinds.values())
        self.encoding = settings.encoding or ("latin-1" if is_binary else "")
        """Of text; "" for UTF-8 where it fits."""
        checksum = settings.framing.checksum
        self.checksum = Checksum(checksum) if checksum and settings.append_checksum else None
        self._ignored = Pattern(settings.ignore, "ignore") if settings.ignore else None
        self._kinds = {path: RecordKind(kind, path) for path, kind in kinds.items()}
        self.start = [Request(each, f"start.{at}", self) for at, each in enumerate(settings.start)]
        self.questions = [self._question(poll, path, settings) for path, poll in settings.questions.items()]
        self.commands = {
            name: Request(template, f"commands.{name}", self) for name, template in settings.commands.items()
        }
        for kind in kinds.values():
            names = (field.name for field in kind.fields)
            require_unique("fields.name", names, "Give every field a name of its own.")
        quantities_of(settings)
        self.malformed = self.bad_values = 0

    def _question(self, poll: PollSettings, path: str, settings: InstrumentSettings) -> Question:
        if not poll.record:
            return Question(poll, path, self, list(self._kinds.values()))
        if poll.record not in settings.records:
            known = ", ".join(settings.records) or "none"
            raise SettingsError(f"{path}.record", poll.record, "is no kind of records", f"`records` has {known}.")
        return Question(poll, path, self, [self._kinds[f"records.{poll.record}."]])

    def text(self, frame: bytes) -> str:
        """A record or an answer as text."""
        return text_of(frame, self.encoding)

    def sample(self, frame: bytes, kinds: Iterable[RecordKind] | None = None) -> Sample:
        """The readings of a record; none, and counted, for one that is not as described.

        Parameters:
            frame: the record.
            kinds: that it can be; by default all.
        """
        text = self.text(frame)
        if self._ignored and self._ignored.search(text):
            return ()
        for kind in self._kinds.values() if kinds is None else kinds:
            try:
                sample = kind.sample(frame, text)
            except Malformed:
                continue
            self.bad_values += sum(reading.quality is Quality.BAD for reading in sample)
            return sample
        self.malformed += 1
        return ()


def quantities_of(settings: InstrumentSettings) -> tuple[Quantity, ...]:
    """What all kinds of records tell. Raises SettingsError for one name with two meanings."""
    found: dict[str, Quantity] = {}
    for kind in settings.kinds.values():
        for field in kind.fields:
            known = found.setdefault(field.name, field.quantity)
            if (known.unit, known.valid) != (field.unit, field.valid):
                remedy = "Give it the same unit and valid range, or another name."
                raise SettingsError("fields.name", field.name, "is used for two different quantities", remedy)
    return tuple(found.values())


def commands_of(settings: InstrumentSettings) -> tuple[CommandSpec, ...]:
    """The commands that it takes. Raises SettingsError."""
    return tuple(
        CommandSpec(
            name,
            tuple(
                parameter(place, spec, template.kind, template.range, template.choices)
                for place, spec in Template(template.send, f"commands.{name}.send", "utf-8").places.items()
            ),
            template.description,
        )
        for name, template in settings.commands.items()
    )
