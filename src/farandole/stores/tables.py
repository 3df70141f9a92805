"""The framework's tables on PostgreSQL as SQLAlchemy metadata, for those who manage their schemas with Alembic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData

__all__ = ["metadata"]


def metadata(schema: str | None = None) -> MetaData:
    """The tables of this version.

    Parameters
    ----------
    schema:
        Where they are; None: where the connection's `search_path` says.
    """
    from sqlalchemy import (
        ARRAY,
        BigInteger,
        Boolean,
        Column,
        Identity,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        Sequence,
        SmallInteger,
        Table,
        Text,
        text,
    )  # fmt: skip

    tables = MetaData(schema=schema)
    plain = Text(collation="C")
    inbox = Table(
        "farandole_inbox",
        tables,
        Column("reaction", plain, primary_key=True),
        Column("id", plain, primary_key=True),
        Column("state", Text, nullable=False),
        Column("handled_at", BigInteger, nullable=False),
        Column(
            "seq",
            BigInteger,
            Sequence("farandole_inbox_seq"),
            nullable=False,
            server_default=text("nextval('farandole_inbox_seq')"),
        ),
        Column("attempts", Integer),
        Column("due", BigInteger),
        Column("blocks", Boolean),
        Column("key", plain),
        *(Column(name, kind) for name, kind in (("topic", Text), ("body", LargeBinary), ("reason", Text), ("place", Text))),
        *(Column(name, kind) for name, kind in (("error", Text), ("token", Text), ("receipt", LargeBinary))),
    )
    of = inbox.c
    Index("farandole_inbox_open", of.state, of.reaction, postgresql_where=of.key.is_not(None))
    Index("farandole_inbox_blocks", of.reaction, of.key, of.seq, postgresql_where=of.blocks)
    Index("farandole_inbox_due", of.reaction, of.due, postgresql_where=of.due.is_not(None))
    Index("farandole_inbox_settled", of.handled_at, postgresql_where=of.state.in_(["done", "skipped", "exhausted"]))
    outbox = Table(
        "farandole_outbox",
        tables,
        Column("seq", BigInteger, Identity(), primary_key=True),
        Column("bucket", SmallInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("aggregatetype", "aggregateid", "id", "type")),
        Column("payload", LargeBinary, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        postgresql_with={"autovacuum_vacuum_scale_factor": "0.0", "autovacuum_vacuum_threshold": "5000"},
    )
    Index("farandole_outbox_bucket", outbox.c.bucket, outbox.c.seq)
    Table(
        "farandole_outbox_leases",
        tables,
        Column("token", Text, primary_key=True),
        Column("buckets", ARRAY(SmallInteger), nullable=False),
        Column("expires", BigInteger, nullable=False),
    )
    edits = Table(
        "farandole_edits",
        tables,
        Column("number", BigInteger, Identity(), primary_key=True),
        *(Column(name, plain, nullable=False) for name in ("reaction", "id")),
        Column("at", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("who", "why")),
        Column("body", LargeBinary, nullable=False),
    )
    Index("farandole_edits_id", edits.c.id)
    Index("farandole_edits_at", edits.c.at)
    instances = Table(
        "farandole_instances",
        tables,
        *(Column(name, plain, primary_key=True) for name in ("reaction", "key")),
        Column("state", Text, nullable=False),
        *(Column(name, Text) for name in ("timer", "runner")),
        Column("have", Text, nullable=False),
        Column("expected", BigInteger),
        Column("since", BigInteger, nullable=False),
        Column("number", BigInteger),
        Column("data", LargeBinary),
        Column("revision", BigInteger, nullable=False, server_default="0"),
    )
    over = instances.c.state.not_in(["open", "full", "running", "undoing"])
    Index("farandole_instances_over", instances.c.since, postgresql_where=over)
    Table(
        "farandole_parts",
        tables,
        *(Column(name, plain, primary_key=True) for name in ("reaction", "key", "id")),
        Column("number", BigInteger, Identity(), nullable=False),
        Column("body", LargeBinary, nullable=False),
    )
    tasks = Table(
        "farandole_tasks",
        tables,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("opened_at", BigInteger, nullable=False),
        *(Column(name, plain, nullable=False) for name in ("reaction", "event", "key", "correlation")),
        *(Column(name, Text, nullable=False) for name in ("kind", "text", "reason")),
        Column("done_at", BigInteger),
        *(Column(name, Text) for name in ("who", "why")),
    )
    Index("farandole_tasks_open", tasks.c.reaction, tasks.c.event, unique=True, postgresql_where=tasks.c.done_at.is_(None))
    Index("farandole_tasks_done", tasks.c.done_at, postgresql_where=tasks.c.done_at.is_not(None))
    Table("farandole_schema", tables, Column("version", Integer, nullable=False))
    return tables
