import java.nio.charset.StandardCharsets;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;

/**
 * Nexmark's events for Flink: one person, three auctions, 46 bids of every fifty; an event is a pure
 * function of its number. Written for the benchmark: cheap random numbers, texts made of bytes, so
 * that the source takes as little as can be from Flink.
 *
 * <p>A reader is given a contiguous range of numbers; interleaving them keeps event time even.
 */
public final class NexmarkEvents implements GeneratorFunction<Long, RowData> {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    private static final long BASE_TIME_MS = 1_436_918_400_000L;
    private static final int TOTAL = 50;
    private static final int AUCTIONS = 3;
    private static final int FIRST_ID = 1000;
    private static final int HOT = 100;
    private static final int HOT_AUCTIONS = 2;
    private static final int HOT_BIDDERS = 4;
    private static final int HOT_SELLERS = 4;
    private static final int IN_FLIGHT = 100;
    private static final int ACTIVE_PEOPLE = 1000;
    private static final int LEAD = 10;
    private static final int CHANNELS = 10_000;
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    private static final String[] CITIES = {
        "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
        "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
    };
    private static final String[] FIRST = {
        "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"
    };
    private static final String[] LAST = {
        "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"
    };
    private static final String[] HOT_CHANNELS = {"Google", "Facebook", "Baidu", "Apple"};

    private final long perLane;
    private final int lanes;
    private final long rate;
    private transient long state;
    private transient long seen;
    private transient boolean started;
    private transient byte[] text;
    private transient StringData[] channels;
    private transient StringData[] urls;
    private transient StringData[] hotChannels;
    private transient StringData[] hotUrls;
    private transient StringData[] states;
    private transient StringData[] cities;

    public NexmarkEvents(long events, int lanes, long rate) {
        if (events % lanes != 0) {
            throw new IllegalArgumentException("events.num must be a multiple of the parallelism");
        }
        this.perLane = events / lanes;
        this.lanes = lanes;
        this.rate = rate;
    }

    @Override
    public void open(SourceReaderContext context) {
        text = new byte[1024];
        states = texts(STATES);
        cities = texts(CITIES);
        hotChannels = texts(HOT_CHANNELS);
        hotUrls = new StringData[HOT_CHANNELS.length];
        state = 7;
        for (int i = 0; i < hotUrls.length; i++) {
            hotUrls[i] = StringData.fromString(url());
        }
        channels = new StringData[CHANNELS];
        urls = new StringData[CHANNELS];
        for (int i = 0; i < CHANNELS; i++) {
            channels[i] = StringData.fromString("channel-" + i);
            String id = "&channel_id=" + Math.abs((long) Integer.reverse(i));
            urls[i] = StringData.fromString(next(10) > 0 ? url() + id : url());
        }
    }

    private static StringData[] texts(String[] values) {
        StringData[] found = new StringData[values.length];
        for (int i = 0; i < values.length; i++) {
            found[i] = StringData.fromString(values[i]);
        }
        return found;
    }

    private String url() {
        return "https://www.nexmark.com/" + word(5) + "/" + word(5) + "/" + word(5) + "/item.htm?query=1";
    }

    @Override
    public RowData map(Long number) {
        long id = number % perLane * lanes + number / perLane;
        if (!started && ++seen > perLane / 5) {
            started = true;
            NexmarkJobs.warm(); // what comes before is left to the compiler
        }
        state = (id + 1) * GOLDEN;
        TimestampData time = TimestampData.fromEpochMillis(BASE_TIME_MS + id * 1000 / rate);
        long epoch = id / TOTAL;
        int place = (int) (id % TOTAL);
        GenericRowData row = new GenericRowData(4);
        if (place < 1) {
            row.setField(0, 0);
            row.setField(1, person(epoch, time));
        } else if (place < 1 + AUCTIONS) {
            row.setField(0, 1);
            row.setField(2, auction(id, epoch, place, time));
        } else {
            row.setField(0, 2);
            row.setField(3, bid(epoch, place, time));
        }
        return row;
    }

    private RowData person(long epoch, TimestampData time) {
        GenericRowData row = new GenericRowData(8);
        row.setField(0, FIRST_ID + epoch);
        row.setField(1, StringData.fromString(FIRST[next(FIRST.length)] + " " + LAST[next(LAST.length)]));
        row.setField(2, StringData.fromString(word(7) + "@" + word(5) + ".com"));
        row.setField(3, StringData.fromString(digits() + " " + digits() + " " + digits() + " " + digits()));
        row.setField(4, cities[next(CITIES.length)]);
        row.setField(5, states[next(STATES.length)]);
        row.setField(6, time);
        row.setField(7, extra(100));
        return row;
    }

    private RowData auction(long id, long epoch, int place, TimestampData time) {
        long number = lastAuction(epoch, place);
        GenericRowData row = new GenericRowData(10);
        long initial = price();
        row.setField(0, FIRST_ID + number);
        row.setField(1, StringData.fromString(word(3 + next(18))));
        row.setField(2, extra(50));
        row.setField(3, initial);
        row.setField(4, initial + price());
        row.setField(5, time);
        long horizon = (long) IN_FLIGHT * TOTAL / AUCTIONS * 1000 / rate;
        row.setField(6, TimestampData.fromEpochMillis(time.getMillisecond() + 1 + nextLong(Math.max(2 * horizon, 1))));
        long people = epoch;
        long seller = next(HOT_SELLERS) > 0 ? people / HOT * HOT : somebody(people);
        row.setField(7, FIRST_ID + seller);
        row.setField(8, 10L + next(5));
        row.setField(9, extra(400));
        return row;
    }

    private RowData bid(long epoch, int place, TimestampData time) {
        GenericRowData row = new GenericRowData(7);
        long last = lastAuction(epoch, place);
        long auction =
                next(HOT_AUCTIONS) > 0
                        ? last / HOT * HOT
                        : Math.max(last - IN_FLIGHT, 0)
                                + nextLong(last - Math.max(last - IN_FLIGHT, 0) + 1 + LEAD);
        long bidder = next(HOT_BIDDERS) > 0 ? epoch / HOT * HOT + 1 : somebody(epoch);
        row.setField(0, FIRST_ID + auction);
        row.setField(1, FIRST_ID + bidder);
        row.setField(2, price());
        if (next(2) > 0) {
            int hot = next(HOT_CHANNELS.length);
            row.setField(3, hotChannels[hot]);
            row.setField(4, hotUrls[hot]);
        } else {
            int channel = next(CHANNELS);
            row.setField(3, channels[channel]);
            row.setField(4, urls[channel]);
        }
        row.setField(5, time);
        row.setField(6, extra(30));
        return row;
    }

    private static long lastAuction(long epoch, int place) {
        return epoch * AUCTIONS + Math.min(Math.max(place - 1, 0), AUCTIONS - 1);
    }

    private long somebody(long last) {
        long active = Math.min(last + 1, ACTIVE_PEOPLE);
        return last + 1 - active + nextLong(active + LEAD);
    }

    private long price() {
        return Math.round(Math.pow(10.0, (random() >>> 11) * 0x1.0p-53 * 6.0) * 100.0);
    }

    private StringData extra(int size) {
        int length = size - size / 5 + next(2 * size / 5 + 1);
        fill(length);
        byte[] copy = new byte[length];
        System.arraycopy(text, 0, copy, 0, length);
        return StringData.fromBytes(copy);
    }

    private String word(int length) {
        fill(length);
        return new String(text, 0, length, StandardCharsets.ISO_8859_1);
    }

    private void fill(int length) {
        for (int i = 0; i < length; i += 12) {
            long bits = random();
            for (int k = i; k < Math.min(i + 12, length); k++) {
                text[k] = (byte) ('a' + (bits & 31) * 26 / 32);
                bits >>>= 5;
            }
        }
    }

    private String digits() {
        return Integer.toString(1000 + next(9000));
    }

    private int next(int bound) {
        return (int) (((random() >>> 32) * bound) >>> 32);
    }

    private long nextLong(long bound) {
        return Long.remainderUnsigned(random(), bound);
    }

    private long random() {
        long z = state += GOLDEN;
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
