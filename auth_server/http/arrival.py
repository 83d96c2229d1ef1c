"""Whether a request has arrived whole, seen from its bytes (RFC 9112 §6.3): until it has, no thread waits for it.

What a request means, and whether it is one, the web server's parser decides. Here is only counted how much of it there
must be; whatever could be read in two ways goes to the parser at once, which refuses it.
"""

LONGEST_HEAD = 65536  # bytes
_HEAD_END = b"\r\n\r\n"


class Arrival:
    """The bytes of a connection that nobody has read yet. A parser reads them like a connection that has ended.

    Args:
        longest_body: bytes; what says that it is longer needs not to arrive, for it is refused unread.
    """

    def __init__(self, longest_body: int) -> None:
        self.data = b""
        self.ran_dry = False  # somebody wanted more than there was: where the next request starts is unknown
        self._longest_body = longest_body
        self.next_request()

    def next_request(self) -> None:
        """Count anew: what is there belongs to the next request."""
        self.is_too_long = False  # a body in chunks, of which nobody knew before how long it is
        self.expects_continue = False  # RFC 9110 §10.1.1: the peer sends the body when it is told to
        self._end: int | None = None  # of the request, once that is known
        self._chunk: int | None = None  # where the next chunk's size stands
        self._in_chunks = 0  # bytes of body so far

    def add(self, data: bytes) -> None:
        """Add what has come."""
        self.data += data

    def is_whole(self) -> bool:
        """Tell whether the parser can have it: all is there, or the rest would change nothing."""
        if self._end is None and self._chunk is None and not self._see_head():
            return self._is_hopeless()
        if self._chunk is not None:
            self._follow_chunks(self._chunk)
        return self._end is not None and len(self.data) >= self._end

    def _see_head(self) -> bool:
        head_end = self.data.find(_HEAD_END)
        if head_end < 0:
            return False
        head = self.data[: head_end + 2].lower()
        body = head_end + len(_HEAD_END)
        lengths, codings = _values(head, b"content-length"), _values(head, b"transfer-encoding")
        if codings == [b"chunked"] and not lengths:
            self._chunk = body
        else:
            length = int(lengths[0]) if len(lengths) == 1 and not codings and lengths[0].isdigit() else 0
            self._end = body + (length if length <= self._longest_body else 0)
        self.expects_continue = b"\r\nexpect:" in head and (self._end is None or len(self.data) < self._end)
        return True

    def _is_hopeless(self) -> bool:
        """Tell whether no more bytes can make a good head of this."""
        first = self.data[:1]
        is_binary = not (b" " < first < b"\x7f" or first == b"\r")  # TLS, where none is spoken
        bare_line_feed = self.data.count(b"\n") != self.data.count(b"\r\n")
        return is_binary or bare_line_feed or len(self.data) > LONGEST_HEAD

    def _follow_chunks(self, at: int) -> None:
        """RFC 9112 §7.1: go from size to size to the last one; where a size is unreadable, the parser says so."""
        data = self.data
        while (line_end := data.find(b"\r\n", at)) >= 0:
            try:
                size = int(data[at:line_end].partition(b";")[0], 16)
            except ValueError:
                size = -1
            if size == 0:
                last = data.find(_HEAD_END, line_end)  # after trailers, of which there are none as a rule
                if last >= 0:
                    self._end = last + len(_HEAD_END)
                break
            if size < 0:
                self._end = 0
                break
            self._in_chunks += size
            at = line_end + 2 + size + 2
        self._chunk = at
        # Sizes of chunks and their extensions count too, at the same rate: one byte in each would be six for one.
        self.is_too_long = self._in_chunks > self._longest_body or len(data) > 2 * (LONGEST_HEAD + self._longest_body)

    # ---- what gunicorn's parser asks of a connection
    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Take *size* bytes, or all; fewer when there are no more."""
        data = self.data
        if size is None or size < 0:
            taken, self.data = data, b""
            self.ran_dry |= not taken
        else:
            taken, self.data = data[:size], data[size:]
            self.ran_dry |= len(taken) < size
        return taken

    def unread(self, data: bytes) -> None:
        """Put back what was too much."""
        self.data = data + self.data


def _values(head: bytes, name: bytes) -> list[bytes]:
    """The values of a header, as far as they may be good: of long ones the beginning."""
    return [line.partition(b"\r\n")[0].strip(b" \t")[:19] for line in head.split(b"\r\n" + name + b":")[1:]]
