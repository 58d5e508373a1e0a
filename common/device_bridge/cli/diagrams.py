"""Pictures of what the code says, for READMEs."""

from __future__ import annotations

from ..supervision.life_cycle import TABLE, USABLE, DeviceState, Event, Step

_BEGIN, _END = "<!-- life cycle -->\n", "<!-- end -->"
_USABLE = "usable"


def life_cycle_diagram() -> str:
    """The life of a device as a Mermaid state diagram: events, and in brackets what is done about them.

    What all states of an open device have in common is drawn once.
    """
    common = TABLE[USABLE[0]].steps.items() & TABLE[USABLE[1]].steps.items() & TABLE[USABLE[2]].steps.items()
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {DeviceState.STARTING.value}"]
    lines += [f'    state "commands are admitted" as {_USABLE} {{', f"        [*] --> {DeviceState.OPEN.value}"]
    for state in USABLE:
        own = TABLE[state].steps.items() - common
        lines += [
            f"    {_edge(state, event, step)}" for event, step in sorted(own, key=_order) if step.state != state
        ]
    lines.append("    }")
    steps = [(event, step) for event, step in common if event is not Event.COMMAND]
    lines += [_edge(_USABLE, event, step) for event, step in sorted(steps, key=_order)]
    lines.append(_edge(_USABLE, Event.SHARED_SETTINGS, TABLE[DeviceState.OPEN].steps[Event.SHARED_SETTINGS]))
    for state, row in TABLE.items():
        if state not in USABLE:
            lines += [_edge(state, event, step) for event, step in row.steps.items() if event is not Event.COMMAND]
    return "\n".join([*lines, f"    {DeviceState.STOPPED.value} --> [*]", "```"])


def _order(one: tuple[Event, Step]) -> str:
    return one[0].value


def _edge(state: DeviceState | str, event: Event, step: Step) -> str:
    done = f" ({', '.join(action.value for action in step.actions)})" if step.actions else ""
    source = state if isinstance(state, str) else state.value
    target = _USABLE if source == _USABLE and step.state in USABLE else step.state.value
    return f"    {source} --> {target}: {event.value}{done}"


def with_diagrams(text: str) -> str:
    """A README's text with its pictures as the code has them."""
    start, found, rest = text.partition(_BEGIN)
    return f"{start}{found}{life_cycle_diagram()}\n{rest[rest.index(_END) :]}" if found else text
