"""Lines of a file to files of text: a file source, a file sink, and reading back by CSV."""

import glob
import os
import sys
import tempfile

from pyflink.common import Encoder, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import (
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)


def write(source, target):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    lines = FileSource.for_record_stream_format(StreamFormat.text_line_format(), source)
    lines = lines.process_static_file_set().build()
    sink = (
        FileSink.for_row_format(target, Encoder.simple_string_encoder("UTF-8"))
        .with_output_file_config(
            OutputFileConfig.builder().with_part_prefix("upper").with_part_suffix(".txt").build()
        )
        .with_rolling_policy(RollingPolicy.default_rolling_policy())
        .build()
    )
    env.from_source(lines, WatermarkStrategy.no_watermarks(), "lines").map(
        str.upper, output_type=Types.STRING()
    ).sink_to(sink)
    env.execute("file formats")


def main():
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in"), os.path.join(folder, "out")
        os.mkdir(source)
        with open(os.path.join(source, "lines.txt"), "w", encoding="utf-8") as file:
            file.write("to be\nor not\nto be\n")
        write(source, target)
        for path in glob.glob(os.path.join(target, "**", "upper*.txt"), recursive=True):
            with open(path, encoding="utf-8") as file:
                sys.stdout.write(file.read())


if __name__ == "__main__":
    main()
