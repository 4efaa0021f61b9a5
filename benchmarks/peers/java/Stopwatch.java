import java.lang.management.ManagementFactory;

/**
 * When the first record left the source and when the last sink saw its last one. Kept in system
 * properties, because the job's classes are loaded by another class loader than the program's.
 */
public final class Stopwatch {
    private static final String PREFIX = "peers.";

    private Stopwatch() {}

    static void first() {
        synchronized (System.getProperties()) {
            if (System.getProperty(PREFIX + "first_ns") == null) {
                System.setProperty(PREFIX + "first_ns", Long.toString(System.nanoTime()));
                System.setProperty(PREFIX + "first_cpu_ns", Long.toString(cpuNanos()));
            }
        }
    }

    static void last(long records, long total) {
        synchronized (System.getProperties()) {
            System.setProperty(PREFIX + "last_ns", Long.toString(System.nanoTime()));
            System.setProperty(PREFIX + "last_cpu_ns", Long.toString(cpuNanos()));
            System.setProperty(PREFIX + "outputs", Long.toString(get("outputs", 0) + records));
            System.setProperty(PREFIX + "output_total", Long.toString(get("output_total", 0) + total));
        }
    }

    public static long get(String name, long otherwise) {
        return Long.parseLong(System.getProperty(PREFIX + name, Long.toString(otherwise)));
    }

    private static long cpuNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }
}
