"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path

from tests.conftest import need


def openssl(*arguments: str) -> None:
    subprocess.run([need("openssl", "openssl"), *arguments], check=True, capture_output=True)


def certify(directory: Path, authority: str, name: str, *, alternative: str = "") -> None:
    """Make a key and a certificate for `name`, signed by `authority`, or by itself where that is the same."""
    key, request, certificate = (directory / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key))
    if authority == name:
        openssl(*new, "-x509", "-days", "2", "-subj", f"/CN={name}", "-out", str(certificate))
        return
    openssl(*new, "-subj", f"/CN={name}", "-out", str(request))
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
    signer = ("-CA", str(directory / f"{authority}.pem"), "-CAkey", str(directory / f"{authority}.key"))
    openssl(
        *("x509", "-req", "-in", str(request), *signer, "-CAcreateserial", "-days", "2"),
        *("-extfile", str(extensions), "-out", str(certificate)),
    )
