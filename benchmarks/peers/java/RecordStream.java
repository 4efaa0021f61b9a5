import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.types.Row;

/**
 * The benchmarks' stream of (key, value, event time), equal to lesto.connectors.datagen's
 * pool(100_000), random_int(0, 99), timestamps(10_000): a pure function of the record's position.
 */
public final class RecordStream {
    static final int KEYS = 100_000;
    static final int EVENTS_PER_SECOND = 10_000;
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    private static final int VALUE_SEED = 1;
    private static final int KEY_SEED = 3;

    private RecordStream() {}

    /** As tuples, with event time and watermarks. */
    public static DataStream<Tuple3<String, Long, Long>> tuples(
            StreamExecutionEnvironment env, long rows, int lanes) {
        return positions(env, rows)
                .map(new Tuples(rows, lanes))
                .returns(Types.TUPLE(Types.STRING, Types.LONG, Types.LONG))
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<Tuple3<String, Long, Long>>forMonotonousTimestamps()
                                .withTimestampAssigner((record, before) -> record.f2));
    }

    /** As rows, which is what PyFlink can hand to a Python function. */
    public static DataStream<Row> rows(StreamExecutionEnvironment env, long rows, int lanes) {
        TypeInformation<Row> type = Types.ROW(Types.STRING, Types.LONG, Types.LONG);
        return positions(env, rows)
                .map(new Rows(rows, lanes))
                .returns(type)
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<Row>forMonotonousTimestamps()
                                .withTimestampAssigner((record, before) -> (Long) record.getField(2)));
    }

    private static DataStream<Long> positions(StreamExecutionEnvironment env, long rows) {
        return env.fromSource(
                new NumberSequenceSource(0, rows - 1), WatermarkStrategy.noWatermarks(), "positions");
    }

    static long mix(long position, int seed) {
        long z = position + seed * GOLDEN + GOLDEN;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }

    /** Numbers come in one contiguous range a reader; interleaving them keeps event time even. */
    private abstract static class Generator<T> extends RichMapFunction<Long, T> {
        private final long perLane;
        private final int lanes;
        private transient String[] pool;
        private transient boolean started;

        Generator(long rows, int lanes) {
            if (rows % lanes != 0) {
                throw new IllegalArgumentException("rows must be a multiple of the parallelism");
            }
            this.perLane = rows / lanes;
            this.lanes = lanes;
        }

        @Override
        public void open(OpenContext context) {
            pool = new String[KEYS];
            for (int i = 0; i < KEYS; i++) {
                pool[i] = String.format("key-%05d", i);
            }
        }

        @Override
        public T map(Long number) {
            if (!started) {
                started = true;
                Stopwatch.first();
            }
            long position = number % perLane * lanes + number / perLane;
            String key = pool[(int) Long.remainderUnsigned(mix(position, KEY_SEED), KEYS)];
            long value = Long.remainderUnsigned(mix(position, VALUE_SEED), 100);
            return record(key, value, position * 1000 / EVENTS_PER_SECOND);
        }

        abstract T record(String key, long value, long time);
    }

    private static final class Tuples extends Generator<Tuple3<String, Long, Long>> {
        Tuples(long rows, int lanes) {
            super(rows, lanes);
        }

        @Override
        Tuple3<String, Long, Long> record(String key, long value, long time) {
            return Tuple3.of(key, value, time);
        }
    }

    private static final class Rows extends Generator<Row> {
        Rows(long rows, int lanes) {
            super(rows, lanes);
        }

        @Override
        Row record(String key, long value, long time) {
            return Row.of(key, value, time);
        }
    }
}
