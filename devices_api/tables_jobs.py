"""Tables of jobs. Times are ns since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from devices_api.tables import metadata

job = Table(
    "job",
    metadata,
    Column("id", String(32), primary_key=True),  # in the order in which they were made
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("params", JSON, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("done", BigInteger, nullable=False),  # rows that have been handled
    Column("total", BigInteger, nullable=True),  # null: nobody has counted yet
    Column("applied", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=True),
    Column("finished", BigInteger, nullable=True),
    Column("who", String(300), nullable=False),
    Column("key", String(64), nullable=False),  # the API key of who asked, empty for none
    Column("groups", JSON(none_as_null=True), nullable=True),  # that who asked is limited to; null: to none
    Column("request", String(256), nullable=False),
    Column("claimed_by", String(32), nullable=False),  # by whom it is run; empty: by nobody
    Column("claimed_until", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),  # to run it, since it has come further
    Column("position", JSON, nullable=False),  # from where it goes on, as its kind has it
    Column("error", String(1024), nullable=False),
    Index("job_state", "state", "claimed_until"),
    Index("job_finished", "finished"),
)

# Rows that were rejected, up to a bound; all of them are counted in `job.rejected`.
job_report = Table(
    "job_report",
    metadata,
    Column("job", String(32), ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of the row, from 1
    Column("subject", String(256), nullable=False),  # the device that it is about, where that can be read
    Column("problem", String(1024), nullable=False),
)

# What was sent for a job, and what it has made, in pieces.
job_file = Table(
    "job_file",
    metadata,
    Column("job", String(32), ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(16), primary_key=True),  # upload or result
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
