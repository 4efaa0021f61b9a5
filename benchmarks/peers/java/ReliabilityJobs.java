import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Flink's side of benchmarks/versus: the same three jobs as versus_jobs.py, run on a real cluster.
 *
 * <p>Arguments: recovery NOTES RATE | state KEYS BYTES CHANGES_PER_SECOND | backpressure MICROS.
 */
public final class ReliabilityJobs {
    private static final int KEYS = 100_000;
    private static final TypeInformation<Long> NUMBER = Types.LONG;

    private ReliabilityJobs() {}

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        switch (args[0]) {
            case "recovery":
                recovery(env, args[1], Double.parseDouble(args[2]));
                break;
            case "state":
                state(env, Long.parseLong(args[1]), Integer.parseInt(args[2]), Double.parseDouble(args[3]));
                break;
            case "backpressure":
                backpressure(env, Long.parseLong(args[1]));
                break;
            default:
                throw new IllegalArgumentException(args[0]);
        }
        env.execute(args[0]);
    }

    private static DataStream<Long> numbers(
            StreamExecutionEnvironment env, String name, long count, double rate, GeneratorFunction<Long, Long> make) {
        RateLimiterStrategy limit = rate > 0 ? RateLimiterStrategy.perSecond(rate) : RateLimiterStrategy.noOp();
        DataGeneratorSource<Long> source = new DataGeneratorSource<>(make, count, limit, NUMBER);
        return env.fromSource(source, WatermarkStrategy.noWatermarks(), name);
    }

    private static long scattered(long position, long keys) {
        return Long.remainderUnsigned(RecordStream.mix(position, 1), keys);
    }

    /** 100,000 keys of running sums; each writer notes when it first wrote. */
    private static void recovery(StreamExecutionEnvironment env, String notes, double rate) {
        numbers(env, "records", Long.MAX_VALUE, rate, position -> scattered(position, KEYS))
                .keyBy(key -> key)
                .process(new Sum())
                .sinkTo(new FirstOutputSink(notes));
    }

    /** Fills the state once, then changes a part of it each second. */
    private static void state(StreamExecutionEnvironment env, long keys, int bytes, double changes) {
        DataStream<Long> load = numbers(env, "load", keys, 0, position -> position);
        DataStream<Long> change =
                numbers(env, "change", Long.MAX_VALUE, changes, position -> scattered(position, keys));
        load.union(change).keyBy(key -> key).process(new Payload(bytes)).sinkTo(new DropSink<>());
    }

    /** Behind the exchange every record takes {@code micros}. */
    private static void backpressure(StreamExecutionEnvironment env, long micros) {
        numbers(env, "records", Long.MAX_VALUE, 0, position -> scattered(position, KEYS))
                .keyBy(key -> key)
                .map(new Slow(micros))
                .sinkTo(new DropSink<>());
    }

    private static final class Slow implements MapFunction<Long, Long> {
        private final long nanos;

        Slow(long micros) {
            this.nanos = micros * 1000;
        }

        @Override
        public Long map(Long value) {
            long until = System.nanoTime() + nanos;
            for (long left = nanos; left > 0; left = until - System.nanoTime()) {
                LockSupport.parkNanos(left);
            }
            return value;
        }
    }

    private static final class Sum extends KeyedProcessFunction<Long, Long, Long> {
        private transient ValueState<Long> sum;

        @Override
        public void open(OpenContext context) {
            sum = getRuntimeContext().getState(new ValueStateDescriptor<>("sum", Long.class));
        }

        @Override
        public void processElement(Long key, Context context, Collector<Long> out) throws Exception {
            Long before = sum.value();
            long after = (before == null ? 0 : before) + 1;
            sum.update(after);
            out.collect(after);
        }
    }

    private static final class Payload extends KeyedProcessFunction<Long, Long, Long> {
        private final int bytes;
        private transient ValueState<byte[]> payload;
        private transient long word;

        Payload(int bytes) {
            this.bytes = bytes;
        }

        @Override
        public void open(OpenContext context) {
            payload = getRuntimeContext().getState(new ValueStateDescriptor<>("payload", byte[].class));
            word = System.nanoTime() | 1;
        }

        @Override
        public void processElement(Long key, Context context, Collector<Long> out) throws Exception {
            byte[] before = payload.value();
            byte[] after = new byte[bytes];
            for (int i = 0; i < bytes; i++) {
                if (i % 8 == 0) {
                    word ^= word << 13;
                    word ^= word >>> 7;
                    word ^= word << 17;
                }
                after[i] = (byte) (word >>> 8 * (i % 8));
            }
            payload.update(after);
            out.collect(before == null ? 0L : (long) before.length);
        }
    }

    private static final class FirstOutputSink implements Sink<Long> {
        private final String notes;

        FirstOutputSink(String notes) {
            this.notes = notes;
        }

        @Override
        public SinkWriter<Long> createWriter(WriterInitContext context) {
            return new FirstOutputWriter(Path.of(notes), context.getTaskInfo().getIndexOfThisSubtask());
        }
    }

    private static final class FirstOutputWriter implements SinkWriter<Long> {
        private final Path notes;
        private final int subtask;
        private boolean first = true;

        FirstOutputWriter(Path notes, int subtask) {
            this.notes = notes;
            this.subtask = subtask;
        }

        @Override
        public void write(Long element, Context context) throws IOException {
            if (!first) {
                return;
            }
            first = false;
            // The same clock as time.monotonic() in Python.
            long now = System.nanoTime();
            Path part = notes.resolve("output-" + subtask + "-" + now + ".part");
            Files.writeString(part, "[" + subtask + ", " + now / 1e9 + "]");
            Files.move(part, notes.resolve("output-" + subtask + "-" + now), StandardCopyOption.ATOMIC_MOVE);
        }

        @Override
        public void flush(boolean endOfInput) {}

        @Override
        public void close() {}
    }
}
