import java.time.Duration;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.Collector;

/**
 * Flink's Java DataStream API on a local cluster of one TaskManager with two slots.
 *
 * <p>Arguments: running_sum|window_count|keyed_reduce|process_timer, rows, hashmap|rocksdb, object reuse true|false, checkpoint
 * interval in ms, directory for checkpoints. Prints one line of JSON.
 */
public final class JavaJobs {
    private static final int PARALLELISM = 2;

    private JavaJobs() {}

    public static void main(String[] args) throws Exception {
        String job = args[0];
        long rows = Long.parseLong(args[1]);
        String backend = args[2];
        boolean reuse = Boolean.parseBoolean(args[3]);

        Configuration config = new Configuration();
        config.setString("state.backend.type", backend);
        config.setString("pipeline.object-reuse", Boolean.toString(reuse));
        config.setString("execution.checkpointing.interval", args[4] + " ms");
        config.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        config.setString("execution.checkpointing.incremental", "true");
        config.setString("execution.checkpointing.dir", args[5]);
        // A local cluster gets 128 MB by default, a real TaskManager 0.4 of its memory.
        config.setString("taskmanager.memory.managed.size", "1g");
        StreamExecutionEnvironment env =
                StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, config);

        KeyedStream<Tuple3<String, Long, Long>, String> keyed =
                RecordStream.tuples(env, rows, PARALLELISM).keyBy(record -> record.f0);
        DataStream<?> results;
        if (job.equals("running_sum")) {
            results = keyed.process(new RunningSum());
        } else if (job.equals("window_count")) {
            results =
                    keyed.window(TumblingEventTimeWindows.of(Duration.ofSeconds(60)))
                            .aggregate(new Count());
        } else if (job.equals("keyed_reduce")) {
            results = keyed.reduce((a, b) -> Tuple3.of(a.f0, a.f1 + b.f1, b.f2));
        } else if (job.equals("process_timer")) {
            results = keyed.process(new MinuteTotal());
        } else {
            throw new IllegalArgumentException("unknown job " + job);
        }
        drop(results);
        env.execute(job);

        double seconds = (Stopwatch.get("last_ns", 0) - Stopwatch.get("first_ns", 0)) / 1e9;
        double cpu = (Stopwatch.get("last_cpu_ns", 0) - Stopwatch.get("first_cpu_ns", 0)) / 1e9;
        System.out.printf(
                "{\"engine\": \"flink-java-%s%s\", \"job\": \"%s\", \"rows\": %d, \"seconds\": %.3f, "
                        + "\"rows_per_second\": %.0f, \"cpu_seconds\": %.2f, \"outputs\": %d, "
                        + "\"output_total\": %d}%n",
                backend,
                reuse ? "-object-reuse" : "",
                job,
                rows,
                seconds,
                rows / seconds,
                cpu,
                Stopwatch.get("outputs", 0),
                Stopwatch.get("output_total", 0));
    }

    private static <T> void drop(DataStream<T> results) {
        results.sinkTo(new DropSink<>());
    }

    private static final class MinuteTotal
            extends KeyedProcessFunction<String, Tuple3<String, Long, Long>, Long> {
        private transient ValueState<Long> total;

        @Override
        public void open(OpenContext context) {
            total = getRuntimeContext().getState(new ValueStateDescriptor<>("total", Long.class));
        }

        @Override
        public void processElement(
                Tuple3<String, Long, Long> record, Context context, Collector<Long> out)
                throws Exception {
            Long before = total.value();
            total.update((before == null ? 0 : before) + record.f1);
            context.timerService()
                    .registerEventTimeTimer(record.f2 - record.f2 % 60_000 + 60_000);
        }

        @Override
        public void onTimer(long timestamp, OnTimerContext context, Collector<Long> out)
                throws Exception {
            Long found = total.value();
            if (found != null) {
                out.collect(found);
                total.clear();
            }
        }
    }

    private static final class RunningSum
            extends KeyedProcessFunction<String, Tuple3<String, Long, Long>, Long> {
        private transient ValueState<Long> sum;

        @Override
        public void open(OpenContext context) {
            sum = getRuntimeContext().getState(new ValueStateDescriptor<>("sum", Long.class));
        }

        @Override
        public void processElement(
                Tuple3<String, Long, Long> record, Context context, Collector<Long> out)
                throws Exception {
            Long before = sum.value();
            long after = (before == null ? 0 : before) + record.f1;
            sum.update(after);
            out.collect(after);
        }
    }

    private static final class Count
            implements AggregateFunction<Tuple3<String, Long, Long>, Long, Long> {
        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(Tuple3<String, Long, Long> record, Long count) {
            return count + 1;
        }

        @Override
        public Long getResult(Long count) {
            return count;
        }

        @Override
        public Long merge(Long a, Long b) {
            return a + b;
        }
    }
}
