package bench;

import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams: one processor and one state store for each key, with a repartition between them. */
public final class Peer {
    private Peer() {}

    /** Keeps a key's last day in its store and hands on the event with what the day holds. */
    private abstract static class Remembering implements FixedKeyProcessor<String, Transaction, Transaction> {
        private final String name;
        private FixedKeyProcessorContext<String, Transaction> context;
        private KeyValueStore<String, byte[]> store;

        Remembering(String name) {
            this.name = name;
        }

        @Override
        public void init(FixedKeyProcessorContext<String, Transaction> given) {
            context = given;
            store = given.getStateStore(name);
        }

        @Override
        public void process(FixedKeyRecord<String, Transaction> record) {
            Transaction event = record.value();
            long nowS = History.secondsOf(event.at);
            byte[] history = History.with(store.get(record.key()), nowS, Math.round(event.amount * 100));
            store.put(record.key(), history);
            describe(history, nowS, event);
            context.forward(record.withValue(event));
        }

        abstract void describe(byte[] history, long nowS, Transaction event);
    }

    private static final class ByCustomer extends Remembering {
        ByCustomer() {
            super("customers");
        }

        @Override
        void describe(byte[] history, long nowS, Transaction event) {
            History.describe(history, nowS, event);
        }
    }

    private static final class ByTerminal extends Remembering {
        ByTerminal() {
            super("terminals");
        }

        @Override
        void describe(byte[] history, long nowS, Transaction event) {
            event.terminalCountDay = History.count(history);
            event.flagged = event.amount > 220;
        }
    }

    /** Arguments: bootstrap servers, input topic, output topic, application id, state folder, guarantee. */
    public static void main(String[] args) throws InterruptedException {
        StreamsBuilder builder = new StreamsBuilder();
        for (String name : new String[] {"customers", "terminals"}) {
            builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(name), Serdes.String(), Serdes.ByteArray()));
        }
        builder.stream(args[1], Consumed.with(Serdes.String(), JsonSerde.ofTransactions()))
            .processValues(ByCustomer::new, "customers")
            .selectKey((key, event) -> Long.toString(event.terminalId))
            .repartition(Repartitioned.with(Serdes.String(), JsonSerde.ofTransactions())
                .withName("by-terminal").withNumberOfPartitions(1))
            .processValues(ByTerminal::new, "terminals")
            .to(args[2], Produced.with(Serdes.String(), JsonSerde.ofTransactions()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[5]);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
