"""The board: takes what arrives, knows how everything is now, and what has changed since any revision."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

import msgspec

from device_bridge import Quality, Reading
from device_bridge.messages import Announcement

from .accounts import AS_EXPECTED, Account, Kept, Verdict
from .arrivals import Arrival
from .buckets import Buckets
from .events import Event, EventLog, Kind
from .sources import POSITION_UNITS, LiveQuantity, Source

_MAX_GROUPS = 5000
_FAILED = ("failed", "stopped")
_GOOD, _BAD = Quality.GOOD, Quality.BAD  # on Python 3.11 a member takes ten times a name's time to look up


class Limits(msgspec.Struct, frozen=True):
    """What the board holds at most, and when a source is silent.

    Parameters:
        sources, quantities: counts.
        source_timeout_s: see the setting `source_timeout`.
    """

    sources: int = 500
    quantities: int = 3000
    source_timeout_s: float = 15.0


class Board:
    """Everything the page shows.

    Parameters:
        limits: on what it holds.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.revision = 1
        """Counted up with each change."""
        self.events = EventLog()
        self.buckets = Buckets()
        self.refused: Counter[str] = Counter()
        """Messages and readings left out, by reason."""
        self.sources: dict[int, Source] = {}
        self.quantities: dict[int, LiveQuantity] = {}
        self._by_name: dict[tuple[str, str], Source] = {}
        self.accounts: dict[str, Account] = {}
        """By publisher, or by source where the publisher is not known."""
        self._groups: OrderedDict[str, str] = OrderedDict()
        self._next_source, self._next_quantity = 1, 1
        self._forgotten: deque[tuple[int, int]] = deque(maxlen=1000)

    def take(self, arrival: Arrival, now: float) -> bool:
        """Everything that a message says; false when it had come before.

        Parameters:
            arrival: a message.
            now: seconds since 1970.
        """
        self.revision += 1
        name = next(iter(arrival.samples), arrival.announcement.source if arrival.announcement else "")
        account = self._account(arrival, name)
        if account is None:
            return True  # a result of a sender that is not known
        verdict = account.take(arrival.message.groupid, arrival.message.sequencenumber, arrival.part, now)
        if verdict is not AS_EXPECTED:
            self._tell(verdict, arrival, name, now)
            if not verdict.is_new:
                return False
        for source_name, readings in arrival.samples.items():
            source = self._source(arrival.message.publisher, source_name, account, now)
            if source is not None:
                self._take_readings(source, readings, now, is_late=verdict.is_late)
        if arrival.announcement is not None:
            source = self._source(arrival.message.publisher, arrival.announcement.source, account, now)
            if source is not None:
                self._take_announcement(source, arrival.announcement, now)
        return True

    def tick(self, now: float) -> None:
        """Finds out who is silent; call it about once a second."""
        timeout_s = self.limits.source_timeout_s
        for source in self.sources.values():
            if not source.silent and source.pulse.is_overdue(now, timeout_s):
                self.revision += 1
                source.silent, source.revision = True, self.revision
                self.add_event("silent", source.name, "nothing received any more", now)
            for quantity in source.quantities.values():
                fresh = quantity.quality in (Quality.GOOD, Quality.UNCERTAIN)
                if fresh and (source.silent or quantity.pulse.is_overdue(now, timeout_s)):
                    self.revision += 1
                    quantity.mark_overdue(self.revision)

    def add_event(self, kind: Kind, source: str, text: str, now: float) -> None:
        """Puts an event into the log."""
        self.revision += 1
        self.events.add(kind, source, text, now, self.revision)

    def source_of(self, quantity_id: int) -> Source | None:
        """Whose quantity this is."""
        quantity = self.quantities.get(quantity_id)
        if quantity is None:
            return None
        return next((one for one in self.sources.values() if one.quantities.get(quantity.name) is quantity), None)

    def restore_account(self, key: str, kept: Kept) -> None:
        """An account from before a restart."""
        self.accounts[key] = Account(kept)
        if kept.group:
            self._groups[kept.group] = key

    def restore(self, publisher: str, name: str, quantity_id: int, reading: Reading, interval: float) -> None:
        """The last reading of a quantity from before a restart: stale until it comes again."""
        account = self.accounts.get(_key(publisher, name)) or self.accounts.setdefault(publisher or name, Account())
        source = self._by_name.get((publisher, name)) or self._add_source(publisher, name, account)
        quantity = LiveQuantity(quantity_id, reading.name)
        quantity.value, quantity.unit, quantity.time = reading.value, reading.unit, reading.time
        quantity.quality, quantity.reason = Quality.STALE, "from before the restart of this page"
        quantity.pulse.last, quantity.pulse.interval = reading.time, interval
        source.quantities[reading.name] = self.quantities[quantity_id] = quantity
        source.pulse.last = max(source.pulse.last, reading.time)
        source.silent = True
        self._next_quantity = max(self._next_quantity, quantity_id + 1)

    def restore_events(self, events: Iterable[Event]) -> None:
        """Events from before a restart."""
        events = list(events)
        for event in events:
            event.revision = 0
        self.events = EventLog(kept=events)

    def forget(self, source: Source) -> None:
        """Removes a source."""
        self.revision += 1
        self.sources.pop(source.id, None)
        self._forgotten.append((self.revision, source.id))
        self._by_name.pop((source.publisher, source.name), None)
        for quantity in source.quantities.values():
            self.quantities.pop(quantity.id, None)
        if not any(one.account is source.account for one in self.sources.values()):
            self.accounts.pop(self._key_of(source.account), None)

    def forgotten_since(self, revision: int) -> list[int]:
        """Ids of sources that have been removed after this revision."""
        return [source for at, source in self._forgotten if at > revision]

    def _account(self, arrival: Arrival, name: str) -> Account | None:
        publisher = arrival.message.publisher
        key = self._groups.get(arrival.message.groupid, "")
        if not key or (publisher and key.partition("/")[0] != publisher):
            key = self._new_key(publisher, name)
        if not key:
            return None
        account = self.accounts.get(key)
        if account is None:
            if len(self.accounts) >= self.limits.sources:
                return Account() if arrival.samples else None
            account = self.accounts[key] = Account()
        if arrival.message.groupid and arrival.message.groupid not in self._groups:
            self._groups[arrival.message.groupid] = key
            if len(self._groups) > _MAX_GROUPS:
                self._groups.popitem(last=False)
        return account

    def _new_key(self, publisher: str, name: str) -> str:
        """The account of messages of a run that was not heard before: one publisher may have several streams."""
        if (source := self._by_name.get((publisher, name))) and (known := self._key_of(source.account)):
            return known
        return publisher if publisher and publisher not in self.accounts else _key(publisher, name)

    def _key_of(self, account: Account) -> str:
        return next((key for key, each in self.accounts.items() if each is account), "")

    def _tell(self, verdict: Verdict, arrival: Arrival, name: str, now: float) -> None:
        source = name or arrival.message.publisher
        if verdict.is_restart:
            self.add_event("restart", source, "the service has started again: its messages count from 1", now)
        if verdict.missing:
            first, last = arrival.message.sequencenumber - verdict.missing, arrival.message.sequencenumber - 1
            which = f"message {first}" if first == last else f"messages {first} to {last}"
            self.add_event("gap", source, f"{which} missing", now)
        if verdict.is_late:
            self.add_event("late", source, f"message {arrival.message.sequencenumber} came after later ones", now)
        if not verdict.is_new:
            self.add_event(
                "duplicate", source, f"message {arrival.message.sequencenumber} came again and is left out", now
            )

    def _source(self, publisher: str, name: str, account: Account, now: float) -> Source | None:
        source = self._by_name.get((publisher, name))
        if source is None:
            if len(self.sources) >= self.limits.sources:
                self._refuse("sources", f"{self.limits.sources} sources are known; {name!r} is left out", now)
                return None
            source = self._add_source(publisher, name, account)
            source.since = now
            self.add_event("new", name, "heard for the first time", now)
        source.account = account
        if source.silent:
            source.silent, source.revision = False, self.revision
            if source.heard:
                self.add_event("heard", name, "messages come again", now)
        source.heard = True
        source.pulse.beat(now, self.limits.source_timeout_s)
        return source

    def _add_source(self, publisher: str, name: str, account: Account) -> Source:
        source = Source(self._next_source, publisher, name, account)
        source.revision = self.revision
        self._next_source += 1
        self.sources[source.id] = self._by_name[publisher, name] = source
        return source

    def _take_readings(self, source: Source, readings: list[Reading], now: float, *, is_late: bool) -> None:
        timeout_s, is_placed, is_good, is_bad = self.limits.source_timeout_s, False, False, True
        for reading in readings:
            is_good = is_good or reading.quality is _GOOD
            is_bad = is_bad and reading.quality is _BAD
            quantity = source.quantities.get(reading.name) or self._add_quantity(source, reading.name, now)
            if quantity is None:
                continue
            self.buckets.add(quantity.id, reading)
            quantity.pulse.beat(now, timeout_s)
            if not (is_late and reading.time < quantity.time):
                quantity.take(reading, self.revision)
            is_placed = is_placed or quantity.unit in POSITION_UNITS
        if is_late:
            return
        if is_placed and source.extend_track():
            source.revision = self.revision
        if is_bad:
            if all(one.quality is Quality.BAD for one in source.quantities.values()):
                self._set_failing(source, readings[0].reason or "no usable reading", now)
        elif is_good:
            self._set_failing(source, "", now)

    def _add_quantity(self, source: Source, name: str, now: float) -> LiveQuantity | None:
        if len(self.quantities) >= self.limits.quantities:
            self._refuse("quantities", f"{self.limits.quantities} quantities are known; {name!r} is left out", now)
            return None
        quantity = LiveQuantity(self._next_quantity, name)
        self._next_quantity += 1
        source.quantities[name] = self.quantities[quantity.id] = quantity
        source.revision = self.revision
        return quantity

    def _take_announcement(self, source: Source, announcement: Announcement, now: float) -> None:
        before, source.announcement = source.announcement, announcement
        if before == announcement:
            return
        source.revision = self.revision
        refused_before = before.refused if before else ""
        if announcement.refused and announcement.refused != refused_before:
            self.add_event("refused", source.name, f"settings refused: {announcement.refused}", now)
        elif refused_before and not announcement.refused:
            self.add_event("accepted", source.name, "settings are good again", now)
        if announcement.state in _FAILED:
            self._set_failing(source, announcement.reason or announcement.state, now)

    def _set_failing(self, source: Source, reason: str, now: float) -> None:
        if bool(reason) == bool(source.failing):
            return
        source.failing, source.revision = reason, self.revision
        if reason:
            self.add_event("gone", source.name, reason, now)
        else:
            self.add_event("back", source.name, "readings come again", now)

    def _refuse(self, what: str, text: str, now: float) -> None:
        self.refused[what] += 1
        self.add_event("limit", "", text, now)


def _key(publisher: str, name: str) -> str:
    """Of the account of one stream, where a publisher has several."""
    return f"{publisher}/{name}" if publisher and name else publisher or name
