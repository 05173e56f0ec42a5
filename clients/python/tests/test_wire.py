"""RESP: the same bytes whole, one by one and together; what is none is refused."""
import unittest

from tokencache._wire import INCOMPLETE, ErrorReply, Replies, WireError, encode

REPLIES = [
    (b"+PONG\r\n", "PONG"), (b":-12\r\n", -12), (b":9223372036854775807\r\n", 2 ** 63 - 1), (b"$3\r\na\r\n\r\n", "a\r\n"[:2] + "\n"),
    (b"$0\r\n\r\n", ""), (b"$-1\r\n", None), (b"_\r\n", None), (b"*0\r\n", []), (b"%0\r\n", {}), (b"*-1\r\n", None),
    (b"-ERR no\r\n", ErrorReply("ERR no")), (b"*2\r\n$1\r\na\r\n_\r\n", ["a", None]),
    (b"%2\r\n$1\r\na\r\n:1\r\n$4\r\ndata\r\n%1\r\n$1\r\nb\r\n$2\r\n\xc3\xa4\r\n", {"a": 1, "data": {"b": "ä"}}),
    (b"*2\r\n*1\r\n%1\r\n$1\r\nx\r\n*0\r\n:3\r\n", [[{"x": []}], 3]),
]


def all_of(replies):
    taken = []
    while True:
        reply = replies.take()
        if reply is INCOMPLETE:
            return taken
        taken.append(reply)


class WireTests(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(encode(("SET", b"\xff\r\n", 12, "ä")), b"*4\r\n$3\r\nSET\r\n$3\r\n\xff\r\n\r\n$2\r\n12\r\n$2\r\n\xc3\xa4\r\n")

    def test_whole_one_by_one_and_together(self):
        for data, value in REPLIES:
            for size in (len(data), 1, 2, 3):
                replies, taken = Replies(), []
                for start in range(0, len(data), size):
                    replies.feed(data[start:start + size])
                    taken += all_of(replies)
                self.assertEqual(taken, [value], (data, size))
                self.assertTrue(replies.is_empty)
        replies = Replies()
        replies.feed(b"".join(data for data, _ in REPLIES))
        self.assertEqual(all_of(replies), [value for _, value in REPLIES])

    def test_binary_data_comes_back_as_it_was(self):
        every = bytes(range(256))
        replies = Replies()
        replies.feed(b"$256\r\n" + every + b"\r\n")
        self.assertEqual(encode((replies.take(),)), b"*1\r\n$256\r\n" + every + b"\r\n")

    def test_what_is_no_reply(self):
        for data in (b"HTTP/1.1 400\r\n", b"$x\r\n", b"$1\r\nabc\r\n", b":\r\n", b":1.5\r\n", b":99999999999999999999\r\n", b"$99999999999\r\n",
                     b"*99999999\r\n", b"*1\r\n" * 20, b"+" + b"x" * 70000, b"%1\r\n*0\r\n:1\r\n", b":+1\r\n", b"$-2\r\n"):
            with self.subTest(data[:20]), self.assertRaises(WireError):
                replies = Replies()
                replies.feed(data)
                all_of(replies)


if __name__ == "__main__":
    unittest.main()
