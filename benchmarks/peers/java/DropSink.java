import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.java.tuple.Tuple;

/** Counts and adds up what it drops (of tuples, field 1), and stops the watch at the end of the input. */
public final class DropSink<T> implements Sink<T> {
    @Override
    public SinkWriter<T> createWriter(WriterInitContext context) {
        return new Writer<>();
    }

    private static final class Writer<T> implements SinkWriter<T> {
        private long records;
        private long total;

        @Override
        public void write(T element, Context context) {
            records++;
            total += (Long) (element instanceof Tuple ? ((Tuple) element).getField(1) : element);
        }

        @Override
        public void flush(boolean endOfInput) {
            if (endOfInput) {
                Stopwatch.last(records, total);
            }
        }

        @Override
        public void close() {}
    }
}
