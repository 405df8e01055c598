"""AWS's sources of keys, simulated: STS, the containers' endpoint, and EC2's metadata service."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from aiohttp import web

_STS = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result>
<AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId><Arn>{1}</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>{2}</AccessKeyId><SecretAccessKey>{3}</SecretAccessKey>
<SessionToken>{4}</SessionToken><Expiration>{5}</Expiration></Credentials>
</{0}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{0}Response>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
<Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no: SECRET-QUOTED</Message></Error>
<RequestId>r</RequestId></ErrorResponse>"""


@dataclass
class KeySources:
    """What the sources give, and what they were asked.

    Args:
        life_s: how long keys live.
        is_down: whether everything answers 500.
    """

    life_s: float = 3600.0
    is_down: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    def keys(self, source: str) -> tuple[str, str, str, str]:
        """Return key id, secret, token and expiry; each time others."""
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.life_s)
        count = len(self.asked)
        return f"AKID{source}{count}", "s3cret", f"token-{count}", f"{ends:%Y-%m-%dT%H:%M:%SZ}"

    async def sts(self, request: web.Request) -> web.Response:
        """Answer AssumeRole and AssumeRoleWithWebIdentity."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append({**form, "authorization": request.headers.get("authorization", "")})
        if self.is_down or form.get("WebIdentityToken") == "bad-token":
            return web.Response(text=_REFUSED, status=400, content_type="text/xml")
        text = _STS.format(form["Action"], form["RoleArn"], *self.keys("STS"))
        return web.Response(text=text, content_type="text/xml")

    async def container(self, request: web.Request) -> web.Response:
        """Answer as ECS's agent and EKS's Pod Identity do."""
        self.asked.append({"authorization": request.headers.get("authorization", "")})
        if self.is_down:
            return web.Response(status=500, text="SECRET-QUOTED")
        return self._document("BOX")

    async def metadata_token(self, _: web.Request) -> web.Response:
        """Answer the first request of IMDSv2."""
        return web.Response(text="imds-token")

    async def metadata_role(self, _: web.Request) -> web.Response:
        """Name the instance's role."""
        return web.Response(text="instance-role")

    async def metadata_keys(self, request: web.Request) -> web.Response:
        """Give the role's keys."""
        assert request.headers["x-aws-ec2-metadata-token"] == "imds-token"
        self.asked.append({})
        return self._document("EC2")

    def app(self) -> web.Application:
        """Return the application."""
        made = web.Application()
        role = "/latest/meta-data/iam/security-credentials/"
        made.router.add_post("/", self.sts)
        made.router.add_get("/container", self.container)
        made.router.add_put("/latest/api/token", self.metadata_token)
        made.router.add_get(role, self.metadata_role)
        made.router.add_get(f"{role}instance-role", self.metadata_keys)
        return made

    def _document(self, source: str) -> web.Response:
        key_id, secret, token, expiry = self.keys(source)
        return web.json_response(
            {
                "Code": "Success",
                "AccessKeyId": key_id,
                "SecretAccessKey": secret,
                "Token": token,
                "Expiration": expiry,
            }
        )
