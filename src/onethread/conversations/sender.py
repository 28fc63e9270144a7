"""The sender: the one way out. Claims due deliveries in sets and hands them to their channels."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from onethread.channels import actions as channels
from onethread.channels.contract import (
    Account,
    Channel,
    Handle,
    Health,
    NeedsAttention,
    NeedsConsent,
    Outcome,
    Outgoing,
    Sent,
    TryLater,
    Unknown,
    Unreachable,
    WindowClosed,
)
from onethread.conversations.events import AddressSuppressed
from onethread.conversations.model import next_pause, reply_token, unpack
from onethread.conversations.queries import outgoing as queries
from onethread.conversations.queries.outgoing import Leaving
from onethread.conversations.receiving.acts import delivery_news
from onethread.conversations.receiving.batch import Desk
from onethread.conversations.store import deliveries as store
from onethread.conversations.store import messages as message_store
from onethread.conversations.store.deliveries import Claimed, Moved, Result
from onethread.conversations.unsubscribing import Unsubscribe
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import AccountId
from onethread.platform import metrics
from onethread.platform.db import Database, Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import BY_SYSTEM, EventDraft

log = structlog.get_logger(__name__)

BELL: Final = "deliveries"
_POLL: Final = 0.25  # seconds between looks for what came due by itself
_PER_ACCOUNT: Final = 32  # deliveries of one account on their way at the same time
_UNREACHED: Final = 3  # attempts in a row that reached nobody before an account turns red
_GRACE: Final = 10.0  # seconds after which an account nobody here has heard of is not just new
_OFF: Final = "Its account is switched off: it is sent when the account is switched on again."
_GONE: Final = "Its account is not there (any more)."
_SWEEP: Final = 2.0  # seconds between looks for leases and silence that ran out

GetDesk = Callable[[], Awaitable[Desk]]


class Sender:
    """Sends what is due; several processes share the work. `run` goes on until cancelled."""

    def __init__(self, database: Database, desk: GetDesk, *, lease_seconds: float = 120.0) -> None:
        self._database = database
        self._desk = desk
        self._lease = lease_seconds
        self._due = asyncio.Event()
        self._done = asyncio.Event()
        self._results: list[tuple[Claimed, Outcome]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._lines: dict[AccountId, Line] = {}
        database.bells[BELL] = self._due.set

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim(), name="sender:claim")
            group.create_task(self._write(), name="sender:write")
            group.create_task(self._sweep(), name="sender:sweep")

    @property
    def busy(self) -> bool:
        """Tell whether something is on its way or not written down yet."""
        return bool(self._under_way or self._results)

    async def drain(self, *, seconds: float = 8.0) -> None:
        """Wait so long for what is on its way and write down what became of it."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=seconds)
        if self._results:
            await self._write_results()

    async def _claim(self) -> None:
        while True:
            self._due.clear()
            try:
                more = await self.step()
            except Unavailable:
                await asyncio.sleep(0.5)
                continue
            if not more:
                # Not asyncio.wait_for: on Python 3.11 it loses a cancellation that meets the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await self._due.wait()

    async def step(self) -> bool:
        """Claim what is due and start handing it over; tell whether somebody may have more and room for it."""
        desk = await self._desk()
        rooms = self._rooms(desk)
        if not rooms:
            return False
        async with self._database.transaction() as tx:
            claimed = await store.claim_due(tx, rooms, lease_seconds=self._lease)
            leaving = await queries.leaving(tx, [one.id for one in claimed]) if claimed else {}
        for one in sorted(claimed, key=lambda each: each.id):
            line = self._lines[one.account_id]
            line.pace.take()
            line.under_way += 1
            task = asyncio.create_task(self._hand_over(desk, one, leaving.get(one.id)), name="sender:delivery")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return any(line.room > 0 for line in {self._lines[one.account_id] for one in claimed})

    def _rooms(self, desk: Desk) -> dict[AccountId, int]:
        """Return how many deliveries each account that can send may take now; the others are not asked."""
        rooms = {}
        for account_id in _able(desk):
            line = self._lines.get(account_id)
            if line is None:
                capabilities = desk.channels[desk.accounts[account_id].channel].declaration.capabilities
                line = self._lines[account_id] = Line(Pace(capabilities.per_second))
            if line.room > 0:
                rooms[account_id] = line.room
        return rooms

    async def _hand_over(self, desk: Desk, claimed: Claimed, leaving: Leaving | None) -> None:
        try:
            if leaving is None:
                outcome: Outcome = Unreachable("Its message is not there any more.", permanent=False)
            else:
                outcome = await self._send(
                    desk, desk.channels[claimed.channel], desk.accounts[claimed.account_id], claimed, leaving
                )
        finally:
            self._lines[claimed.account_id].under_way -= 1
        metrics.deliveries.labels(claimed.channel, type(outcome).__name__).inc()
        self._results.append((claimed, outcome))
        self._done.set()

    async def _send(
        self, desk: Desk, channel: Channel, account: Account, claimed: Claimed, leaving: Leaving
    ) -> Outcome:
        try:
            outgoing = _outgoing(desk, claimed, leaving)
            # The lease must outlive the call: whoever took longer is no longer the one to report.
            return await asyncio.wait_for(channel.send(outgoing, account), self._lease * 0.8)
        except TimeoutError:
            return Unknown("The channel did not answer in time.")
        except Exception as error:  # an adapter's fault: it may have been sent
            log.exception("sender.adapter_failed", channel=claimed.channel, error=type(error).__name__)
            return Unknown(f"The channel failed while sending ({type(error).__name__}).")

    async def _write(self) -> None:
        while True:
            await self._done.wait()
            self._done.clear()
            await asyncio.sleep(0.002)  # let results of the same moment share a transaction
            try:
                await self._write_results()
            except Unavailable:
                await asyncio.sleep(0.5)
                self._done.set()

    async def _write_results(self) -> None:
        results, self._results = self._results, []
        if not results:
            return
        try:
            desk = await self._desk()
            try:
                await self._settle(desk, results)
                results = []
            except Unavailable:
                raise
            except Exception as error:  # one of them cannot be written: it must not take the others with it
                log.exception("sender.results_refused", size=len(results), error=type(error).__name__)
                while results:
                    await self._settle_alone(desk, results[0])
                    del results[0]
        finally:
            # Whatever stopped us: what was sent and is not written down would be sent again.
            self._results = results + self._results
        self._due.set()

    async def _settle(self, desk: Desk, results: Sequence[tuple[Claimed, Outcome]]) -> None:
        async with self._database.transaction() as tx:
            written = [_result(desk, claimed, outcome) for claimed, outcome in results]
            moved = await store.write_results(tx, written)
            await self._tell(tx, moved)
            await _stop_sending(tx, moved, results)
            await self._note_health(tx, results)

    async def _settle_alone(self, desk: Desk, result: tuple[Claimed, Outcome]) -> None:
        """Write one result; what is odd about it (an id used before, a null character) is left out."""
        try:
            await self._settle(desk, [result])
        except Unavailable:
            raise
        except Exception as error:  # what became of it counts more than how it was said
            log.exception("sender.result_refused", channel=result[0].channel, error=type(error).__name__)
            await self._settle(desk, [(result[0], _in_our_words(result[1]))])

    async def _tell(self, tx: Tx, moved: Sequence[Moved]) -> None:
        await events.append(tx, delivery_news(moved, utc_now()))

    async def _note_health(self, tx: Tx, results: Sequence[tuple[Claimed, Outcome]]) -> None:
        """An account that needs a person turns red: at once when it says so, or when nothing gets through in a row.

        Its first success turns it well again.
        """
        state: dict[AccountId, Health] = {}
        for claimed, outcome in results:
            line = self._lines[claimed.account_id]
            match outcome:
                case NeedsAttention():
                    state[claimed.account_id] = Health(False, outcome.what)
                    line.pace.rest(30.0)
                case TryLater(no_line=True):
                    line.unreached += 1
                    if line.unreached >= _UNREACHED:
                        state[claimed.account_id] = Health(False, outcome.reason)
                case Sent():
                    line.unreached = 0
                    state[claimed.account_id] = Health(True)
                case _:
                    line.unreached = 0
        for account_id in sorted(state):
            if state[account_id].well:
                await channels.report_well(tx, account_id)
            else:
                await channels.report_health(tx, account_id, state[account_id])

    async def _sweep(self) -> None:
        while True:
            with suppress(Unavailable):
                await self.sweep()
            await asyncio.sleep(_SWEEP)

    async def sweep(self) -> None:
        """Settle what nobody reported on: leases and silence that ran out; say why the rest waits."""
        desk = await self._desk()
        idempotent = [name for name, one in desk.channels.items() if one.declaration.capabilities.idempotent]
        longest = max((one.declaration.capabilities.reconcile_seconds for one in desk.channels.values()), default=600)
        able = _able(desk)
        async with self._database.transaction() as tx:
            moved = await store.expire_leases(tx, reconcile_seconds=longest, idempotent=idempotent)
            moved += await store.retry_unknown(tx)
            moved += await store.explain_waiting(
                tx, able=able, known=list(desk.accounts), off=_OFF, gone=_GONE, grace_seconds=_GRACE
            )
            await self._tell(tx, moved)
        if moved:
            self._due.set()


def _able(desk: Desk) -> list[AccountId]:
    """Return the accounts that can send: switched on, and their channel is here."""
    return [id_ for id_, account in desk.accounts.items() if account.enabled and account.channel in desk.channels]


class Pace:
    """How fast one account may send: a bucket that fills with `per_second` and holds one second's worth."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._at = time.monotonic()
        self._resting_until = 0.0

    @property
    def ready(self) -> int:
        """Return how many may go now."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        return 0 if now < self._resting_until else int(self._left)

    def take(self) -> None:
        """Let one go."""
        self._left -= 1.0

    def rest(self, seconds: float) -> None:
        self._resting_until = time.monotonic() + seconds


@dataclass(slots=True, eq=False)
class Line:
    """An account as the sender sees it. `unreached`: attempts in a row in which nobody was at the other end."""

    pace: Pace
    under_way: int = 0
    unreached: int = 0

    @property
    def room(self) -> int:
        return min(_PER_ACCOUNT - self.under_way, self.pace.ready)


def _outgoing(desk: Desk, claimed: Claimed, leaving: Leaving) -> Outgoing:
    content = unpack(leaving.content)
    return Outgoing(
        delivery_id=claimed.id,
        message_id=leaving.message_id,
        conversation_id=leaving.conversation_id,
        act=claimed.act,
        to=Handle(leaving.kind, leaving.value, leaving.scope, leaving.name, leaving.locale),
        content=content,
        sender_name=leaving.author_name or leaving.brand_name,
        brand_name=leaving.brand_name,
        locale=leaving.locale or leaving.brand_locale,
        sent_at=leaving.at,
        answers=tuple(leaving.answers),
        token=reply_token(desk.token_key, leaving.conversation_id, leaving.value),
        target=leaving.target,
        unsubscribe_url=_unsubscribe_url(desk, claimed, leaving),
        emoji=claimed.emoji,
        repeated=claimed.repeated,
    )


def _unsubscribe_url(desk: Desk, claimed: Claimed, leaving: Leaving) -> str | None:
    if leaving.purpose != "marketing":
        return None
    return desk.unsubscribe.link(Unsubscribe(leaving.identifier_id, claimed.channel))


def _result(desk: Desk, claimed: Claimed, outcome: Outcome) -> Result:
    """Say what an outcome makes of a delivery."""
    channel = desk.channels.get(claimed.channel)
    match outcome:
        case Sent():
            return Result(claimed.id, outcome.status, None, outcome.external_id or None, None, False)
        case TryLater():
            return _again(claimed, outcome.after, outcome.reason)
        case NeedsAttention():
            return _again(claimed, 30.0, outcome.what)
        case Unreachable() | WindowClosed() | NeedsConsent():
            return Result(claimed.id, "failed", outcome.reason, None, None, False)
        case Unknown():
            if channel is not None and channel.declaration.capabilities.idempotent:
                return _again(claimed, 1.0, outcome.reason)
            wait = 600 if channel is None else channel.declaration.capabilities.reconcile_seconds
            return Result(claimed.id, "unknown", outcome.reason, None, float(wait), False)
        case _:
            assert_never(outcome)


def _in_our_words(outcome: Outcome) -> Outcome:
    """Return the same outcome without the words and ids of the channel."""
    words = "The channel gave a reason that cannot be written down."
    match outcome:
        case Sent():
            return Sent("", outcome.status)
        case NeedsAttention():
            return NeedsAttention(words)
        case _:
            return replace(outcome, reason=words)


def _again(claimed: Claimed, after: float, reason: str) -> Result:
    pause = next_pause(claimed.attempts, after)
    if pause is None:
        given_up = f"Given up after {claimed.attempts} attempts: {reason}"
        return Result(claimed.id, "failed", given_up, None, None, False)
    return Result(claimed.id, "queued", reason, None, pause, False)


async def _stop_sending(tx: Tx, moved: Sequence[Moved], results: Sequence[tuple[Claimed, Outcome]]) -> None:
    """An address that does not exist is not written to again."""
    final = {
        claimed.id: outcome.reason
        for claimed, outcome in results
        if isinstance(outcome, Unreachable) and outcome.permanent and claimed.act == "message"
    }
    for one in moved:
        if one.id not in final:
            continue
        reason, now = final[one.id], utc_now()
        if await message_store.suppress(tx, one.identifier_id, one.channel, "all", reason, at=now):
            fact = AddressSuppressed("all", reason)
            draft = EventDraft(fact, now, BY_SYSTEM, one.identifier_id, one.conversation_id, one.brand_id)
            await events.append(tx, [draft])
