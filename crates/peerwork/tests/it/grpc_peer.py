"""A gRPC server (`serve`), and a client that calls it through a path prefix (`call HOST:PORT PREFIX`):
unary calls, streams in each direction and both, an error, and metadata before and after a message."""

import queue
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

SERVICE = "test.Service"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
LARGE = bytes(range(256)) * 8000


def unary_unary(request, context):
    if request == b"fail":
        context.set_trailing_metadata((("reason", "asked"),))
        context.abort(grpc.StatusCode.DATA_LOSS, "as asked")
    context.send_initial_metadata((("first", "1"),))
    context.set_trailing_metadata((("last-bin", b"\x00\xff"),))
    return dict(context.invocation_metadata()).get("asked", "").encode() + request


def unary_stream(request, _context):
    for number in range(int(request)):
        yield str(number).encode()


def stream_unary(requests, _context):
    return str(sum(len(request) for request in requests)).encode()


def stream_stream(requests, _context):
    for request in requests:
        yield request[::-1]


def serve() -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    methods = {
        kind: getattr(grpc, kind + "_rpc_method_handler")(globals()[kind]) for kind in KINDS
    }
    handler = grpc.method_handlers_generic_handler(SERVICE, methods)
    server.add_generic_rpc_handlers((handler,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def call(target: str, prefix: str) -> None:
    with grpc.insecure_channel(target) as channel:
        unary, counted, summed, both = (
            getattr(channel, kind)(f"{prefix}/{SERVICE}/{kind}") for kind in KINDS
        )
        answer, info = unary.with_call(b"hello", timeout=20, metadata=(("asked", "so "),))
        assert answer == b"so hello", answer
        assert ("first", "1") in info.initial_metadata(), info.initial_metadata()
        assert ("last-bin", b"\x00\xff") in info.trailing_metadata(), info.trailing_metadata()
        assert unary(LARGE, timeout=20) == LARGE
        try:
            unary(b"fail", timeout=20)
            raise AssertionError("the call was to fail")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DATA_LOSS, error
            assert error.details() == "as asked", error
            assert ("reason", "asked") in error.trailing_metadata(), error
        numbers = list(counted(b"1000", timeout=20))
        assert numbers == [str(number).encode() for number in range(1000)], len(numbers)
        total = summed(iter([b"x" * 50_000] * 20), timeout=20)
        assert total == b"1000000", total

        turns = queue.Queue()
        answers = both(iter(turns.get, None), timeout=20)
        for number in range(10, 60):
            # A question is asked after the answer to the one before.
            turns.put(str(number).encode())
            assert next(answers) == str(number)[::-1].encode()
        turns.put(None)
        assert list(answers) == []
    print("passed")


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2], sys.argv[3])
