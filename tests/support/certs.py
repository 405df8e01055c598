"""Certificates for tests, made by the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess

OPENSSL = shutil.which("openssl")


def openssl(*arguments, cwd):
    subprocess.run([OPENSSL, *arguments], cwd=cwd, check=True, capture_output=True)


def issue(directory, name, authority, san="IP:127.0.0.1,DNS:localhost"):
    """Make a key and a certificate that an authority signed."""
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
        cwd=directory,
    )
    (directory / "san").write_text(f"subjectAltName={san}")
    openssl(
        *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt"),
        *("-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "1", "-extfile", "san"),
        *("-out", f"{name}.crt"),
        cwd=directory,
    )


def found(directory, name):
    """Make an authority: its key, and its certificate."""
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "1", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"),
        cwd=directory,
    )
