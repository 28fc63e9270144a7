"""The suite every channel must pass. A channel's tests subclass `ChannelKit` and hand over its payloads.

    class TestTheKit(ChannelKit):
        def channel(self) -> Channel: ...
        def account(self) -> Account: ...
        def hook_of_message(self, text, *, number=1, sender=1) -> Hook: ...
        def signed(self, body, *, at=NOW) -> Hook: ...

and whatever else the channel has: files (`hook_of_file`), events nobody knows (`unknown_bodies`), a
provider that misbehaves (`provoked`). Everything below `test_` then holds for it, or fails by name.
`WholeChannelKit` (whole_channel.py) adds the way through the real door and the real receiver.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onethread.channels.contract import (
    Account,
    Came,
    Channel,
    Content,
    Forged,
    Handle,
    Hook,
    Ignored,
    Media,
    MessageCame,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptDraft,
    Unreadable,
)
from onethread.channels.model import CheckedSettings, check_settings, lane_of
from onethread.kernel.errors import Malformed, NotFound
from onethread.kernel.ids import ConversationId, DeliveryId, MessageId, new_id

NOW = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
OUTCOMES = frozenset(outcome.__name__ for outcome in get_args(Outcome))


class ChannelKit(ABC):
    """What the suite asks of a channel. Payloads are built fresh for every test."""

    # Headers that carry the signature; each is cut, stretched, emptied and left out.
    signature_headers: ClassVar[Sequence[str]] = ()
    # How long ago a signed request may have been made; None when the provider signs no time.
    replay_window: ClassVar[timedelta | None] = timedelta(minutes=5)
    # Outcomes this channel can never have, each with the reason.
    never: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def channel(self) -> Channel:
        """Return the channel, ready to send to a provider that behaves."""

    @abstractmethod
    def account(self) -> Account:
        """Return an account with every secret set."""

    @abstractmethod
    def hook_of_message(self, text: str, *, number: int = 1, sender: int = 1) -> Hook:
        """Return a genuine request, received at NOW, that brings message `number` of a sender."""

    @abstractmethod
    def signed(self, body: bytes, *, at: datetime = NOW) -> Hook:
        """Return a genuine request, signed and received at a moment, with any body."""

    def hook_of_file(self) -> Hook | None:
        """Return a genuine request that brings a file, None when the channel brings none."""
        return None

    def unknown_bodies(self) -> Sequence[bytes]:
        """Return well-formed bodies of events this channel knows nothing about."""
        return ()

    def recipient(self) -> Handle:
        """Return whom to send to."""
        raise NotImplementedError

    def stored_file(self) -> Media | None:
        """Return a stored file to send, None when the channel carries none."""
        return None

    def provoked(self) -> Mapping[str, Callable[[], Awaitable[Outcome]]]:
        """Return, by the name of an outcome, a sending that must end so because the provider misbehaves."""
        return {}

    # ------------------------------------------------------------ helpers

    def drafts(self, hook: Hook) -> Sequence[ReceiptDraft]:
        channel, account = self.channel(), self.account()
        assert channel.verify(hook, account) is None, "a genuine request with an event was answered like a challenge"
        return channel.split(hook, account)

    def parsed(self, draft: ReceiptDraft) -> Sequence[Came]:
        return self.channel().parse(receipt_of(draft), self.account())

    def messages(self, hook: Hook) -> list[MessageCame]:
        came = [one for draft in self.drafts(hook) for one in self.parsed(draft)]
        return [one for one in came if isinstance(one, MessageCame)]

    def outgoing(self, content: Content) -> Outgoing:
        return Outgoing(
            delivery_id=DeliveryId(new_id()),
            message_id=MessageId(new_id()),
            conversation_id=ConversationId(new_id()),
            act="message",
            to=self.recipient(),
            content=content,
            sender_name="Bruno",
            brand_name="Corner Shop",
            locale="en",
            sent_at=NOW,
        )

    # ------------------------------------------------------------ what it declares

    def test_its_settings_are_accepted_by_its_own_declaration(self) -> None:
        declaration, account = self.channel().declaration, self.account()
        assert declaration.name == account.channel
        checked = check_settings(declaration, account.settings, CheckedSettings({}, {}))
        assert set(checked.open) | set(checked.secret) <= {field.name for field in declaration.settings}

    def test_secrets_are_declared_as_secrets(self) -> None:
        for field in self.channel().declaration.settings:
            if any(word in field.name for word in ("secret", "password", "private", "token")):
                assert field.kind == "secret", f"{field.name} would be shown to everybody who may see accounts"

    # ------------------------------------------------------------ what comes in

    def test_a_message_comes_in(self) -> None:
        (message,) = self.messages(self.hook_of_message("Hello, where is my order?"))
        assert message.content.text == "Hello, where is my order?"
        assert message.sender.kind in self.channel().declaration.identifier_kinds
        assert message.at <= NOW

    @pytest.mark.parametrize(
        "text",
        [
            "สวัสดีครับ ของมาถึงเมื่อไหร่",
            "سلام، سفارش من کجاست؟ می‌خواهم",
            "こんにちは、配送はいつですか。",
            "👩‍👩‍👧 e\u0301 مرحبا <b>not bold</b> & 'quotes' \"too\"",
        ],
    )
    def test_a_message_comes_in_as_it_was_written(self, text: str) -> None:
        (message,) = self.messages(self.hook_of_message(text))
        assert message.content.text == text

    def test_the_same_request_three_times_is_the_same_receipts(self) -> None:
        hook = self.hook_of_message("Hello")
        first, second, third = ([(draft.external_id, draft.sender) for draft in self.drafts(hook)] for _ in range(3))
        assert first == second == third
        assert self.messages(hook)[0].external_id == self.messages(hook)[0].external_id

    def test_two_messages_are_two_receipts_and_two_messages(self) -> None:
        one, other = (self.hook_of_message("Hello", number=number) for number in (1, 2))
        assert self.drafts(one)[0].external_id != self.drafts(other)[0].external_id
        assert self.messages(one)[0].external_id != self.messages(other)[0].external_id

    def test_a_burst_of_one_sender_stays_in_one_lane_and_in_order(self) -> None:
        hooks = [self.hook_of_message(f"number {number}", number=number) for number in range(1, 41)]
        drafts = [draft for hook in hooks for draft in self.drafts(hook)]
        assert len({draft.external_id for draft in drafts}) == 40
        assert len({lane_of(draft.sender) for draft in drafts}) == 1
        assert len({draft.sender for draft in drafts}) == 1
        texts = [message.content.text for hook in hooks for message in self.messages(hook)]
        assert texts == [f"number {number}" for number in range(1, 41)]

    def test_two_senders_are_told_apart(self) -> None:
        one, other = (self.hook_of_message("Hello", number=sender, sender=sender) for sender in (1, 2))
        assert self.drafts(one)[0].sender != self.drafts(other)[0].sender
        assert self.messages(one)[0].sender != self.messages(other)[0].sender

    def test_an_over_long_text_is_read_or_refused_in_words(self) -> None:
        for length in (self.channel().declaration.capabilities.max_text + 1, 2_000_000):
            assert_tamed(self, self.hook_of_message("a" * length))

    def test_an_unknown_event_is_kept_and_ignored_or_parked(self) -> None:
        for body in self.unknown_bodies():
            for came in assert_tamed(self, self.signed(body)):
                assert isinstance(came, Ignored), f"{body[:80]!r} was taken for {came}"

    async def test_a_file_comes_in(self) -> None:
        hook = self.hook_of_file()
        if hook is None:
            assert "media" not in self.channel().declaration.capabilities.hears
            return
        (draft,) = self.drafts(hook)
        (message,) = (one for one in self.parsed(draft) if isinstance(one, MessageCame))
        assert message.content.media
        for media in message.content.media:
            assert media.name
            assert "/" in media.media_type
            if not media.ref.startswith("file:"):
                blob = await self.channel().fetch(receipt_of(draft), media, self.account())
                assert blob.body

    async def test_a_file_nobody_sent_cannot_be_fetched(self) -> None:
        draft = self.drafts(self.hook_of_message("Hello"))[0]
        with pytest.raises((NotFound, Unreadable)):
            await self.channel().fetch(receipt_of(draft), Media("part:99", "x", "text/plain"), self.account())

    # ------------------------------------------------------------ what is forged

    def test_every_forgery_is_found(self) -> None:
        genuine = self.hook_of_message("Hello")
        self.channel().verify(genuine, self.account())
        for what, forged in self.forgeries(genuine):
            with pytest.raises(Forged):
                self.channel().verify(forged, self.account())
                pytest.fail(f"believed although {what}")

    def test_an_account_without_its_secrets_believes_nobody(self) -> None:
        with pytest.raises(Forged):
            self.channel().verify(self.hook_of_message("Hello"), replace(self.account(), settings={}))

    def test_an_old_request_is_not_believed_again(self) -> None:
        if self.replay_window is None:
            return
        hook = self.hook_of_message("Hello")
        for late in (self.replay_window + timedelta(seconds=2), -self.replay_window - timedelta(seconds=2)):
            with pytest.raises(Forged):
                self.channel().verify(replace(hook, received_at=NOW + late), self.account())

    def forgeries(self, genuine: Hook) -> list[tuple[str, Hook]]:
        assert self.signature_headers, "which headers carry the signature?"
        forged = [
            ("the body was changed", replace(genuine, body=genuine.body + b" ")),
            ("the body is empty", replace(genuine, body=b"")),
            ("nothing is signed", replace(genuine, headers={})),
        ]
        for name in self.signature_headers:
            value = genuine.headers[name]
            changed = {
                "is missing": None,
                "is empty": "",
                "is cut": value[:-4],
                "is one letter": value[:1],
                "is doubled": value + value,
                "is endless": value * 5_000,
                "is another": value[:-2] + ("A" if value[-2] != "A" else "B") + value[-1:],
                "is not ASCII": value[:-1] + "é",
                "holds a null": value + "\0",
                "is nonsense": "v1,%%%% v1, ,,, =====",
            }
            for how, text in changed.items():
                headers = {key: kept for key, kept in genuine.headers.items() if key != name}
                if text is not None:
                    headers[name] = text
                forged.append((f"{name} {how}", replace(genuine, headers=headers)))
        return forged

    # ------------------------------------------------------------ what is broken

    @given(data=st.data())
    @settings(suppress_health_check=[HealthCheck.differing_executors])
    def test_broken_payloads_are_refused_in_words(self, data: st.DataObject) -> None:
        good = self.hook_of_message("Hello, where is my order?").body
        assert_tamed(self, self.signed(data.draw(broken(good))))

    # ------------------------------------------------------------ what goes out

    async def test_a_message_goes_out(self) -> None:
        outcome = await self.channel().send(self.outgoing(Content(text="It is on its way.")), self.account())
        assert type(outcome).__name__ == "Sent", outcome

    async def test_a_file_goes_out(self) -> None:
        media = self.stored_file()
        if media is None:
            assert "media" not in self.channel().declaration.capabilities.says
            return
        content = Content(text="Here it is.", media=(media,))
        outcome = await self.channel().send(self.outgoing(content), self.account())
        assert type(outcome).__name__ == "Sent", outcome

    async def test_every_way_a_provider_misbehaves_has_its_outcome(self) -> None:
        provoked = self.provoked()
        for name, sending in provoked.items():
            outcome = await sending()
            assert type(outcome).__name__ == name.partition(":")[0], f"{name}: {outcome}"
            assert name == "Sent" or _words_of(outcome), f"{name} does not say why"
        untried = OUTCOMES - {"Sent"} - {name.partition(":")[0] for name in provoked} - self.never.keys()
        assert not untried, f"neither provoked nor declared impossible: {sorted(untried)}"


# ---------------------------------------------------------------- taming


def assert_tamed(kit: ChannelKit, hook: Hook) -> list[Came]:
    """Let a channel read a request; it may refuse in words, and what it reads must be fit to be stored."""
    channel, account = kit.channel(), kit.account()
    channel.verify(hook, account)
    try:
        drafts = channel.split(hook, account)
    except (Unreadable, Malformed) as refused:
        assert refused.detail
        return []
    read: list[Came] = []
    for draft in drafts:
        assert 0 < len(draft.external_id) <= 1_000
        assert_storable(draft.external_id)
        assert_storable(draft.sender)
        try:
            came = channel.parse(receipt_of(draft), account)
        except Unreadable as refused:
            assert refused.detail
            assert_storable(refused.detail)
            continue
        assert_storable(came)
        read += came
    return read


def assert_storable(value: object) -> None:
    """Every text inside is valid UTF-8 without NUL, as PostgreSQL wants it."""
    if isinstance(value, str):
        assert "\0" not in value, f"a null character came through: {value[:80]!r}"
        value.encode()
    elif isinstance(value, datetime):
        assert value.tzinfo is not None, "a time without its zone came through"
    elif is_dataclass(value):
        for field in fields(value):
            assert_storable(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for inner in value:
            assert_storable(inner)


@st.composite
def broken(draw: st.DrawFn, good: bytes) -> bytes:
    """Draw a body that a good one may become: cut, flipped, stretched, or with values of other types."""
    how = draw(st.sampled_from(["cut", "flip", "insert", "swap", "repeat", "noise"]))
    place = draw(st.integers(0, max(0, len(good) - 1)))
    if how == "cut":
        return good[:place]
    if how == "flip":
        return good[:place] + bytes([draw(st.integers(0, 255))]) + good[place + 1 :]
    if how == "insert":
        odd = draw(
            st.sampled_from([b"\x00", b"\xff\xfe", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\r\n\r\n", b'"', b"["])
        )
        return good[:place] + odd + good[place:]
    if how == "repeat":
        return good * draw(st.integers(2, 3))
    if how == "noise":
        return draw(st.binary(max_size=200))
    return _with_swapped_types(draw, good)


def _with_swapped_types(draw: st.DrawFn, good: bytes) -> bytes:
    """Put a value of another type somewhere into a JSON body; other bodies are left as they are."""
    try:
        value = json.loads(good)
    except ValueError:
        return good
    odd = draw(
        st.one_of(
            st.none(),
            st.booleans(),
            st.sampled_from([0, -1, 2**70, 1e308, "", "\0", " ", [], {}, [[]], {"a": {}}, "null", "-1", "é" * 5_000]),
            st.text(max_size=40),
        )
    )
    places = _places(value)
    *way, last = draw(st.sampled_from(places))
    inner = value
    for step in way:
        inner = inner[step]
    if draw(st.booleans()) or isinstance(inner, list):
        inner[last] = odd
    else:
        del inner[last]
    return json.dumps(value).encode()


def _places(value: object, way: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    else:
        return []
    return [place for key, one in inner for place in [(*way, key), *_places(one, (*way, key))]]


def receipt_of(draft: ReceiptDraft) -> Receipt:
    return Receipt(draft.external_id, draft.sender, draft.body, draft.form, NOW)


def _words_of(outcome: Outcome) -> str:
    return str(getattr(outcome, "reason", "") or getattr(outcome, "what", ""))
