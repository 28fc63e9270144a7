"""What we compare with: `python -m benchmarks.baseline orm|empty PORT [DSN]`.

`orm` does the work of a message as most would write it first: FastAPI, pydantic, SQLAlchemy's ORM, one
transaction a request. `empty` is the same server with nothing behind it.
"""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import uvicorn
import uvloop
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy import ForeignKey, UniqueConstraint, create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from starlette.types import Receive, Scope, Send

from onethread.platform import signing

SECRET: Final = "whsec_" + "YmVuY2htYXJrcyBhcmUgbm90IHNlY3JldCBhdCBhbGwhISE="


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    visitor: Mapped[UUID] = mapped_column(unique=True)


class Conversation(Base):
    __tablename__ = "conversation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    status: Mapped[str] = mapped_column(default="open")
    messages: Mapped[int] = mapped_column(default=0)
    last_text: Mapped[str] = mapped_column(default="")
    last_message_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Message(Base):
    __tablename__ = "message"
    __table_args__ = (UniqueConstraint("external_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversation.id"), index=True)
    external_id: Mapped[str]
    text: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Body(BaseModel):
    text: str


class Frame(BaseModel):
    type: str
    id: str
    body: Body


class Post(BaseModel):
    visitor: UUID
    frame: Frame


async def raw(request: Request) -> bytes:
    return await request.body()


def with_orm(dsn: str) -> FastAPI:
    engine = create_engine(dsn, pool_size=40, max_overflow=0)
    sessions = sessionmaker(engine, expire_on_commit=False)
    Base.metadata.create_all(engine)
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/hooks/{_account}")
    def hook(_account: UUID, post: Post, request: Request, body: Annotated[bytes, Depends(raw)]) -> dict[str, bool]:
        headers = request.headers
        fault = signing.fault(
            [SECRET],
            id_=headers["webhook-id"],
            stamp=headers["webhook-timestamp"],
            signatures=headers["webhook-signature"],
            body=body,
            now=datetime.now(UTC),
        )
        if fault:
            raise HTTPException(401, fault)
        with sessions() as session:
            try:
                _write(session, post)
                session.commit()
            except IntegrityError:
                session.rollback()
        return {"ok": True}

    return app


def _write(session: Session, post: Post) -> None:
    customer = session.scalar(select(Customer).where(Customer.visitor == post.visitor))
    if customer is None:
        customer = Customer(visitor=post.visitor)
        session.add(customer)
        session.flush()
    conversation = session.scalar(
        select(Conversation).where(Conversation.customer_id == customer.id, Conversation.status == "open")
    )
    if conversation is None:
        conversation = Conversation(customer_id=customer.id, messages=0)
        session.add(conversation)
        session.flush()
    session.add(
        Message(
            conversation_id=conversation.id,
            external_id=f"{post.visitor}:{post.frame.id}",
            text=post.frame.body.text,
        )
    )
    conversation.messages += 1
    conversation.last_text = post.frame.body.text
    conversation.last_message_at = datetime.now(UTC).replace(tzinfo=None)


async def empty(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and say yes."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


def main(kind: str, port: str, dsn: str = "") -> None:
    app: Any = empty if kind == "empty" else with_orm(dsn)
    config = uvicorn.Config(
        app,
        port=int(port),
        http="httptools",
        loop="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=2048,
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
