import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * One Nexmark query on a local cluster of one TaskManager with two slots.
 *
 * <p>Arguments: file of SQL statements separated by semicolons at the ends of lines, events,
 * hashmap|rocksdb, object reuse true|false, checkpoint interval in ms, directory for checkpoints.
 * Prints one line of JSON. Time and CPU are taken from when a fifth of the events have been made.
 */
public final class NexmarkJobs {
    private static final String PREFIX = "nexmark.";
    private static final int PARALLELISM = 2;

    private NexmarkJobs() {}

    /** Counts a character; the benchmark's function of q14. */
    public static final class CountChar extends ScalarFunction {
        public long eval(String text, String character) {
            long count = 0;
            if (text != null) {
                for (char c : text.toCharArray()) {
                    count += c == character.charAt(0) ? 1 : 0;
                }
            }
            return count;
        }
    }

    static void warm() {
        synchronized (System.getProperties()) {
            if (System.getProperty(PREFIX + "ns") == null) {
                System.setProperty(PREFIX + "ns", Long.toString(System.nanoTime()));
                System.setProperty(PREFIX + "cpu", Long.toString(cpu()));
            }
        }
    }

    private static long cpu() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long peakKib() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        return -1;
    }

    public static void main(String[] args) throws Exception {
        long events = Long.parseLong(args[1]);
        Configuration config = new Configuration();
        config.setString("state.backend.type", args[2]);
        config.setString("pipeline.object-reuse", args[3]);
        config.setString("execution.checkpointing.interval", args[4] + " ms");
        config.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        config.setString("execution.checkpointing.incremental", "true");
        config.setString("execution.checkpointing.dir", args[5]);
        config.setString("taskmanager.memory.managed.size", "1g");
        config.setString("taskmanager.memory.network.min", "256m");
        config.setString("taskmanager.memory.network.max", "256m");
        // As the Nexmark project sets them.
        config.setString("table.exec.mini-batch.enabled", "true");
        config.setString("table.exec.mini-batch.allow-latency", "2 s");
        config.setString("table.exec.mini-batch.size", "50000");
        config.setString("table.optimizer.distinct-agg.split.enabled", "true");
        StreamExecutionEnvironment env =
                StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, config);
        StreamTableEnvironment table = StreamTableEnvironment.create(env);
        table.createTemporarySystemFunction("COUNT_CHAR", CountChar.class);
        for (String statement : Files.readString(Path.of(args[0])).split(";\\s*\\n")) {
            if (!statement.isBlank()) {
                var result = table.executeSql(statement);
                result.getJobClient().ifPresent(job -> job.getJobExecutionResult().join());
            }
        }
        double seconds = (System.nanoTime() - Long.getLong(PREFIX + "ns")) / 1e9;
        double cpu = (cpu() - Long.getLong(PREFIX + "cpu")) / 1e9;
        double counted = events * 0.8;
        System.out.printf(
                "{\"engine\": \"flink-%s%s\", \"events\": %d, \"seconds\": %.3f,"
                        + " \"events_per_second\": %.0f, \"cpu_us_per_event\": %.3f,"
                        + " \"peak_mib\": %d}%n",
                args[2],
                args[3].equals("true") ? "-object-reuse" : "",
                events,
                seconds,
                counted / seconds,
                cpu * 1e6 / counted,
                peakKib() / 1024);
    }
}
