"""Tables of what devices prove who they are with, and how they get it. Times are ns since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from devices_api.tables import metadata

# A certificate authority whose certificates speak for the devices that they name.
authority = Table(
    "authority",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("certificate", Text, nullable=False),  # PEM
    Column("fingerprint", String(64), nullable=False, unique=True),  # SHA-256, in hex
    Column("not_before", BigInteger, nullable=False),  # of the certificate
    Column("expires", BigInteger, nullable=False),  # as above
    Column("auto_register", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("gives", JSON, nullable=False),  # what devices that it registers get: profile, groups, tags
    Column("created", BigInteger, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("device", String(256), ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(256), nullable=False),
    # password: argon2's encoding; token: SHA-256 in hex; certificate: its SHA-256 in hex; authority: empty.
    Column("hash", String(256), nullable=False),
    Column("authority", String(32), ForeignKey("authority.id"), nullable=True, index=True),
    Column("claim", String(32), nullable=True),  # with which the device asked for it; it may be gone
    Column("not_before", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("revoked", BigInteger, nullable=True),
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger, nullable=True),
    Index("credential_device", "device", "created"),
)

# A service that speaks to the broker, and may do there what it wants.
broker_account = Table(
    "broker_account",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("hash", String(64), nullable=False),  # SHA-256 of its token, in hex
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger, nullable=True),
)

# A key with which whoever has it becomes a device, `most` times.
claim = Table(
    "claim",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the key's text, in hex
    Column("kind", String(16), nullable=False),  # of the credentials that it gives
    Column("pattern", String(256), nullable=False),  # that the ids have to match; * is any text
    Column("gives", JSON, nullable=False),  # profile, groups, tags
    Column("most", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)
