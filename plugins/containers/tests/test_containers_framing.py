from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhal_containers.api.framing import BrokenFrame, Chunk, Demultiplexer

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20)
CUTS = st.lists(st.integers(0, 3000), max_size=40)


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    return [whole[begin:end] for begin, end in itertools.pairwise(places)]


def joined(chunks: list[Chunk]) -> list[tuple[int, bytes]]:
    """Chunks of the same stream that follow each other, as one."""
    runs: list[tuple[int, bytes]] = []
    for chunk in chunks:
        if runs and runs[-1][0] == chunk.stream:
            runs[-1] = (chunk.stream, runs[-1][1] + chunk.data)
        else:
            runs.append((chunk.stream, chunk.data))
    return runs


@given(FRAMES, CUTS)
def test_what_was_framed_comes_out_wherever_the_stream_is_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    whole = b"".join(frame(stream, data) for stream, data in frames)
    demultiplexer = Demultiplexer()
    chunks = [chunk for piece in pieces(whole, cuts) for chunk in demultiplexer.feed(piece)]
    demultiplexer.end()
    assert joined(chunks) == joined([Chunk(stream, data) for stream, data in frames if data])
    assert all(chunk.data for chunk in chunks)


@given(FRAMES.filter(bool), st.data())
def test_bytes_are_handed_on_as_they_come(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = b"".join(frame(stream, content) for stream, content in frames)
    cut = data.draw(st.integers(0, len(whole)))
    received = b"".join(chunk.data for chunk in Demultiplexer().feed(whole[:cut]))
    left, expected = cut, b""
    for _, content in frames:
        expected += content[: max(0, left - 8)]
        left -= 8 + len(content)
    assert received == expected


@given(FRAMES.filter(bool), st.data())
def test_an_end_within_a_frame_is_an_error(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = b"".join(frame(stream, content) for stream, content in frames)
    ends, at = {0}, 0
    for _, content in frames:
        at += 8 + len(content)
        ends.add(at)
    cut = data.draw(st.integers(0, len(whole)))
    demultiplexer = Demultiplexer()
    demultiplexer.feed(whole[:cut])
    if cut in ends:
        demultiplexer.end()
    else:
        with pytest.raises(BrokenFrame, match="early"):
            demultiplexer.end()


@given(st.binary(min_size=8).filter(lambda data: data[0] > 3 or any(data[1:4])))
def test_what_begins_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenFrame, match="no frame's header"):
        Demultiplexer().feed(data)


def test_a_frame_that_claims_4_gib_holds_nothing_back() -> None:
    demultiplexer = Demultiplexer()
    assert demultiplexer.feed(b"\x01\0\0\0\xff\xff\xff\xffab") == [Chunk(1, b"ab")]
    assert demultiplexer.feed(b"c") == [Chunk(1, b"c")]
