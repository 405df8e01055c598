"""A model on other nodes: what it is called, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.inference.contract import Head
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.metadata import Described
from pipeline.inference.remote.outputs import Output
from pipeline.inference.remote.replies import CODES, TEXT, TOKENS, UNREAD


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model as its nodes know it.

    Args:
        name: what they call it.
        version: which one; theirs to choose if empty.
        input: name of the tensor that takes texts.
        outputs: what its outputs are; None for nodes of ours, which tell.
    """

    name: str
    version: str = ""
    input: str = TEXT
    outputs: tuple[Output, ...] | None = None

    @property
    def described(self) -> Described | None:
        """What is known of it without asking; nothing of one of ours."""
        if self.outputs is None:
            return None
        heads = {output.head.name: output.head for output in self.outputs}
        return Described(f"{self.name}:{self.version}", heads)

    def outputs_of(self, heads: Iterable[Head]) -> list[Output]:
        """Return where heads stand in its replies."""
        if self.outputs is None:
            return [Output(head, head.name) for head in heads]
        wanted = {head.name for head in heads}
        return [output for output in self.outputs if output.head.name in wanted]

    def request(
        self,
        texts: Sequence[bytes],
        outputs: Sequence[Output],
        identity: str,
        text_shape: Sequence[int] = (),
    ) -> pb.ModelInferRequest:
        """Return the request for one call.

        Args:
            texts: in UTF-8.
            outputs: what to ask for.
            identity: of a node of ours, which answers for no other model.
            text_shape: of the input, as the node tells it; empty where it does not.
        """
        is_ours = self.outputs is None
        request = pb.ModelInferRequest(
            model_name=self.name, model_version=identity if is_ours else self.version
        )
        # Further dimensions are what a server has for the elements of a batch.
        shape = [len(texts), *(1 for _ in text_shape[1:])]
        text = request.inputs.add(name=self.input, datatype="BYTES", shape=shape)
        text.contents.bytes_contents.extend(texts)
        names = dict.fromkeys(output.tensor for output in outputs)
        for name in (*names, TOKENS, UNREAD, CODES) if is_ours else names:
            request.outputs.add(name=name)
        return request
