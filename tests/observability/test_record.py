"""The recorder keeps a share, within its size, and never stands in the way."""

from __future__ import annotations

import threading

from pipeline.observability.record import Recorder


def recorder_to(file, share=1.0, max_bytes=100, chance=lambda: 0.5):
    return Recorder(file, max_bytes=max_bytes, share=share, chance=chance)


def test_lines_arrive_in_order_and_only_their_owner_may_read_them(tmp_path):
    file = tmp_path / "made" / "a.jsonl"
    recorder = recorder_to(file)
    for line in (b"one\n", b"two\n"):
        recorder.offer(lambda line=line: line)
    recorder.close()

    assert file.read_bytes() == b"one\ntwo\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_both_files_together_stay_within_the_size(tmp_path):
    file = tmp_path / "a.jsonl"
    recorder = recorder_to(file)
    for number in range(12):
        threading.Event().wait(0.005)
        recorder.offer(lambda number=number: b"%02d%s\n" % (number, b"x" * 17))
    recorder.close()

    kept = (tmp_path / "a.jsonl.1").read_bytes() + file.read_bytes()
    assert len(kept) <= 100
    assert kept.splitlines()[-1].startswith(b"11")


def test_a_file_that_is_there_already_counts(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"x" * 45)
    recorder = recorder_to(file)
    recorder.offer(lambda: b"y" * 10)
    recorder.close()

    assert file.read_bytes() == b"y" * 10
    assert (tmp_path / "a.jsonl.1").read_bytes() == b"x" * 45


def test_a_line_larger_than_a_file_is_dropped(tmp_path):
    recorder = recorder_to(tmp_path / "a.jsonl")
    recorder.offer(lambda: b"x" * 51)
    recorder.close()

    assert recorder.dropped == 1
    assert not (tmp_path / "a.jsonl").exists()


def test_too_many_that_wait_are_dropped_and_nobody_waits(tmp_path):
    recorder = recorder_to(tmp_path / "a.jsonl", max_bytes=10_000)
    gate = threading.Event()

    def slow():
        gate.wait(5)
        return b"slow\n"

    for _ in range(30):
        recorder.offer(slow)
    gate.set()
    recorder.close()

    assert recorder.dropped >= 13
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 30 - recorder.dropped


def test_what_fails_does_not_end_the_recorder(tmp_path):
    recorder = recorder_to(tmp_path / "a.jsonl")
    recorder.offer(lambda: 1 // 0)
    recorder.offer(lambda: b"after\n")
    recorder.close()

    assert (tmp_path / "a.jsonl").read_bytes() == b"after\n"


def test_the_share_decides(tmp_path):
    recorder = recorder_to(tmp_path / "a", share=0.1, chance=iter([0.05, 0.1, 0.9]).__next__)

    assert [recorder.wants() for _ in range(3)] == [True, False, False]
    recorder.close()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "target")
    recorder = recorder_to(tmp_path / "a.jsonl")
    recorder.offer(lambda: b"line\n")
    recorder.close()

    assert recorder.dropped == 1
    assert (tmp_path / "target").read_bytes() == b""
