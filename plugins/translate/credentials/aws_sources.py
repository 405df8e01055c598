"""AWS's sources of keys, by botocore; they wait for the network, so they run in a thread."""

from __future__ import annotations

import logging
import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session
from pydantic import SecretStr

from plugins.translate.credentials.aws import AwsOptions
from plugins.translate.credentials.contract import CredentialUnavailable, Signed, Unsigned

_ADDED = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})
_STS = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
# Files may be written anew by whatever rotates the keys in them.
_REREAD_S = 600.0
_NEVER_CHANGE = frozenset({"explicit", "env"})
_FILE = "file:"


class SigV4Signer:
    """Signs with one set of keys.

    Args:
        keys: the keys.
        region: AWS region.
        service: name of the service.
    """

    def __init__(self, keys: ReadOnlyCredentials, *, region: str, service: str) -> None:
        self._auth = SigV4Auth(keys, service, region)
        self._region = region

    def sign(self, request: Unsigned) -> Signed:
        """Sign the host, the type, AWS's own headers and the body.

        Other headers are left out: a proxy on the way may change them.
        """
        covered = {
            name: value
            for name, value in request.headers.items()
            if name == "content-type" or name.startswith("x-amz-")
        }
        made = AWSRequest(
            method=request.method,
            url=f"https://{request.host}{request.path}",
            headers={"host": request.host, **covered},
            data=request.body,
        )
        self._auth.add_auth(made)
        headers = ((name.lower(), value) for name, value in made.headers.items())
        return Signed({name: value for name, value in headers if name in _ADDED})

    def __repr__(self) -> str:
        return f"SigV4Signer({self._region})"


def find_signer(options: AwsOptions, *, region: str, service: str) -> tuple[SigV4Signer, float]:
    """Return a signer with keys from the options' source, and when they expire (Unix seconds).

    Raises:
        CredentialUnavailable: the source has no keys, or cannot be reached.
    """
    # Its debug log quotes what the sources answer: keys.
    logging.getLogger("botocore").setLevel(logging.INFO)
    try:
        session = Session(profile=options.profile or None)
        region = region or session.get_config_variable("region") or ""
        if not region:
            raise CredentialUnavailable("no region: set the backend's `region` or AWS_REGION")
        keys, expires_at = _keys(session, options, region)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise CredentialUnavailable(f"AWS STS answered {code}") from None
    except (BotoCoreError, OSError) as error:
        # Their messages may quote a file or an answer.
        raise CredentialUnavailable(f"the source failed with {type(error).__name__}") from None
    return SigV4Signer(keys, region=region, service=service), expires_at


def _keys(session: Session, options: AwsOptions, region: str) -> tuple[ReadOnlyCredentials, float]:
    if options.web_identity_token_file:
        token = Path(options.web_identity_token_file).read_text(encoding="utf-8").strip()
        unsigned = _STS.merge(Config(signature_version=UNSIGNED))
        with closing(_sts(session, options, region, config=unsigned)) as sts:
            role = _role(options)
            answer = sts.assume_role_with_web_identity(WebIdentityToken=token, **role)
        return _assumed(answer)
    found, expires_at = _found(session, options)
    if not options.role_arn:
        return found, expires_at
    given = {
        "aws_access_key_id": found.access_key,
        "aws_secret_access_key": found.secret_key,
        "aws_session_token": found.token,
    }
    with closing(_sts(session, options, region, config=_STS, **given)) as sts:
        external = {"ExternalId": options.external_id} if options.external_id else {}
        return _assumed(sts.assume_role(**_role(options), **external))


def _found(session: Session, options: AwsOptions) -> tuple[ReadOnlyCredentials, float]:
    """Return static keys, or those that botocore's chain finds."""
    if options.access_key_id:
        secret, token = _text(options.secret_access_key), _text(options.session_token)
        return ReadOnlyCredentials(options.access_key_id, secret, token or None), math.inf
    credentials = session.get_credentials()
    if credentials is None:
        raise CredentialUnavailable("no source of AWS's default chain has any")
    keys = credentials.get_frozen_credentials()
    return keys, _expiry(credentials)


def _expiry(credentials: Credentials) -> float:
    expiry = getattr(credentials, "_expiry_time", None)
    if expiry is not None:
        return float(expiry.timestamp())
    return math.inf if credentials.method in _NEVER_CHANGE else time.time() + _REREAD_S


def _sts(session: Session, options: AwsOptions, region: str, **given: Any) -> Any:
    return session.create_client(
        "sts", region_name=region, endpoint_url=options.sts_url or None, **given
    )


def _role(options: AwsOptions) -> dict[str, str]:
    return {"RoleArn": options.role_arn, "RoleSessionName": options.role_session_name}


def _assumed(answer: Any) -> tuple[ReadOnlyCredentials, float]:
    given = answer["Credentials"]
    keys = ReadOnlyCredentials(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )
    return keys, float(given["Expiration"].timestamp())


def _text(secret: SecretStr | None) -> str:
    value = secret.get_secret_value() if secret else ""
    if value.startswith(_FILE):
        return Path(value.removeprefix(_FILE)).read_text(encoding="utf-8").strip()
    return value
