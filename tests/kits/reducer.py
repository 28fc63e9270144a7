"""What a screen does with a frame, purely: the reference for every screen, in whatever language it is written.

A state is `{"conversations": {id: row}, "messages": {id: message}, "loaded": [conversation id…]}`: the rows of the
inbox, and the messages of those conversations that were loaded. A state is not changed; a new one is returned.
"""

from collections.abc import Mapping, Sequence
from typing import Any

State = dict[str, Any]
Frame = Mapping[str, Any]

EMPTY: State = {"conversations": {}, "messages": {}, "loaded": []}


def reduced(state: State, frames: Sequence[Frame]) -> State:
    """Return the state after frames, in their order."""
    for frame in frames:
        state = applied(state, frame)
    return state


def applied(state: State, frame: Frame) -> State:
    """Return the state after one frame: every row it carries takes the place of the one that was there."""
    data = frame["data"]
    rows, messages, loaded = dict(state["conversations"]), dict(state["messages"]), set(state["loaded"])
    for row in [*data.get("conversations", []), *([data["conversation"]] if "conversation" in data else [])]:
        rows[row["id"]] = row
    if frame["type"] == "ConversationOpened":
        loaded.add(data["event"]["conversation_id"])  # whatever will be said in it is still to come
    if "message" in data:
        messages[data["message"]["id"]] = data["message"]
    for id_ in data.get("gone", []):
        rows.pop(id_, None)
        loaded.discard(id_)
    loaded -= set(data.get("reload", []))
    kept = {id_: message for id_, message in messages.items() if message["conversation_id"] in loaded}
    return {"conversations": rows, "messages": kept, "loaded": sorted(loaded)}
