"""PyFlink's calls for unaligned checkpoints reach the job's configuration."""

from lesto.common import Configuration, Duration
from lesto.datastream import StreamExecutionEnvironment


def test_unaligned_checkpoints_by_pyflinks_names():
    env = StreamExecutionEnvironment(Configuration.from_dict({}))
    config = env.get_checkpoint_config()
    assert not config.is_unaligned_checkpoints_enabled()
    assert not config.is_force_unaligned_checkpoints()
    config.enable_unaligned_checkpoints()
    config.set_aligned_checkpoint_timeout(Duration.of_seconds(30))
    config.set_force_unaligned_checkpoints()
    assert env.is_unaligned_checkpoints_enabled()
    assert env.is_force_unaligned_checkpoints()
    assert config.get_aligned_checkpoint_timeout() == Duration.of_seconds(30)
    env.from_collection([1]).print()
    shipped = env.get_job_graph().config
    assert shipped["execution.checkpointing.unaligned.enabled"] == "true"
    assert shipped["execution.checkpointing.unaligned.forced"] == "true"
    config.disable_unaligned_checkpoints().set_force_unaligned_checkpoints(False)
    assert not env.is_unaligned_checkpoints_enabled()
    assert not env.is_force_unaligned_checkpoints()
