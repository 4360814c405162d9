package worker;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * Consumes a stream from its start and prints what happens, one event a line: "record KEY TEXT SUBSEQUENCE", "ended SHARD".
 * Arguments: URL of the server, URL of DynamoDB, stream, application, "polling" or "fanout".
 */
public final class Worker {
    /** Version 2 waits for ever when a shard of its has ended. */
    private static final int SHUTDOWN_S = 10;

    private Worker() {}

    public static void main(String[] arguments) {
        URI server = URI.create(arguments[0]);
        URI dynamo = URI.create(arguments[1]);
        String stream = arguments[2];
        String application = arguments[3];
        KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(
                KinesisAsyncClient.builder().endpointOverride(server).region(Region.US_EAST_1));
        DynamoDbAsyncClient leases =
                DynamoDbAsyncClient.builder().endpointOverride(dynamo).region(Region.US_EAST_1).build();
        // Asked for by the library, and never called without metrics.
        CloudWatchAsyncClient metrics =
                CloudWatchAsyncClient.builder().endpointOverride(dynamo).region(Region.US_EAST_1).build();
        var start = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, start),
                application,
                kinesis,
                leases,
                metrics,
                UUID.randomUUID().toString(),
                Printer::new);
        var retrieval = arguments[4].equals("fanout")
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(application)
                : new PollingConfig(stream, kinesis);
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(500).shardConsumerDispatchPollIntervalMillis(200),
                configs.leaseManagementConfig(),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                scheduler.startGracefulShutdown().get(SHUTDOWN_S, TimeUnit.SECONDS);
            } catch (Exception error) {
                System.err.println(error);
            }
        }));
        scheduler.run();
    }

    private static void say(String event) {
        System.out.println(event);
        System.out.flush();
    }

    /** Prints records, and has them checkpointed once they are printed. */
    private static final class Printer implements ShardRecordProcessor {
        private String shard = "";

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            input.records().forEach(record -> say(String.join(" ",
                    "record",
                    record.partitionKey(),
                    StandardCharsets.UTF_8.decode(record.data()).toString(),
                    String.valueOf(record.subSequenceNumber()))));
            checkpoint(input.checkpointer());
        }

        @Override
        public void leaseLost(LeaseLostInput input) {
            say("lost " + shard);
        }

        @Override
        public void shardEnded(ShardEndedInput input) {
            checkpoint(input.checkpointer());
            say("ended " + shard);
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(input.checkpointer());
        }

        private static void checkpoint(RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (Exception error) {
                System.err.println(error);
            }
        }
    }
}
