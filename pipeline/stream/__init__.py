"""The pure state machine of one ext_proc stream: no I/O, no clock, no asyncio."""
