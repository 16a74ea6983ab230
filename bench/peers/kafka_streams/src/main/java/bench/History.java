package bench;

import java.nio.ByteBuffer;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** A key's last day as pairs of seconds and cents, oldest first, in the bytes that the state store keeps. */
final class History {
    static final long HOUR_S = 3_600;
    static final long DAY_S = 86_400;
    private static final int PAIR = 16;
    private static final DateTimeFormatter AT = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

    private History() {}

    static long secondsOf(String at) {
        return LocalDateTime.parse(at, AT).toEpochSecond(ZoneOffset.UTC);
    }

    /** What lies in the day's window of the new event, and the event itself behind it. */
    static byte[] with(byte[] kept, long nowS, long cents) {
        int begin = 0;
        int length = kept == null ? 0 : kept.length;
        ByteBuffer old = kept == null ? null : ByteBuffer.wrap(kept);
        while (begin < length && old.getLong(begin) <= nowS - DAY_S) {
            begin += PAIR;
        }
        ByteBuffer result = ByteBuffer.allocate(length - begin + PAIR);
        if (length > begin) {
            result.put(kept, begin, length - begin);
        }
        result.putLong(nowS).putLong(cents);
        return result.array();
    }

    static int count(byte[] history) {
        return history.length / PAIR;
    }

    /** Count and sum of the customer's two windows, put into the event. */
    static void describe(byte[] history, long nowS, Transaction event) {
        ByteBuffer pairs = ByteBuffer.wrap(history);
        long sumDay = 0;
        long sumHour = 0;
        int countHour = 0;
        for (int place = 0; place < history.length; place += PAIR) {
            long cents = pairs.getLong(place + 8);
            sumDay += cents;
            if (pairs.getLong(place) > nowS - HOUR_S) {
                sumHour += cents;
                countHour++;
            }
        }
        event.countHour = countHour;
        event.sumHour = sumHour / 100.0;
        event.countDay = count(history);
        event.sumDay = sumDay / 100.0;
    }
}
