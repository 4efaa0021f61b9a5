import java.util.Set;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;

/** The connector 'nexmark' for Flink, as far as the benchmark needs it. */
public final class NexmarkFactory implements DynamicTableSourceFactory {
    private static final ConfigOption<Long> EVENTS =
            ConfigOptions.key("events.num").longType().noDefaultValue();
    private static final ConfigOption<Long> RATE =
            ConfigOptions.key("first-event.rate").longType().defaultValue(10_000L);
    private static final ConfigOption<Integer> LANES =
            ConfigOptions.key("lanes").intType().defaultValue(2);

    @Override
    public String factoryIdentifier() {
        return "nexmark";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(EVENTS);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(RATE, LANES);
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
        helper.validate();
        return new Table(
                context.getPhysicalRowDataType(),
                helper.getOptions().get(EVENTS),
                helper.getOptions().get(RATE),
                helper.getOptions().get(LANES));
    }

    private record Table(DataType type, long events, long rate, int lanes) implements ScanTableSource {
        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return SourceProvider.of(
                    new DataGeneratorSource<RowData>(
                            new NexmarkEvents(events, lanes, rate),
                            events,
                            RateLimiterStrategy.noOp(),
                            context.createTypeInformation(type)));
        }

        @Override
        public DynamicTableSource copy() {
            return new Table(type, events, rate, lanes);
        }

        @Override
        public String asSummaryString() {
            return "nexmark";
        }
    }
}
