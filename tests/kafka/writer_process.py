"""A writer in a process of its own, told what to do line by line; it can be killed.

    write FIRST LAST    messages with the numbers
    prepare CHECKPOINT  answers the committables, in hex
    commit HEX...       as the slot does when the checkpoint is complete
    close               as the slot does
Answers each line with one of its own.
"""

import sys

from lesto.common.elements import RowBatch
from lesto.common.errors import LestoError
from lesto.connectors.kafka import KafkaSink
from tests.kafka.driving import WriterContext


def main():
    address, topic, prefix, attempt, subtask, parallelism, timeout_ms = sys.argv[1:]
    sink = KafkaSink(
        topic, address, format="string", transactional_id_prefix=prefix,
        properties={"transaction.timeout.ms": timeout_ms},
    )  # fmt: skip
    context = WriterContext(attempt=attempt, subtask=int(subtask), parallelism=int(parallelism))
    writer, committer = sink.create_writer(context), sink.create_committer()
    for line in sys.stdin:
        what, *arguments = line.split()
        answer = "ok"
        try:
            if what == "write":
                writer.write(RowBatch([str(n) for n in range(*map(int, arguments))]))
            elif what == "prepare":
                answer = " ".join(c.hex() for c in writer.prepare_commit(int(arguments[0])))
            elif what == "flush":
                writer._current[2].flush()
            elif what == "commit":
                committer.commit([bytes.fromhex(a) for a in arguments])
            elif what == "close":
                writer.close()
                committer.close()
        except LestoError as error:
            answer = f"error {error.code} {error.message}"
        print(answer, flush=True)


main()
