"""X.509 certificates of devices, and of the authorities that sign them. Nothing is fetched: no CRL, no OCSP."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from contracts.times import SECOND

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Parsed

MAX_PEM = 16_384
"""Longest PEM text that is read, in characters."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Certificate:
    """What counts of a certificate. Times in ns since 1970 UTC, `fingerprint` SHA-256 in hex.

    `authority`: it may sign others. `common_name` is empty where it has none, or more than one.
    """

    pem: str
    fingerprint: str
    common_name: str
    not_before: int
    expires: int
    authority: bool


def read(pem: str) -> Certificate:
    """Read one certificate. Raises ValueError with a sentence for whoever sent it."""
    parsed = _parse(pem)
    from cryptography import x509  # noqa: PLC0415 - see `_parse`
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - as above

    try:
        names = parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        authority = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    except ValueError as error:
        raise ValueError("the certificate cannot be read") from error
    name = names[0].value if len(names) == 1 else ""
    return Certificate(
        parsed.public_bytes(Encoding.PEM).decode(),
        parsed.fingerprint(hashes.SHA256()).hex(),
        name if isinstance(name, str) else "",
        _ns(parsed.not_valid_before_utc),
        _ns(parsed.not_valid_after_utc),
        authority,
    )


def signed(pem: str, authority: str) -> bool:
    """Whether the certificate `pem` was signed by the one `authority`, with no other between them."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see `_parse`

    try:
        _parse(pem).verify_directly_issued_by(_parse(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _parse(pem: str) -> "Parsed":
    from cryptography import x509  # noqa: PLC0415 - only who has certificates needs it, and it takes its time

    if len(pem) > MAX_PEM:
        raise ValueError(f"a certificate's PEM has at most {MAX_PEM} characters")
    try:
        return x509.load_pem_x509_certificate(pem.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise ValueError("this is no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----") from error


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * SECOND
