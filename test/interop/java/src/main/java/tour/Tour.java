// What a program does with streams through the AWS SDK for Java 2: its asynchronous client speaks CBOR over HTTP/2.
// Argument: the server's URL. Prints one JSON document of what it saw.
package tour;

import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.reactivestreams.Subscription;
import org.reactivestreams.Subscriber;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.SdkHttpConfigurationOption;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.utils.AttributeMap;

public final class Tour {
  private static final String STREAM = "java";
  private static final String SHARD = "shardId-000000000000";

  private final KinesisAsyncClient client;

  private Tour(String endpoint) {
    AttributeMap trustAll =
        AttributeMap.builder().put(SdkHttpConfigurationOption.TRUST_ALL_CERTIFICATES, true).build();
    client =
        KinesisAsyncClient.builder()
            .endpointOverride(URI.create(endpoint))
            .region(Region.US_EAST_1)
            .httpClient(
                NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2).buildWithDefaults(trustAll))
            .build();
  }

  public static void main(String[] args) throws Exception {
    System.out.println(new Tour(args[0]).run());
    System.exit(0);
  }

  private String run() throws Exception {
    Instant before = Instant.now().minus(Duration.ofMinutes(1));
    client.createStream(r -> r.streamName(STREAM).shardCount(1)).get();
    client.waiter().waitUntilStreamExists(r -> r.streamName(STREAM)).get();
    StreamDescriptionSummary summary =
        client.describeStreamSummary(r -> r.streamName(STREAM)).get().streamDescriptionSummary();
    boolean isRecent = summary.streamCreationTimestamp().isAfter(before);
    put(0, 10);
    String read = read(ShardIteratorType.TRIM_HORIZON, null) + "|" + read(ShardIteratorType.AT_TIMESTAMP, before);

    String consumer =
        client.registerStreamConsumer(r -> r.streamARN(summary.streamARN()).consumerName("c")).get()
            .consumer().consumerARN();
    List<String> seen = new ArrayList<>();
    String next = follow(consumer, StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build(), seen, 10);
    put(10, 7);
    follow(consumer, StartingPosition.builder().type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(next).build(), seen, 17);

    String refused = "";
    try {
      client.describeStreamSummary(r -> r.streamName("none")).get();
    } catch (java.util.concurrent.ExecutionException error) {
      refused = error.getCause().getClass().getSimpleName();
    }
    client.deregisterStreamConsumer(r -> r.consumerARN(consumer)).get();
    client.deleteStream(r -> r.streamName(STREAM)).get();
    return String.format(
        "{\"read\":\"%s\",\"pushed\":\"%s\",\"isRecent\":%b,\"refused\":\"%s\"}",
        read, String.join(" ", seen), isRecent, refused);
  }

  private void put(int from, int count) throws Exception {
    List<PutRecordsRequestEntry> records =
        IntStream.range(from, from + count)
            .mapToObj(n -> PutRecordsRequestEntry.builder().partitionKey("k").data(SdkBytes.fromUtf8String("" + n)).build())
            .collect(Collectors.toList());
    if (client.putRecords(r -> r.streamName(STREAM).records(records)).get().failedRecordCount() != 0)
      throw new IllegalStateException("records failed");
  }

  private String read(ShardIteratorType type, Instant at) throws Exception {
    String iterator =
        client.getShardIterator(r -> r.streamName(STREAM).shardId(SHARD).shardIteratorType(type).timestamp(at)).get()
            .shardIterator();
    return client.getRecords(r -> r.shardIterator(iterator)).get().records().stream()
        .map(record -> record.data().asUtf8String())
        .collect(Collectors.joining(" "));
  }

  /** Until `count` records were seen; the number to go on behind. */
  private String follow(String consumer, StartingPosition start, List<String> seen, int count) throws Exception {
    AtomicReference<String> next = new AtomicReference<>();
    CompletableFuture<Void> enough = new CompletableFuture<>();
    SubscribeToShardResponseHandler handler =
        SubscribeToShardResponseHandler.builder()
            .onError(enough::completeExceptionally)
            .subscriber(() -> new Events(seen, count, next, enough))
            .build();
    client.subscribeToShard(r -> r.consumerARN(consumer).shardId(SHARD).startingPosition(start), handler);
    enough.get(30, TimeUnit.SECONDS);
    return next.get();
  }

  /** Asks for one event at a time, as the Kinesis Client Library does. */
  private record Events(
      List<String> seen, int count, AtomicReference<String> next, CompletableFuture<Void> enough,
      AtomicReference<Subscription> subscription)
      implements Subscriber<SubscribeToShardEventStream> {
    Events(List<String> seen, int count, AtomicReference<String> next, CompletableFuture<Void> enough) {
      this(seen, count, next, enough, new AtomicReference<>());
    }

    @Override
    public void onSubscribe(Subscription given) {
      subscription.set(given);
      given.request(1);
    }

    @Override
    public void onNext(SubscribeToShardEventStream stream) {
      SubscribeToShardEvent event = (SubscribeToShardEvent) stream;
      event.records().forEach(record -> seen.add(record.data().asUtf8String()));
      next.set(event.continuationSequenceNumber());
      if (seen.size() >= count) {
        subscription.get().cancel();
        enough.complete(null);
      } else {
        subscription.get().request(1);
      }
    }

    @Override
    public void onError(Throwable error) {
      enough.completeExceptionally(error);
    }

    @Override
    public void onComplete() {
      enough.completeExceptionally(new IllegalStateException("the stream ended"));
    }
  }
}
