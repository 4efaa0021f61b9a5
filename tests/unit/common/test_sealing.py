"""A control message that was changed on the way is not taken."""

import pytest
from google.protobuf.message import DecodeError

from lesto.proto import job_pb2, runtime_pb2
from lesto.proto.sealing import is_intact, seal


def message():
    """A deployment, with what is hard to serialise twice alike: maps."""
    vertex = job_pb2.JobVertex(id="v", operators=[job_pb2.OperatorNode(factory_pickle=b"code" * 9)])
    task = runtime_pb2.TaskDeployment(
        vertex=vertex, config={f"key-{n}": str(n) for n in range(20)}, restored_checkpoint_id=7
    )
    deploy = runtime_pb2.TaskCommand(deploy=runtime_pb2.DeployTasks(tasks=[task]))
    return runtime_pb2.ToTaskManager(
        command=runtime_pb2.SlotCommand(slot_id="slot-1", command=deploy)
    )


def test_a_message_is_intact_behind_the_wire_and_sealed_again():
    sent = seal(seal(message()))
    came = runtime_pb2.ToTaskManager.FromString(sent.SerializeToString())
    assert is_intact(came)
    assert came == sent


def test_a_sender_without_checksums_is_understood():
    assert is_intact(message())


@pytest.mark.parametrize("bit", [1, 16, 128])
def test_a_changed_byte_is_noticed_or_changes_nothing(bit):
    whole = seal(message())
    data = whole.SerializeToString()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= bit
        try:
            came = runtime_pb2.ToTaskManager.FromString(bytes(changed))
        except DecodeError:
            continue
        # Only the checksum's own tag may be hit unnoticed: then the rest is what was sent.
        assert not is_intact(came) or came.command == whole.command
