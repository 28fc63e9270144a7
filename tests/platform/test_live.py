"""The switch: who hears what, what happens to the slow, and signals that pass."""

import asyncio
import json

import pytest

from onethread.platform.live import Behind, Hub, LiveFrame, Signal


def said(seq: int, *topics: str, text: str = "hello") -> LiveFrame:
    return LiveFrame(topics or ("brand:1",), seq, "message", {"text": text})


def typing(on: bool = True, who: str = "ana", topic: str = "conversation:1") -> Signal:
    return Signal((topic,), "typing", who, on, 6.0, {})


async def test_a_frame_reaches_those_who_watch_its_topic_and_nobody_else() -> None:
    hub = Hub()
    brand, team = hub.subscribe(["brand:1"]), hub.subscribe(["team:1"])
    hub.publish(said(1, "brand:1"))
    hub.publish(said(2, "team:1"))
    assert [frame.seq for frame in await brand.take()] == [1]
    assert [frame.seq for frame in await team.take()] == [2]


async def test_a_screen_that_watches_two_topics_of_a_frame_gets_it_once() -> None:
    hub = Hub()
    both = hub.subscribe(["brand:1", "conversation:1"])
    hub.publish(said(1, "brand:1", "conversation:1", "nobody:1"))
    assert [frame.seq for frame in await both.take()] == [1]


async def test_a_frame_is_written_once_for_all_screens() -> None:
    hub = Hub()
    screens = [hub.subscribe(["brand:1"]) for _ in range(3)]
    hub.publish(said(7, text="สวัสดี"))
    frames = [(await screen.take())[0] for screen in screens]
    assert frames[0] is frames[1] is frames[2]
    assert frames[0].text is frames[2].text
    assert json.loads(frames[0].text) == {"seq": 7, "type": "message", "data": {"text": "สวัสดี"}}


async def test_a_slow_screen_is_cut_off_and_slows_nobody() -> None:
    hub = Hub()
    slow, quick = hub.subscribe(["brand:1"], limit=2), hub.subscribe(["brand:1"], limit=10)
    for seq in range(5):
        hub.publish(said(seq))
    assert [frame.seq for frame in await quick.take()] == [0, 1, 2, 3, 4]
    with pytest.raises(Behind):
        await slow.take()


async def test_a_screen_that_was_cut_off_hears_again_after_it_was_told() -> None:
    hub = Hub()
    slow = hub.subscribe(["brand:1"], limit=1)
    for seq in range(3):
        hub.publish(said(seq))
    with pytest.raises(Behind):
        await slow.take()
    hub.publish(said(9))
    assert [frame.seq for frame in await slow.take()] == [9]


async def test_a_closed_subscription_leaves_nothing_behind() -> None:
    hub = Hub()
    gone = hub.subscribe(["brand:1", "team:1"])
    gone.close()
    hub.publish(said(1))
    assert not hub.watched
    assert len(hub) == 0


async def test_dropping_one_topic_keeps_the_others() -> None:
    hub = Hub()
    screen = hub.subscribe(["brand:1", "team:1"])
    screen.drop(["brand:1", "never:1"])
    hub.publish(said(1, "brand:1"))
    hub.publish(said(2, "team:1"))
    assert [frame.seq for frame in await screen.take()] == [2]


async def test_typing_is_told_once_in_three_seconds_and_its_end_at_once() -> None:
    hub = Hub()
    carried: list[Signal] = []
    hub.carry = carried.append
    screen = hub.subscribe(["conversation:1"])
    for _ in range(20):
        hub.signal(typing())
    hub.signal(typing(on=False))
    hub.signal(typing(on=False))
    assert [frame.data["on"] for frame in await screen.take()] == [True, False]
    assert [signal.on for signal in carried] == [True, False]


async def test_two_people_typing_are_two_signals() -> None:
    hub = Hub()
    screen = hub.subscribe(["conversation:1"])
    hub.signal(typing(who="ana"))
    hub.signal(typing(who="bruno"))
    assert [frame.data["who"] for frame in await screen.take()] == ["ana", "bruno"]


async def test_who_joins_later_learns_who_is_typing_now() -> None:
    hub = Hub()
    hub.signal(typing(who="ana"))
    hub.signal(typing(who="bruno"))
    hub.signal(typing(who="bruno", on=False))
    assert [frame.data["who"] for frame in hub.standing(["conversation:1"])] == ["ana"]


async def test_a_signal_ends_by_itself() -> None:
    hub = Hub()
    hub.signal(Signal(("conversation:1",), "typing", "ana", True, 0.0, {}))
    assert hub.standing(["conversation:1"]) == []


async def test_a_taker_waits_for_the_next_frame() -> None:
    hub = Hub()
    screen = hub.subscribe(["brand:1"])
    waiting = asyncio.create_task(screen.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.publish(said(3))
    assert [frame.seq for frame in await waiting] == [3]


async def test_a_quiet_screen_is_woken_with_nothing() -> None:
    hub = Hub()
    screen = hub.subscribe(["brand:1"])
    screen.beat_after(0.01)
    assert await screen.take() == []
    assert await screen.take() == []
    hub.publish(said(3))
    assert [frame.seq for frame in await screen.take()] == [3]
    screen.close()
