package producer;

import com.google.common.util.concurrent.ListenableFuture;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import software.amazon.kinesis.producer.Attempt;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts records "0", "1", … of so many bytes through the library. Arguments: host, port, stream, how many records, bytes of
 * each, keys. Prints one line: how many succeeded, and the errors that attempts met on the way.
 */
public final class Producer {
    /** Percent of what a shard takes: more than it does, so that the server has to refuse. */
    private static final long RATE_LIMIT = 1_000;

    private Producer() {}

    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        long port = Long.parseLong(arguments[1]);
        String stream = arguments[2];
        int count = Integer.parseInt(arguments[3]);
        int bytes = Integer.parseInt(arguments[4]);
        int keys = Integer.parseInt(arguments[5]);
        KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
                .setRegion("us-east-1")
                .setKinesisEndpoint(host)
                .setKinesisPort(port)
                .setStsEndpoint(host)
                .setStsPort(port)
                .setVerifyCertificate(false)
                .setMetricsLevel("none")
                .setRateLimit(RATE_LIMIT)
                .setRecordTtl(120_000));
        List<ListenableFuture<UserRecordResult>> results = new ArrayList<>();
        for (int n = 0; n < count; n += 1) {
            ByteBuffer data = ByteBuffer.allocate(Math.max(bytes, 16));
            data.put(String.valueOf(n).getBytes(StandardCharsets.UTF_8)).rewind();
            results.add(producer.addUserRecord(stream, "k" + n % keys, data));
        }
        producer.flushSync();
        int succeeded = 0;
        Set<String> errors = new TreeSet<>();
        for (ListenableFuture<UserRecordResult> future : results) {
            try {
                UserRecordResult result = future.get();
                if (result.isSuccessful()) succeeded += 1;
                result.getAttempts().stream().filter(one -> !one.isSuccessful()).map(Attempt::getErrorCode).forEach(errors::add);
            } catch (Exception error) {
                errors.add(String.valueOf(error));
            }
        }
        System.out.println("succeeded " + succeeded + " errors " + String.join(" ", errors));
        producer.destroy();
        System.exit(0);
    }
}
