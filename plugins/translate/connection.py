"""One backend's connection: calls into its requests, signed, and its answers back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Mapping
from dataclasses import replace

from pipeline.api import Backend, Call, HeaderEdits, InvalidCall, Request, find_model
from pipeline.api.headers import NO_EDITS
from pipeline.api.provider import Attempt, Translation
from plugins.translate.call_types import check_types
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.client_headers import asked_betas, beta_features, of_clients_api
from plugins.translate.credentials.contract import (
    Credential,
    CredentialUnavailable,
    Signed,
    Unsigned,
)
from plugins.translate.credentials.keys import KeyCredential, brought_key
from plugins.translate.encoding import dumps
from plugins.translate.formats import Client, Outgoing, ProviderSpec, Upstream
from plugins.translate.translation import AnswerTranslation, NativeTranslation

# Where clients put credentials: meant for us, so that no provider gets another's key.
_CLIENT_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}
    | {"x-amz-security-token", "x-amz-date", "x-amz-content-sha256"}
)
# An answer that is translated must be read: it comes plain, or as what the host can undo.
_READABLE = {"accept-encoding": "gzip, identity"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
_CHATS = frozenset({"chat", "count_tokens"})


class ProviderConnection:
    """A backend of one provider; see `pipeline.api.provider.Connection`.

    Args:
        backend: the backend.
        spec: its provider.
        clients: client adapters by dialect.
    """

    def __init__(self, backend: Backend, spec: ProviderSpec, clients: Mapping[str, Client]) -> None:
        self._backend = backend
        self._spec = spec
        self._clients = clients
        self._upstream: Upstream = spec.upstream(backend)
        self._credential: Credential = spec.credential(backend)
        self._base = backend.url.path.rstrip("/")
        self._host = _authority(backend)

    async def start(self) -> None:
        """Get the first token, and read the catalog: no call is to wait for its file."""
        await asyncio.to_thread(find_model, "")
        await self._credential.start()

    async def close(self) -> None:
        """Stop refreshing it."""
        await self._credential.close()

    @property
    def passes_credentials(self) -> bool:
        """Whether only clients bring a key."""
        return _is_keyless(self._credential)

    def passes(self, dialect: str | None) -> bool:
        """Say whether calls of a dialect, and their answers, go on as they are."""
        if self._credential.covers_body or self._backend.patch:
            return False
        if dialect is None:
            return self._spec.passes_other
        native = self._upstream.native.get(dialect)
        if native is None or native.wrap is not None or self._backend.models:
            return False
        # What others said before is in the body: it must be seen where there may be any.
        return native.clean is None or self._backend.beside <= {self._backend.provider}

    def keeps_answers(self, dialect: str | None) -> bool:
        """Say whether answers to calls of a dialect come in the client's own format."""
        if dialect is None:
            return True
        native = self._upstream.native.get(dialect)
        return native is not None and native.wrap is None

    def prepare(self, request: Request, call: Call | None) -> Attempt | Awaitable[Attempt]:
        """Turn the client's request into what the backend is sent.

        Raises:
            InvalidCall: the backend cannot serve it.
        """
        if call is None or call.dialect.name in self._upstream.native:
            return self._native(request, call)
        client = self._clients.get(call.dialect.name)
        if client is None or client.operation not in self._upstream.operations:
            raise self._refused(call.dialect.name)
        loss = Loss()
        document = client.canonical(dict(call.document), loss)
        if client.operation in _CHATS and (betas := asked_betas(request.headers)):
            betas = beta_features(betas, document.get("anthropic_beta"))
            document = {**document, "anthropic_beta": betas}
        check_types(document)
        canonical = CanonicalCall(client.operation, document, self._model(call.model), call.stream)
        outgoing = self._upstream.request(canonical, loss)
        self._check(loss)
        translation = AnswerTranslation(client, self._upstream, call, canonical, outgoing.tokens_in)
        without = outgoing.without | of_clients_api(request.headers)
        return self._sent(request, replace(outgoing, without=without), loss.names, translation)

    def _native(self, request: Request, call: Call | None) -> Attempt | Awaitable[Attempt]:
        headers = self._spec.native_headers(self._backend.options, request.headers)
        path = self._client_path(request)
        if call is None:
            if not self._spec.passes_other:
                raise self._refused(request.path)
            if self._credential.covers_body and _has_body(request):
                raise self._refused(f"{request.path}, which would have to be signed unseen,")
            return self._signed(request, path, headers, b"", Attempt(NO_EDITS))
        native = self._upstream.native[call.dialect.name]
        model = self._model(call.model)
        renamed = call if model == call.model else call.replace(model=model)
        loss = Loss()
        if native.clean is not None and (cleaned := native.clean(renamed.document, loss)):
            renamed = Call(call.dialect, cleaned, None)
        outgoing = native.wrap(renamed, model, request.headers, loss) if native.wrap else None
        self._check(loss)
        if outgoing is not None:
            translation = NativeTranslation(self._upstream, call)
            return self._sent(request, outgoing, loss.names, translation)
        body: bytes | None = None
        if self._backend.patch:
            body = dumps(self._backend.patch(dict(renamed.document)))
        elif not renamed.is_untouched:
            body = renamed.encode()
        made = Attempt(NO_EDITS, body, loss.names)
        # A body that goes on as it came is signed as it came.
        signed = body if body is not None else renamed.encode()
        return self._signed(request, path, headers, signed, made)

    def _sent(
        self,
        request: Request,
        outgoing: Outgoing,
        dropped: tuple[str, ...],
        translation: Translation,
    ) -> Attempt | Awaitable[Attempt]:
        document: Json = outgoing.document
        if self._backend.patch:
            document = self._backend.patch(document)
        base = self._base.removesuffix("/v1") if outgoing.beside_version else self._base
        path = base + outgoing.path
        headers = {"content-type": "application/json", **_READABLE, **outgoing.headers}
        body = dumps(document)
        made = Attempt(HeaderEdits(remove=outgoing.without), body, dropped, translation)
        return self._signed(request, path, headers, body, made)

    def _signed(
        self,
        request: Request,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        made: Attempt,
    ) -> Attempt | Awaitable[Attempt]:
        """Sign a request, and add to an attempt what it is sent with.

        Args:
            request: the client's.
            path: where it goes.
            headers: what it is sent beside the credential.
            body: the bytes that the backend will see.
            made: the attempt, whose `headers` say what else must go.
        """
        backend = self._backend
        # A client's own goes on where the config names a header for it, or there is no other.
        brings = backend.key_header or self.passes_credentials
        client_key = brought_key(request.headers, backend.key_header) if brings else ""
        unsigned = Unsigned(request.method, self._host, path, headers, body, client_key)

        def attempt(signed: Signed) -> Attempt:
            where = (
                path if not signed.query else path + ("&" if "?" in path else "?") + signed.query
            )
            setting = {":path": where, **headers, **signed.headers}
            removed = (_CLIENT_CREDENTIALS | self._credential.names | {backend.key_header}) - {""}
            removed |= made.headers.remove
            edits = HeaderEdits(set=setting, remove=removed - setting.keys())
            return replace(made, headers=edits.then(backend.headers))

        try:
            signed = self._credential.sign(unsigned)
        except CredentialUnavailable as error:
            raise self._unavailable(error) from None
        if not inspect.isawaitable(signed):
            return attempt(signed)

        async def awaited(waiting: Awaitable[Signed]) -> Attempt:
            try:
                return attempt(await waiting)
            except CredentialUnavailable as error:
                raise self._unavailable(error) from None

        return awaited(signed)

    def _client_path(self, request: Request) -> str:
        """Put the client's path below the base URL's, `/v1` counted once.

        `/v1/chat/completions` at `https://host/openai/v1` is `/openai/v1/chat/completions`; what a
        client puts before `/v1` (`/anthropic/v1/messages`) names the API, not a folder upstream.
        """
        asked = request.path
        if asked.endswith("/v2/rerank"):  # Cohere's version; who copies its API has its own
            asked = "/v1/rerank"
        before, version, rest = asked.partition("/v1/")
        path = self._base + ("/" + rest if version else before)
        return f"{path}?{request.query}" if request.query else path

    def _check(self, loss: Loss) -> None:
        """Refuse for a strict backend what would be lost."""
        if loss.names and self._backend.strict:
            raise InvalidCall(
                f"backend {self._backend.name!r} is strict and cannot carry: "
                + ", ".join(loss.names),
                code="lossy_translation",
            )

    def _model(self, asked: str) -> str:
        return self._backend.models.get(asked, asked)

    def _refused(self, what: str) -> InvalidCall:
        message = f"{what} cannot be served by provider {self._backend.provider!r}"
        return InvalidCall(message, code="unsupported_by_backend")

    def _unavailable(self, error: CredentialUnavailable) -> InvalidCall:
        message = f"backend {self._backend.name!r} has no credential now: {error}"
        return InvalidCall(message, code="credential_unavailable", status=503)


def _has_body(request: Request) -> bool:
    """Say whether a request that is no call announces a body."""
    length = request.headers.get("content-length")
    return length not in ("", "0") or "transfer-encoding" in request.headers


def _is_keyless(credential: Credential) -> bool:
    return isinstance(credential, KeyCredential) and credential.is_empty


def _authority(backend: Backend) -> str:
    if backend.host:
        return backend.host
    url = backend.url
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if url.port is None or url.port == _DEFAULT_PORTS.get(url.scheme):
        return host
    return f"{host}:{url.port}"
