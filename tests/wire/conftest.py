from tests.support.blocking import never_blocks

__all__ = ["never_blocks"]
