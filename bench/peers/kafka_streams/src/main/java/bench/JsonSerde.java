package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Transactions as JSON, by Jackson. */
final class JsonSerde {
    private JsonSerde() {}

    static Serde<Transaction> ofTransactions() {
        ObjectMapper mapper = new ObjectMapper();
        ObjectReader reader = mapper.readerFor(Transaction.class);
        ObjectWriter writer = mapper.writerFor(Transaction.class);
        return Serdes.serdeFrom(
            (topic, value) -> {
                try {
                    return writer.writeValueAsBytes(value);
                } catch (IOException failed) {
                    throw new UncheckedIOException(failed);
                }
            },
            (topic, bytes) -> {
                try {
                    return bytes == null ? null : reader.readValue(bytes);
                } catch (IOException failed) {
                    throw new UncheckedIOException(failed);
                }
            });
    }
}
